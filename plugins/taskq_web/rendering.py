"""The templates. Everything that they are given is text, and escaped; nothing is ever marked as safe."""

from __future__ import annotations

import shlex
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from taskq.short_names import short
from taskq_web import assets, shown
from taskq_web.access import Role
from taskq_web.parameters import plain

__all__ = ["template"]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("taskq_web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.loopcontrols"],
    )
    environment.filters.update(
        args=shown.args,
        change=shown.change,
        coarse=shown.coarse,
        count=shown.count,
        duration=shown.duration,
        exact=shown.exact,
        first_line=shown.first_line,
        iso=shown.iso,
        named=shown.named,
        plain=plain,
        quoted=shlex.quote,
        pretty=shown.pretty,
        rate=shown.rate,
        short=short,
        short_id=shown.short_id,
        size=shown.size,
        visible=shown.visible,
    )
    environment.globals.update(asset=assets.path_of, in_words=shown.ago, Role=Role)
    return environment


def template(name: str) -> Template:
    """A template by its name."""
    return _environment().get_template(name)
