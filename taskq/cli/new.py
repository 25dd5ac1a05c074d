"""`taskq new`: a complete package for a plugin of one's own, made from the templates that lie beside this module.

It writes into a folder that was not there, and nowhere else.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Final

import click

from taskq import plugins
from taskq.cli.endings import DONE, USAGE, Stop
from taskq.cli.output import hint, say
from taskq.cli.session import common, examples
from taskq.errors import nearest

__all__ = ["new"]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of plugin: where its entry point goes, and what it names.

    Attributes:
        namespace: the entry point's namespace.
        interface: what it implements, for `help(...)`.
        suffix: what its class's name ends with.
        target: what its entry point names; empty for the class.
    """

    namespace: str
    interface: str
    suffix: str
    target: str = ""

    @property
    def word(self) -> str:
        return plugins.NAMESPACES[self.namespace]


_KINDS: Final[Mapping[str, _Kind]] = {
    "backend": _Kind(plugins.BACKENDS, "taskq.broker.Broker", "Broker", target="open_broker"),
    "serializer": _Kind(plugins.SERIALIZERS, "taskq.serializer.Serializer", "Serializer"),
    "failure-handler": _Kind(plugins.FAILURE_HANDLERS, "taskq.failure_handler.FailureHandler", "Handler"),
    "hook": _Kind(plugins.HOOKS, "taskq.hook.Hook", "Hook"),
}


def _kind(context: click.Context, parameter: click.Parameter, typed: str) -> str:
    kind = typed.lower().replace("_", "-")
    if kind not in _KINDS:
        near = nearest(kind, _KINDS)
        meant = f" Did you mean {near}?" if near else ""
        raise click.UsageError(f'there is no plugin of the kind "{typed}".{meant} There are: {", ".join(_KINDS)}.')
    return kind


@click.command(epilog=examples("taskq new hook slow_jobs", "taskq new backend shopdb --into ~/src"))
@click.argument("kind", callback=_kind)
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    default=Path(),
    metavar="FOLDER",
    help="Where the package's folder is made.  [the current folder]",
)
@common
def new(kind: str, name: str, into: Path) -> int:
    """Write a package for a plugin of your own: a backend, a serializer, a failure-handler or a hook.

    KIND is one of these; NAME is what a configuration will call it, for a backend the scheme of its addresses. The
    package works as it is, and its tests prove every promise of the interface: change it step by step. Nothing that is
    there is overwritten.
    """
    made = _KINDS[kind]
    _check_name(made, name)
    folder = into / f"taskq-{name.replace('_', '-')}"
    files = _files(kind, made, name)
    try:
        folder.mkdir()
    except FileExistsError:
        raise Stop(USAGE, f"{folder} is there already. Nothing was written.") from None
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    say(f"Wrote {folder}:")
    for path in files:
        say(f"    {path}")
    hint(f'Next: cd {folder}; python -m pip install --editable ".[test]"; python -m pytest; taskq plugins')
    return DONE


def _check_name(kind: _Kind, name: str) -> None:
    # The scheme of a URL has no underscores.
    letters = "[a-z][a-z0-9]*" if kind.namespace == plugins.BACKENDS else "[a-z][a-z0-9_]*"
    if not re.fullmatch(letters, name) or keyword.iskeyword(name):
        allowed = "small letters and digits" if "_" not in letters else "small letters, digits and underscores"
        better = _mended(name, letters)
        meant = f" Perhaps {better}?" if better else ""
        raise click.UsageError(
            f'"{name}" cannot be the name of a {kind.word}: {allowed}, a letter first, and no word of Python\'s.{meant}'
        )
    giver = plugins.origin(kind.namespace, name)
    if giver:
        raise click.UsageError(f'there is a {kind.word} "{name}" already, of {giver}. Choose another name.')
    if importlib.util.find_spec(f"taskq_{name}") is not None:
        raise click.UsageError(
            f'there is a package taskq_{name} already, which is what that of "{name}" would be called. '
            "Choose another name."
        )


def _mended(name: str, letters: str) -> str:
    """A name like it that can be one; empty where there is none."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    better = ("_" if "_" in letters else "").join(words)
    return better if re.fullmatch(letters, better) and not keyword.iskeyword(better) else ""


def _files(kind: str, made: _Kind, name: str) -> Mapping[str, str]:
    """The text of each file, by its path within the package's folder."""
    class_name = "".join(part.capitalize() for part in name.split("_")) + made.suffix
    said = {
        "name": name,
        "kind": made.word,
        "class_name": class_name,
        "package": f"taskq_{name}",
        "distribution": f"taskq-{name.replace('_', '-')}",
        "namespace": made.namespace,
        "interface": made.interface,
        "target": made.target or class_name,
        "taskq": metadata.version("taskq"),
    }
    said["enabling"] = _filled(f"{kind}/enabling.md", said).rstrip("\n")
    return {
        "pyproject.toml": _filled("pyproject.toml", said),
        "README.md": _filled("README.md", said),
        f"src/taskq_{name}/__init__.py": _filled(f"{kind}/plugin.py", said),
        f"src/taskq_{name}/py.typed": "",
        f"tests/test_{name}.py": _filled(f"{kind}/test.py", said),
    }


def _filled(template: str, said: Mapping[str, str]) -> str:
    text = resources.files("taskq.cli").joinpath("templates", f"{template}.tmpl").read_text(encoding="utf-8")
    return string.Template(text).substitute(said)
