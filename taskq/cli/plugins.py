"""`taskq plugins`: all that is installed, what of it is enabled, and in which order it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from taskq import plugins as installed
from taskq.cli.endings import DONE, SOME_FAILED
from taskq.cli.output import Column, complain, hint, json_option, on_terminal, say, show, show_json
from taskq.cli.session import common, examples, the_session
from taskq.config import Config
from taskq.errors import ConfigurationError, nearest
from taskq.urls import backend_name

__all__ = ["plugins"]


@dataclass(frozen=True, slots=True)
class _Row:
    """One plugin, as it is shown. `order` is its place in the chain of its kind; None where there is no order."""

    kind: str
    name: str
    distribution: str
    enabled: bool
    order: int | None
    error: str | None


@click.command(epilog=examples("taskq plugins", "taskq plugins --json"))
@common
@json_option
def plugins(as_json: bool) -> int:
    """List every plugin that is installed: where it comes from, whether it is enabled, and what is wrong with it.

    Hooks and failure handlers stand in their order, a 1 for the outermost hook and for the handler that is asked first.
    In a pipe: kind, name, distribution, "enabled" or nothing, order, error, with tabs between. The exit code is 1 where
    one that is enabled does not load.
    """
    config = the_session().application().config
    rows = _rows(config)
    if as_json:
        for row in rows:
            show_json(
                "plugin/1",
                {
                    "kind": row.kind,
                    "name": row.name,
                    "distribution": row.distribution,
                    "enabled": row.enabled,
                    "order": row.order,
                    "error": row.error,
                },
            )
    else:
        _show(rows)
    return SOME_FAILED if any(row.enabled and row.error for row in rows) else DONE


def _show(rows: Sequence[_Row]) -> None:
    columns = [
        Column("kind"),
        Column("name", style="name"),
        Column("distribution"),
        Column("enabled"),
        Column("order", right=True),
    ]
    # On a terminal an error has lines of its own: in a column it would be cut.
    lines = [
        (row.kind, row.name, row.distribution, "enabled" if row.enabled else "", str(row.order or "")) for row in rows
    ]
    if not on_terminal():
        show(columns, [(*line, row.error or "") for line, row in zip(lines, rows, strict=True)])
        return
    show(columns, [(*line[:3], "yes" if row.enabled else "", line[4]) for line, row in zip(lines, rows, strict=True)])
    for row in rows:
        if row.error:
            say("")
            say((f"{row.kind} {row.name}: {row.error}", "bad"))
    for kind, what in (
        (installed.HOOKS, "Hooks, the outermost first"),
        (installed.FAILURE_HANDLERS, "Who decides on a failure"),
    ):
        chain = _chain([row for row in rows if row.kind == installed.NAMESPACES[kind]])
        if kind == installed.HOOKS:
            say("")
        say(f"{what}: {chain or 'none'}")
    hint("To enable one: hooks = [...] or failure_handlers = [...] under [tool.taskq] in pyproject.toml")


def _chain(rows: Sequence[_Row]) -> str:
    ordered = sorted((row for row in rows if row.order is not None), key=lambda row: row.order or 0)
    return " > ".join(row.name for row in ordered)


def _rows(config: Config) -> Sequence[_Row]:
    orders = _orders(config)
    rows = []
    seen: set[tuple[str, str]] = set()
    for plugin in installed.catalogue():
        enabled = orders[plugin.namespace]
        seen.add((plugin.namespace, plugin.name))
        rows.append(
            _Row(
                installed.NAMESPACES[plugin.namespace],
                plugin.name,
                f"{plugin.distribution} {plugin.version}".rstrip(),
                plugin.name in enabled or plugin.namespace == installed.COMMANDS,
                enabled.get(plugin.name),
                plugin.error or _shadowed(plugin.namespace, plugin.name),
            )
        )
    for namespace, enabled in orders.items():
        for name, order in enabled.items():
            if (namespace, name) not in seen:
                rows.append(_not_installed(namespace, name, order, config))
    return rows


def _orders(config: Config) -> Mapping[str, Mapping[str, int | None]]:
    """The names that are enabled, by namespace, each with its place where there is an order."""
    return {
        installed.BACKENDS: dict.fromkeys(_backend(config)),
        installed.SERIALIZERS: dict.fromkeys((config.serializer, *config.accept)),
        installed.FAILURE_HANDLERS: {_name(plugin): place for place, plugin in enumerate(config.failure_handlers, 1)},
        installed.HOOKS: {_name(plugin): place for place, plugin in enumerate(config.hooks, 1)},
        installed.COMMANDS: {},
        installed.TEST_STORES: {},
    }


def _backend(config: Config) -> Sequence[str]:
    if installed.is_broker(config.broker):
        return [config.broker.name]
    try:
        return [backend_name(config.broker, installed.names(installed.BACKENDS), place=config.source("broker"))]
    except ConfigurationError as error:
        for problem in error.problems:  # the list of what there is helps just then
            complain(str(problem))
        return []


def _name(plugin: object) -> str:
    """The name of a plugin, which an application may also have given as an object."""
    return plugin if isinstance(plugin, str) else getattr(plugin, "name", "") or type(plugin).__qualname__


def _not_installed(namespace: str, name: str, order: int | None, config: Config) -> _Row:
    """A row for what is enabled and is no entry point: given by the application itself, or not there at all."""
    kind = installed.NAMESPACES[namespace]
    given = {_name(plugin) for plugin in (*config.hooks, *config.failure_handlers) if not isinstance(plugin, str)}
    if name in given or namespace == installed.BACKENDS:
        return _Row(kind, name, "(given by the application)", True, order, None)
    near = nearest(name, installed.names(namespace))
    meant = f" Did you mean {near}?" if near else ""
    return _Row(kind, name, "", True, order, f"it is enabled, and not installed.{meant}")


def _shadowed(namespace: str, name: str) -> str | None:
    if namespace != installed.COMMANDS:
        return None
    from taskq.cli.main import COMMANDS

    return "taskq has a command of this name, which comes first." if name in COMMANDS else None
