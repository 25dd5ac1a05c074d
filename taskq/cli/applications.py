"""Loading applications by name: `shop.jobs` is imported, `shop.jobs:app` is a TaskQ in it.

An import runs a stranger's code. Whatever it raises becomes one problem that says which module, and what to type.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

from taskq import in_force
from taskq.app import TaskQ
from taskq.errors import ConfigurationError, Problem, TaskqError, nearest

__all__ = ["load", "places"]


class _Wrong(Exception):
    """An application cannot be had; the message says why and what to do."""


def load(names: Sequence[str], *, source: str = "--app") -> TaskQ | None:
    """Import the applications, the working directory being on the path.

    Args:
        names: each a module, or `module:name` of a `TaskQ` in it.
        source: the place they were configured in.

    Returns:
        The one that was named; else the one that a module configured as the default; None where there is neither.

    Raises:
        ConfigurationError: all that do not import, or are no `TaskQ`; or two different ones were named.
    """
    _put_working_directory_on_path()
    problems: list[Problem] = []
    named: dict[str, TaskQ] = {}
    cause: Exception | None = None
    for entry in names:
        module, _, attribute = entry.partition(":")
        try:
            imported = _imported(module)
            if attribute:
                named[entry] = _application_in(imported, attribute)
        except _Wrong as wrong:
            problems.append(Problem("app", source, str(wrong)))
            cause = wrong
    if len({id(app) for app in named.values()}) > 1:
        problems.append(Problem("app", source, f"{' and '.join(named)} are different applications. Name one of them."))
    if problems:
        raise ConfigurationError(problems) from cause
    if named:
        return next(iter(named.values()))
    configured = in_force.applications.built()
    return configured if isinstance(configured, TaskQ) else None


def places(names: Sequence[str]) -> Sequence[Path]:
    """Where the files of these applications are, importing none: the working directory, and what lies outside of it."""
    _put_working_directory_on_path()
    here = Path.cwd()
    found = [here]
    for entry in names:
        package = entry.partition(":")[0].partition(".")[0]
        try:
            spec = importlib.util.find_spec(package)
        except ValueError:  # a module without one, such as __main__
            spec = None
        origins = [] if spec is None else [*(spec.submodule_search_locations or [spec.origin or ""])]
        found += [path for origin in origins if origin and not (path := Path(origin).resolve()).is_relative_to(here)]
    return list(dict.fromkeys(found))


def _put_working_directory_on_path() -> None:
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _Wrong(_broken(name, error)) from error
        raise _Wrong(
            f'No module named "{error.name}".{_meant(name, error.name)} Looked in: the current folder ({os.getcwd()}) '
            "and sys.path. Run from the project's folder or name it: --app shop.jobs."
        ) from error
    except TaskqError as error:
        raise _Wrong(f"{name} does not import. {error}") from error
    except (Exception, SystemExit) as error:
        raise _Wrong(_broken(name, error)) from error


def _application_in(module: ModuleType, attribute: str) -> TaskQ:
    there = [name for name, value in vars(module).items() if isinstance(value, TaskQ)]
    has = (
        f"It has: {', '.join(sorted(there))}." if there else "It has no TaskQ; if it only has jobs, leave the name out."
    )
    if not hasattr(module, attribute):
        near = nearest(attribute, there)
        meant = f" Did you mean {module.__name__}:{near}?" if near else ""
        raise _Wrong(f'{module.__name__} has no "{attribute}".{meant} {has}')
    found = getattr(module, attribute)
    if not isinstance(found, TaskQ):
        raise _Wrong(f"{module.__name__}:{attribute} is of type {type(found).__name__} and no TaskQ. {has}")
    return found


def _broken(name: str, error: BaseException) -> str:
    """A module that is there and raises while it is imported."""
    said = " ".join(str(error).split())
    return (
        f"{name} does not import: {type(error).__name__}{f': {said}' if said else ''}{_where(error)}. "
        "The traceback: --debug."
    )


def _where(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return ""  # its text says so already
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _of_importlib(frame.filename)]
    frames = [frame for frame in frames if frame.filename != __file__]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


def _of_importlib(path: str) -> bool:
    return path.startswith("<frozen importlib") or os.path.dirname(path) == os.path.dirname(importlib.__file__)


def _meant(asked: str, missing: str) -> str:
    """The module that was probably meant: a file's name without its ending, or one beside that which is missing."""
    if asked.endswith(".py"):
        return f" Did you mean {asked.removesuffix('.py')}?"
    package, _, name = missing.rpartition(".")
    near = nearest(name, _modules_in(package))
    return f" Did you mean {f'{package}.' if package else ''}{near}?" if near else ""


def _modules_in(package: str) -> Iterable[str]:
    import pkgutil  # only where a module is missing

    if not package:
        places: Iterable[str] = [os.getcwd()]
    else:
        module = sys.modules.get(package)  # imported on the way to what is missing in it
        places = getattr(module, "__path__", ())
    return [module.name for module in pkgutil.iter_modules(places)]
