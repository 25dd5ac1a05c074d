"""`taskq web`: the dashboard on a port of this machine."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

import click

from taskq import TaskqError
from taskq.broker import Capability
from taskq.cli.output import complain, say
from taskq.cli.session import common, examples, hide_command_line, the_session
from taskq_web.access import Access, BasicAuth, accounts, everybody, is_loopback, this_machine

if TYPE_CHECKING:
    from taskq import TaskQ

__all__ = ["port_of", "web"]


@click.command(epilog=examples("taskq web", "taskq web --demo", "TASKQ_WEB_AUTH=ops:secret taskq web --host 0.0.0.0"))
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=5678, show_default=True, help="0 is any that is free.")
@click.option("--read-only", is_flag=True, help="Nobody may change anything.")
@click.option("--demo", is_flag=True, help="With example jobs and a worker that performs them, in a temporary file.")
@click.option(
    "--no-auth-i-mean-it", is_flag=True, help="Let anyone in who reaches it, to read and to delete, without a password."
)
@click.option(
    "--behind-proxy", type=click.IntRange(min=0), default=0, metavar="N",
    help="Trust what so many proxies in front say: X-Forwarded-For, -Proto, -Host, -Prefix.",
)  # fmt: skip
@click.option(
    "--origin", multiple=True, metavar="URL", help="Where its pages are for a browser, as in https://x.example."
)
@click.option("--prefix", default="", metavar="PATH", help="The path below which a proxy has it, as in /taskq.")
@click.option("--threads", type=click.IntRange(1, 64), default=4, show_default=True, help="Requests at once.")
@common
def web(
    host: str,
    port: int,
    read_only: bool,
    demo: bool,
    no_auth_i_mean_it: bool,
    behind_proxy: int,
    origin: Sequence[str],
    prefix: str,
    threads: int,
) -> None:
    """Show queues, workers and failures in a browser, and steer them.

    It listens on this machine alone. Beyond it, it asks for a name and a password: TASKQ_WEB_AUTH=user:password, for
    those who may do everything, TASKQ_WEB_AUTH_RETRY for those who may retry, TASKQ_WEB_AUTH_READ for those who look.
    """
    hide_command_line("taskq web")
    from waitress.server import create_server

    from taskq_web.dashboard import Dashboard

    # Whoever says where a proxy has it has one, and through that come others.
    access = _access(host, everyone=no_auth_i_mean_it, behind_proxy=bool(behind_proxy or prefix or origin))
    prefix = _below(prefix)
    with ExitStack() as ending:
        app = ending.enter_context(_demonstration()) if demo else the_session().connected()
        dashboard = Dashboard(app, access=access, read_only=read_only, proxies=behind_proxy, origins=origin)
        try:
            server = create_server(
                dashboard, host=host, port=port, threads=threads, url_prefix=prefix, ident="taskq",
                clear_untrusted_proxy_headers=False,
            )  # fmt: skip
        except OSError as wrong:
            raise click.ClickException(_cannot_listen(host, port, wrong)) from None
        except ValueError:  # waitress's word for a name that leads nowhere
            raise click.ClickException(_cannot_listen(host, port, OSError("there is no such host"))) from None
        ending.callback(server.close)
        # Asked to end, it ends as by Ctrl-C: what it started (the worker of the demonstration) ends with it.
        signal.signal(signal.SIGTERM, _end)
        if Capability.SHARED not in app.broker.capabilities:
            complain(
                f"No other process reaches {app.broker.address}, neither a worker nor an application. "
                "What several processes of one machine share: --broker sqlite:///taskq.db"
            )
        try:
            app.load()
        except TaskqError as wrong:
            complain(f"{wrong} Until that is mended nothing can be enqueued or edited here; all else works.")
        say(f"The dashboard is at {_shown(host, port_of(server), prefix)} (Ctrl-C ends it).")
        server.run()


def _demonstration() -> AbstractContextManager[TaskQ]:
    # Imported only here: its jobs are registered with that, and are not the application's.
    from taskq_web.demonstration import demonstration

    return demonstration()


def _access(host: str, *, everyone: bool, behind_proxy: bool) -> Access:
    """Who may come in.

    Raises:
        ClickException: nobody would be asked for a password, and others can reach it.
    """
    known = accounts(os.environ)
    if known and everyone:
        raise click.UsageError(
            "TASKQ_WEB_AUTH is set: with --no-auth-i-mean-it nobody would be asked. Take one of them."
        )
    if known:
        return BasicAuth(known)
    if everyone:
        # On this machine alone a page of another site could still lead a browser here by a name of its own.
        return this_machine if is_loopback(host) and not behind_proxy else everybody
    if behind_proxy or not is_loopback(host):
        where = f"on {host}" if not is_loopback(host) else "behind a proxy"
        raise click.ClickException(
            f"Refused to listen {where} without authentication: anyone who reaches it can delete jobs. "
            "Set TASKQ_WEB_AUTH=user:password, or pass --no-auth-i-mean-it."
        )
    return this_machine


def _below(prefix: str) -> str:
    """The path of a prefix, with a slash before it and none behind it; empty for none."""
    if not prefix.isascii():
        raise click.UsageError(f"--prefix is a path as an address writes it, as in /taskq, and not {prefix}")
    return f"/{path}" if (path := prefix.strip("/")) else ""


def _shown(host: str, port: int, prefix: str) -> str:
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - it is only shown
        host = socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{prefix}/"


def port_of(server: object) -> int:
    """The port that it listens on. A name that means several addresses has a socket for each."""
    several: Sequence[tuple[str, int]] = getattr(server, "effective_listen", ())
    return several[0][1] if several else int(getattr(server, "effective_port", 0))


def _cannot_listen(host: str, port: int, wrong: OSError) -> str:
    if wrong.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else 0
        return f"Something listens on {host}:{port} already. Another port: taskq web --port {other}"
    return f"Cannot listen on {host}:{port}: {wrong.strerror or wrong}. Another address: taskq web --host 127.0.0.1"


def _end(number: int, frame: object) -> None:
    sys.exit(0)
