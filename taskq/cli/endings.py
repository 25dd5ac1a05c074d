"""How a command ends: its exit code, and what a person reads where it could not do what it was told.

One place turns every exception into lines; no command prints an error of taskq's itself. No line holds a password.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Sequence
from typing import Final

import click

from taskq.cli.output import plain
from taskq.errors import (
    BrokerRefused,
    BrokerUnavailable,
    ConfigurationError,
    EnqueueError,
    JobDefinitionError,
    NotSupported,
    TaskqError,
)
from taskq.urls import redacted

__all__ = [
    "DONE",
    "INTERRUPTED",
    "NOTHING_MATCHED",
    "NOT_REACHED",
    "SOME_FAILED",
    "USAGE",
    "WITHOUT_A_SERVER",
    "Stop",
    "code_of",
    "lines_of",
    "partly",
    "without_secrets",
]

DONE: Final = 0
SOME_FAILED: Final = 1
USAGE: Final = 2
"""A mistake in the command, or in the configuration; a wrong password too."""
NOTHING_MATCHED: Final = 3
NOT_REACHED: Final = 69
"""The broker is away (EX_UNAVAILABLE of sysexits.h)."""
INTERRUPTED: Final = 130

WITHOUT_A_SERVER: Final = (
    "Without a server, in a file that all processes here share: export TASKQ_BROKER=sqlite:///jobs.db"
)
"""What to do where nobody said which broker, and the default one does not answer."""

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]*@[^\s\"'<>]*")


def partly(done: int, missing: int, refused: int = 0) -> int:
    """The exit code of a command that was given several by their names.

    Args:
        done: with how many it was done.
        missing: how many were not there, or not as they would have to be.
        refused: how many were there, and it could not be done.
    """
    if not missing + refused:
        return DONE
    return SOME_FAILED if done + refused else NOTHING_MATCHED


class Stop(Exception):
    """A command ends here.

    Attributes:
        code: its exit code.
        lines: what to say on standard error.
    """

    def __init__(self, code: int, *lines: str) -> None:
        self.code = code
        self.lines = lines
        super().__init__("\n".join(lines))


def code_of(error: BaseException) -> int:
    """The exit code of a command that ended with this exception."""
    match error:
        case Stop():
            return error.code
        case click.Abort() | KeyboardInterrupt() | EOFError():
            return INTERRUPTED
        case click.ClickException():
            return USAGE
        case BrokerUnavailable():
            return NOT_REACHED
        case BrokerRefused() | ConfigurationError() | JobDefinitionError() | EnqueueError() | NotSupported():
            return USAGE
        case _:
            return SOME_FAILED


def lines_of(error: BaseException, *, debug: bool = False, secrets: Iterable[str] = ()) -> Sequence[str]:
    """What to say on standard error, without a traceback unless it is asked for.

    Args:
        error: what ended the command.
        debug: whether to show the traceback.
        secrets: addresses of brokers as they were given; where one shows up in a text, its password is taken out.
    """
    said = _said(error)
    if debug and not isinstance(error, (Stop, click.ClickException, click.Abort)):
        trace = "".join(traceback.format_exception(error)).rstrip().splitlines()
        said = [*trace, *said]
    return [_harmless(without_secrets(line, secrets)) for line in said]


def _harmless(text: str) -> str:
    """The text, of several lines where it has them, with nothing that a terminal would act on."""
    return "\n".join(plain(line) for line in text.split("\n"))


def without_secrets(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with every URL's password taken out, and with these addresses as they may be shown."""
    for secret in secrets:
        if "@" in secret:
            text = text.replace(secret, redacted(secret))
    return _URL.sub(lambda found: redacted(found[0]), text)


def _said(error: BaseException) -> Sequence[str]:
    match error:
        case Stop():
            return error.lines
        case click.exceptions.NoArgsIsHelpError():
            return error.format_message().splitlines()
        case click.UsageError():
            path = error.ctx.command_path if error.ctx is not None else "taskq"
            return [f"{path}: {error.format_message()}", f"Try: {path} --help"]
        case click.ClickException():
            return [error.format_message()]
        case click.Abort() | KeyboardInterrupt() | EOFError():
            return ["Interrupted."]
        case ConfigurationError():
            return [_problem(str(problem)) for problem in error.problems]
        case TaskqError():
            return [str(error), *getattr(error, "__notes__", ())]
        case OSError() if error.strerror:
            named = f" ({error.filename})" if error.filename else ""
            return [f"{error.strerror}{named}."]
        case _:
            text = " ".join(str(error).split())
            return [
                f"Unexpected: {type(error).__name__}{f': {text}' if text else ''}",
                "Try: the same command with --debug, which shows where.",
            ]


def _problem(text: str) -> str:
    """A problem whose value nobody set has no place to be named."""
    bare = text.removeprefix("default: ")
    return bare if bare == text else bare[:1].upper() + bare[1:]
