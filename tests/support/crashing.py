"""The fault jobs, in a process that kills itself at a given command to Redis: `TASKQ_TEST_CRASH="after 7"`.

With `TASKQ_TEST_CRASH_ONCE` it is the first of its children to get there, and no other: the file that this names says
that it happened.

Whatever way a command takes, it leaves by a method of redis-py's connection that sends packed bytes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import redis.connection

from tests.support.fault_jobs import *  # noqa: F403

_when, _, _at = os.environ["TASKQ_TEST_CRASH"].partition(" ")
_once = os.environ.get("TASKQ_TEST_CRASH_ONCE")
_sent = 0
_process = os.getpid()
_send: Callable[..., None] = redis.connection.AbstractConnection.send_packed_command


def _send_and_die(self: Any, *args: Any, **kwargs: Any) -> None:
    global _sent
    if (os.getpid() != _process) != bool(_once):
        _send(self, *args, **kwargs)
        return
    _sent += 1
    if _when == "before" and _sent == int(_at):
        _die()
    _send(self, *args, **kwargs)
    if _when == "after" and _sent == int(_at):
        _die()


def _die() -> None:
    if _once:
        try:
            os.close(os.open(_once, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
    os.kill(os.getpid(), signal.SIGKILL)


redis.connection.AbstractConnection.send_packed_command = _send_and_die  # type: ignore[method-assign]
