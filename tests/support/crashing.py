"""The fault jobs, in a process that kills itself at a given command to Redis: `TASKQ_TEST_CRASH="after 7"`.

With `TASKQ_TEST_CRASH_ONCE` it is the first of its children to get there, and no other: the file that this names says
that it happened.

Whatever way a command takes, it leaves by the method of a plain wire that sends packed bytes, or by redis-py's own.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from typing import Any

import redis.connection

from taskq_redis import wire
from tests.support.fault_jobs import *  # noqa: F403

_when, _, _at = os.environ["TASKQ_TEST_CRASH"].partition(" ")
_once = os.environ.get("TASKQ_TEST_CRASH_ONCE")
_commands = itertools.count(1)  # whatever thread sends them
_process = os.getpid()


def _dying(send: Callable[..., None]) -> Callable[..., None]:
    def send_and_die(*args: Any, **kwargs: Any) -> None:
        if (os.getpid() != _process) != bool(_once):
            send(*args, **kwargs)
            return
        number = next(_commands)
        if _when == "before" and number == int(_at):
            _die()
        send(*args, **kwargs)
        if _when == "after" and number == int(_at):
            _die()

    return send_and_die


def _die() -> None:
    if _once:
        try:
            os.close(os.open(_once, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
    os.kill(os.getpid(), signal.SIGKILL)


wire.Plain.send = _dying(wire.Plain.send)  # type: ignore[method-assign]
_Theirs = redis.connection.AbstractConnection
_Theirs.send_packed_command = _dying(_Theirs.send_packed_command)  # type: ignore[method-assign]
