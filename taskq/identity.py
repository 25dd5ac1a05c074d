"""Who this process is, for others to judge whether it lives, and the ids a worker may take.

Only a process that shares boot and pid namespace can say of another that it is gone: elsewhere the same pid is somebody
else's, and containers share host names and pid 1.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from taskq.records import ProcessIdentity

__all__ = ["ids", "is_gone", "this_process", "watch"]


def this_process() -> ProcessIdentity:
    """This process, as others will compare it."""
    pid = os.getpid()
    return ProcessIdentity(
        host=socket.gethostname(),
        boot=_read("/proc/sys/kernel/random/boot_id"),
        namespace=_link("/proc/self/ns/pid"),
        pid=pid,
        started=_started(pid) or "",
    )


def is_gone(process: ProcessIdentity, judge: ProcessIdentity) -> bool:
    """Whether `process` is gone, as far as `judge` can say: False where they share no boot or no pid namespace.

    A pid that is used again is told by its start; a zombie is gone, for nothing of it will ever run again.
    """
    if not judge.boot or not judge.namespace:
        return False
    if (process.boot, process.namespace) != (judge.boot, judge.namespace):
        return False
    started = _started(process.pid)
    return started is None or (bool(started and process.started) and started != process.started)


def watch(process: ProcessIdentity, judge: ProcessIdentity) -> int | None:
    """A file descriptor that becomes readable when the process dies; None where there is none to be had."""
    if not judge.boot or (process.boot, process.namespace) != (judge.boot, judge.namespace):
        return None
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(process.pid)
    except OSError:
        return None


def ids(host: str, queues: str, *, first: int = 0) -> Iterator[str]:
    """The ids this process may take, in order: `host:pid:queues`, then `host+1:pid:queues`, and so on.

    Ruby's pruner looks only at ids of its own host name: one with another host part is left alone (WIRE.md section 8).
    """
    number = first
    while True:
        yield f"{host}{f'+{number}' if number else ''}:{os.getpid()}:{queues}"
        number += 1


def _started(pid: int) -> str | None:
    """When a process of this pid namespace started, in the kernel's ticks; None where it is gone or a zombie.

    Empty where it lives but its start cannot be seen: /proc may hide what other users run (mount option hidepid).
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return _signalled(pid)
    state, *rest = stat.rpartition(")")[2].split()  # the name in parentheses may hold anything
    return None if state in {"Z", "X"} else rest[18]


def _signalled(pid: int) -> str | None:
    """None where there is no such process, else empty: a signal tells no more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass
    return ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
