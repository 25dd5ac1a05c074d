"""Asking before something is destroyed: a person at a terminal is asked, a script has to say `--yes`."""

from __future__ import annotations

import sys

import click

from taskq.cli.endings import SOME_FAILED, USAGE, Stop
from taskq.cli.output import plain

__all__ = ["confirm", "yes_option"]

yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


def confirm(what: str, *, yes: bool) -> None:
    """Return where it may be done.

    Args:
        what: what would be done, as the start of a question: `Remove 3 failed jobs`.
        yes: whether the command said --yes.

    Raises:
        Stop: the person said no, or there is no person and no --yes.
    """
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise Stop(USAGE, f"{what}? There is no terminal to ask on. Nothing was done; to do it: --yes")
    if not click.confirm(f"{plain(what)}?", err=True):
        raise Stop(SOME_FAILED, "Nothing was done.")
