"""The program `taskq`: it finds the command that was typed, runs it, and says how it ended.

A command's module is imported when it is typed, so that each starts quickly, and help with them all imports none.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, Final, NoReturn

import click

from taskq.cli import endings
from taskq.cli.groups import NamingGroup
from taskq.cli.output import complain, say
from taskq.cli.session import Session, common, examples
from taskq.errors import ConfigurationError, Problem, nearest

__all__ = ["COMMANDS", "main", "program"]

# Each in the attribute of its own name, in taskq.cli.<name>; and what help says of it.
COMMANDS: Final = {
    "worker": "Perform jobs.",
    "scheduler": "Move delayed jobs when they are due, and enqueue what recurs.",
    "enqueue": "Enqueue a job.",
    "info": "The figures at a glance.",
    "top": "Watch queues, workers, rates and failures.",
    "queues": "List, peek into, pause and remove queues.",
    "workers": "List workers; check that one is alive; prune the dead.",
    "failed": "List, group, show, requeue, edit and remove failed jobs.",
    "cancel": "Cancel one job, waiting or running.",
    "delayed": "List, enqueue and remove delayed jobs.",
    "schedule": "List, change and run recurring jobs.",
    "jobs": "List the jobs that are registered.",
    "doctor": "Check the set-up, and say what to do.",
    "plugins": "List what is installed, and what of it is enabled.",
    "new": "Write a package for a plugin of your own.",
    "demo": "See jobs succeed, fail and be requeued. Needs nothing but this.",
}


class _Program(NamingGroup):
    """The outermost group. Its commands are found by name; its end is an exit code and a few lines."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *_of_plugins()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            command = getattr(import_module(f"taskq.cli.{cmd_name}"), cmd_name)
            assert isinstance(command, click.Command)
            return command
        return _load_of_plugin(cmd_name) if cmd_name in _of_plugins() else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing and args[0] not in self.list_commands(ctx):
            raise click.UsageError(_no_such_command(args[0], self.list_commands(ctx)), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [*COMMANDS.items(), *((name, "Of a plugin; see taskq plugins.") for name in _of_plugins())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            answer = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read had enough: `taskq failed list | head`. What is left unwritten must not be tried at exit.
            _write_no_more()
            raise click.exceptions.Exit(endings.DONE) from None
        return answer

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run a command line to its end, and exit with its code.

        Raises:
            SystemExit: always.
        """
        session = extra.setdefault("obj", Session())
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError):  # a payload may hold what this terminal's encoding does not
                stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        try:
            answer = super().main(args, prog_name or "taskq", complete_var, False, **extra)
            code = answer if isinstance(answer, int) else endings.DONE
        except (Exception, KeyboardInterrupt) as error:
            code = endings.code_of(error)
            for line in endings.lines_of(error, debug=session.debug, secrets=session.secrets):
                for part in line.split("\n"):
                    complain(part)
            if code == endings.NOT_REACHED and not session.broker_is_said:
                complain(endings.WITHOUT_A_SERVER)
        sys.exit(code)


def _of_plugins() -> Sequence[str]:
    from taskq import plugins

    return [name for name in plugins.names(plugins.COMMANDS) if name not in COMMANDS]


def _load_of_plugin(name: str) -> click.Command:
    from taskq import plugins

    command = plugins.load(plugins.COMMANDS, name)
    if not isinstance(command, click.Command):
        giver = plugins.origin(plugins.COMMANDS, name)
        message = (
            f'the command "{name}" of {giver} is of type {type(command).__name__} and no click command. '
            "Mend or uninstall it."
        )
        raise ConfigurationError([Problem("command", plugins.COMMANDS, message)])
    return command


def _no_such_command(typed: str, known: Sequence[str]) -> str:
    near = nearest(typed, known)
    return f'there is no command "{typed}".' + (
        f" Did you mean {near}?" if near else f" There are: {', '.join(known)}."
    )


def _write_no_more() -> None:
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _show_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from importlib.metadata import version

        say(f"taskq {version('taskq')}")
        context.exit()


@click.group(
    name="taskq",
    cls=_Program,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "taskq demo", "taskq worker --app shop.jobs -v", "taskq enqueue --app shop.jobs Emailer a@example.com"
    ),
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
@common
def program() -> None:
    """Background jobs: enqueue them, perform them, look after them."""


def _open_closed_streams() -> None:
    """Give descriptors 0 to 2 something to be where whoever started us closed them (`>&-`).

    The next socket or pipe would get their numbers else, and what a job or a program that it runs prints go there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            os.set_inheritable(nowhere, nowhere <= 2)
            setattr(sys, name, open(nowhere, mode))  # noqa: SIM115 - as long as the process


def main() -> NoReturn:
    """The entry point."""
    _open_closed_streams()
    try:
        program.main()
    except KeyboardInterrupt:  # a second Ctrl-C, while the first one was being told
        sys.exit(endings.INTERRUPTED)
    finally:
        # From here on there is nothing left to interrupt but the interpreter's own end, which would show a traceback.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
