"""Putting another backend in place of the application's, for one test."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from types import FrameType, MappingProxyType
from typing import Final, get_args
from weakref import WeakKeyDictionary

from taskq import config, plugins
from taskq.app import TaskQ
from taskq.application import application_in_force, using
from taskq.broker import Broker
from taskq.errors import nearest
from taskq.registry import DEFAULT
from taskq.testing import stores
from taskq.testing.brokers import News, Switched
from taskq.testing.clock import Clock
from taskq.testing.expectation import listed
from taskq.testing.ledger import Ledger
from taskq.testing.queue import Leftover, Mode, Queue

__all__ = ["LeftoverJobs", "swapped"]

_places: Final[WeakKeyDictionary[TaskQ, str]] = WeakKeyDictionary()
"""Where each application that a test swapped in was swapped in, for whoever does it twice."""


class LeftoverJobs(UserWarning):
    """A test ended, and jobs still wait."""


class JobsLeft(AssertionError):
    """A test ended, jobs still wait, and that is an error."""


@contextmanager
def swapped(*, mode: Mode = "queued", backend: object = "memory", leftover: Leftover = "ignore") -> Iterator[Queue]:
    """Put another backend in force, empty and of this test alone; everything else stays as it is configured.

    Jobs find it wherever they were defined, and whoever enqueues them. Which threads see it: see `taskq.using`.

    Args:
        mode: what becomes of a job that is enqueued. "queued": it waits until the test performs it. "inline": it is
            performed within `enqueue`, and what it raises rises there. "worker": a worker in a thread takes it.
        backend: the name of a backend ("memory", "sqlite", "fakeredis", "redis", or another that is installed), of
            which a store of its own is made; or a URL, a client object or a `Broker`, taken as it is.
        leftover: what is done where jobs still wait at the end. "report": a warning `LeftoverJobs`. "error": an
            AssertionError.

    Raises:
        RuntimeError: a backend is swapped in already; modes do not nest.
        taskq.testing.stores.NoStore: no store of this backend can be had here; it says why.
    """
    __tracebackhide__ = True
    _check("mode", mode, Mode)
    _check("leftover", leftover, Leftover)
    former = application_in_force()
    if former is not None and former in _places:
        raise RuntimeError(
            f"A test has its backend already, swapped in {_places[former]}; a second one within it would hide what "
            "was enqueued so far. Say the mode where it is swapped in: @pytest.mark.taskq(mode=...), "
            "swapped(mode=...). For a worker beside a part of a test: with queue.worker()."
        )
    with ExitStack() as leaving:
        source = stores.fresh(backend) if isinstance(backend, str) and "://" not in backend else backend
        broker = plugins.open_broker(source, place="swapped(backend=...)")
        if broker is not source:
            leaving.callback(broker.close)
        queue = _queue(former, broker, mode, leftover)
        _places[queue.app] = _caller()
        leaving.enter_context(using(queue.app))
        with queue.worker() if mode == "worker" else nullcontext():
            yield queue
        _look_for_leftovers(queue)


def _queue(former: TaskQ | None, broker: Broker, mode: Mode, leftover: Leftover) -> Queue:
    """The application as it is configured, but for its broker, and with the ledger around all that it performs."""
    news, clock = News(), Clock(broker.now)
    switched = Switched(broker, clock, news)
    base = config.load(call={"broker": broker}) if former is None else former.config
    registry = DEFAULT if former is None else former.registry
    ledger = Ledger(registry, news)
    changed = dataclasses.replace(
        base,
        broker=switched,
        inline=mode == "inline",
        hooks=(ledger, *base.hooks),
        sources=MappingProxyType({**base.sources, "broker": "taskq.testing"}),
    )
    app = TaskQ(changed, registry=registry)
    return Queue(app, mode=mode, leftover=leftover, ledger=ledger, switched=switched, clock=clock, news=news)


def _look_for_leftovers(queue: Queue) -> None:
    __tracebackhide__ = True
    left = [] if queue.leftover == "ignore" else queue.enqueued()
    if not left:
        return
    message = (
        f"{queue.test} is over, and {len(left)} job{'s wait' if len(left) > 1 else ' waits'} still:\n{listed(left)}"
    )
    if queue.leftover == "error":
        raise JobsLeft(message)
    warnings.warn(message, LeftoverJobs, stacklevel=4)


def _check(name: str, value: object, allowed: object) -> None:
    __tracebackhide__ = True
    choices = get_args(allowed)
    if value not in choices:
        near = nearest(value, choices) if isinstance(value, str) else None
        meant = f" Did you mean {near}?" if near else ""
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}.{meant}")


def _caller() -> str:
    """Where the test said that it wants its backend swapped: the first line that is not ours."""
    frame = sys._getframe(1)  # noqa: SLF001
    while frame.f_back is not None and _module(frame).startswith(("taskq.testing", "contextlib")):
        frame = frame.f_back
    if _module(frame).startswith("_pytest"):
        return "by the fixture queue, a marker or taskq_mode"
    if _module(frame).startswith("unittest"):
        return "by QueueMixin"
    return f"at {frame.f_code.co_filename}:{frame.f_lineno}"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
