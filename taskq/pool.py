"""A pool's file: groups of workers, each with its queues, their number, and any other option of a worker.

It reads and checks. Who runs the groups, and when the file is read again, is the worker's business.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from taskq.config import ONE_FOR_ALL, Config, Table, parse_toml
from taskq.errors import ConfigurationError, Problem

__all__ = ["Group", "read"]


@dataclass(frozen=True, slots=True)
class Group:
    """Workers of one kind: what the log calls them, and how each is configured."""

    name: str
    config: Config


def read(path: Path, base: Config, load: Callable[[Table], Config]) -> tuple[Group, ...]:
    """The groups of a file, in its order.

    Args:
        path: the file.
        base: the configuration that all have in common; of it comes what concerns the application.
        load: the configuration of a group, by what the file says of it.

    Raises:
        ConfigurationError: all that is wrong with it, with its places.
    """
    place = str(path)
    try:
        document = parse_toml(path.read_bytes(), place)
    except OSError as error:
        raise ConfigurationError([Problem("config", place, f"cannot be read: {error.strerror}.")]) from None
    problems: list[Problem] = []
    groups = []
    for name, settings in _tables(document, place, problems).items():
        try:
            config = load(Table(f"{place} [group.{name}]", settings))
        except ConfigurationError as error:
            problems += [problem for problem in error.problems if problem not in problems]
        else:
            common = {setting: getattr(base, setting) for setting in ONE_FOR_ALL}
            groups.append(Group(name, dataclasses.replace(config, **common)))
    if problems:
        raise ConfigurationError(problems)
    return tuple(groups)


def _tables(document: Mapping[str, object], place: str, problems: list[Problem]) -> Mapping[str, Mapping[str, object]]:
    """The groups' tables. Notes what is none."""
    for key in document:
        if key != "group":
            message = (
                "a pool's file has groups only: [group.NAME]. What all have in common is said by the command, the "
                "environment, or in taskq.toml."
            )
            problems.append(Problem(key, f"{place} {key}", message))
    groups = document.get("group", {})
    if not isinstance(groups, dict) or not groups:
        example = '[group.mail] with queues = ["mail"] and count = 2'
        problems.append(Problem("group", place, f"there is no group in it. One is, say: {example}."))
        return {}
    found: dict[str, Mapping[str, object]] = {}
    for name, settings in groups.items():
        if not isinstance(settings, dict):
            problems.append(Problem("group", f"{place} group.{name}", f"must be a table: [group.{name}]."))
        elif not name.isprintable() or not name.strip():
            problems.append(Problem("group", f"{place} [group.{name!r}]", "must have a name that a log can show."))
        else:
            found[name] = settings
    return found
