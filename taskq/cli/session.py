"""What every command has in common: the options --broker, --app and --debug, and the application that they amount to.

A command of a plugin uses the same two things: `@common` on its click command, and `the_session().connected()` in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from taskq.cli.output import complain, hint

if TYPE_CHECKING:  # imported where they are needed: help needs none of them
    from taskq.app import TaskQ
    from taskq.config import Config

__all__ = ["Session", "common", "examples", "hide_command_line", "hint_at_secrets", "nameless", "the_session"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Session:
    """One run of the program.

    Attributes:
        given: the common options that were given, as settings by name. An inner command's win over an outer one's.
        debug: whether tracebacks are shown.
        secrets: addresses of brokers as they were given, which may hold a password.
        broker_is_said: False where nobody said which broker, and it is the default one.
    """

    given: dict[str, object] = field(default_factory=dict)
    debug: bool = field(default_factory=lambda: os.environ.get("TASKQ_DEBUG", "").lower() in {"1", "true", "yes", "on"})
    secrets: set[str] = field(default_factory=set)
    broker_is_said: bool = True

    def configuration(self) -> Config:
        """The configuration for a command that is no worker.

        Raises:
            ConfigurationError: all that is wrong with it.
        """
        from taskq.config import load

        config = load(options=self.given)
        self.heed(config)
        for notice in config.notices:
            complain(notice)
        return config

    def application(self) -> TaskQ:
        """The application, its modules imported; in force until the program ends. It is not connected yet.

        Raises:
            ConfigurationError: the configuration cannot be, or an application does not import.
        """
        from taskq.app import TaskQ
        from taskq.cli import applications

        config = self.configuration()
        found = applications.load(config.app, source=config.source("app"))
        if found is None:
            app = TaskQ(config)
        elif "broker" in self.given:
            sources = MappingProxyType({**found.config.sources, "broker": config.source("broker")})
            app = TaskQ(replace(found.config, broker=config.broker, sources=sources), registry=found.registry)
        else:
            app = found
        self.heed(app.config)
        return put_in_force(app, close=app is not found)

    def connected(self) -> TaskQ:
        """As `application`, and its broker answers.

        Raises:
            BrokerUnavailable: it does not, and it took at most a second to find out.
            BrokerRefused: it will not have us.
        """
        app = self.application()
        app.broker.check()
        return app

    def heed(self, config: Config) -> None:
        """Take over what concerns the program itself: whether to debug, and what must not be shown."""
        from taskq.config import DEFAULT

        self.debug = self.debug or config.debug
        self.broker_is_said = config.source("broker") != DEFAULT
        if isinstance(config.broker, str):
            self.secrets.add(config.broker)


def hint_at_secrets(app: TaskQ) -> None:
    """Beneath arguments of jobs: where no job is known here, neither is which of them it declares secret."""
    if said := nameless(app):
        hint(said)


def nameless(app: TaskQ) -> str:
    """What is to stand beside arguments where no job is known here; empty where some are."""
    if any(True for _ in app.registry):
        return ""
    return (
        "No application is named: arguments by position are shown as they are, and only those with a name like "
        "password are masked. To name it: --app YOUR.JOBS"
    )


def put_in_force(app: TaskQ, *, close: bool) -> TaskQ:
    """Make it the application in force until the program ends."""
    from taskq.application import using

    root = click.get_current_context().find_root()
    if close:
        root.call_on_close(app.close)
    return root.with_resource(using(app))


def the_session() -> Session:
    """The session of the command that is running."""
    return click.get_current_context().ensure_object(Session)


def hide_command_line(title: str) -> None:
    """Give a process that stays a title at once, where its command line holds a password that all may read."""
    from taskq.urls import redacted

    given = the_session().given.get("broker")
    if isinstance(given, str) and redacted(given) != given:
        with suppress(ImportError):
            from setproctitle import setproctitle

            setproctitle(title)


def common(command: F) -> F:
    """Give a command, or a group of them, the options that every one has."""
    for option in reversed(_COMMON):
        command = option(command)
    return command


def examples(*lines: str) -> str:
    """Examples for the end of a command's help, each on a line of its own."""
    return "\b\n" + "\n".join(("Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in lines)))


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    # Nothing given is None, an empty tuple, or a flag that is not set; then what an outer command said holds.
    if value is None or value == () or value is False:
        return
    session = context.ensure_object(Session)
    assert parameter.name is not None
    session.given[parameter.name] = value
    if parameter.name == "debug":
        session.debug = True
    elif parameter.name == "broker":
        session.secrets.add(str(value))


_COMMON: Sequence[Callable[[F], F]] = (
    click.option(
        "--broker",
        "-b",
        metavar="URL",
        expose_value=False,
        callback=_remember,
        help="Where the queues are: a URL, or host:port, host:port:db, host:port/namespace.  "
        "[TASKQ_BROKER, REDIS_URL; redis://localhost:6379/0]",
    ),
    click.option(
        "--app",
        "-a",
        metavar="MODULE[:NAME]",
        multiple=True,
        expose_value=False,
        callback=_remember,
        help="The module that has the jobs, or a TaskQ in it; again for more.  [TASKQ_APP]",
    ),
    click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_remember,
        help="Show tracebacks.  [TASKQ_DEBUG]",
    ),
)
