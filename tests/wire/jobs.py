"""The jobs of the recordings, in Python. They print what Ruby's printed, in Ruby's notation.

A worker performs them with `--app tests.wire.jobs:app`. They have a registry of their own: their names are short.
"""

from __future__ import annotations

import functools
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import taskq
from taskq import DontPerform, TaskQ, envelope
from taskq.errors import TermException
from taskq.registry import Registry

REGISTRY = Registry()
app = TaskQ(registry=REGISTRY)
job = functools.partial(taskq.job, registry=REGISTRY)


def say(text: str, args: tuple[object, ...] | None = None) -> None:
    """Print a line, as whole as a log line. Arguments as Ruby shows them."""
    print(text if args is None else f"{text} {envelope.inspect(args)}", flush=True)


class Boom(Exception):
    """The recordings' own exception."""


class App:
    class Boom(Exception):
        """One with a namespace."""


def work_for(seconds: float) -> None:
    """Be busy for so long; where `WIRE_GATE` names a pipe, until a test opens it."""
    gate = os.environ.get("WIRE_GATE")
    if gate is None:
        time.sleep(seconds)
    else:
        pipe = os.open(gate, os.O_RDONLY | os.O_NONBLOCK)
        opened = select.poll()
        opened.register(pipe, select.POLLIN)  # and for its other end having been opened and closed
        # Again and again: a signal that comes right before a system call is heard only after it.
        while not opened.poll(20):
            pass
        os.close(pipe)


# ---- what boot.rb defines for most recordings


@job(queue="jobs")
class Ok:
    @staticmethod
    def perform(*args: object) -> None:
        say("performed", args)


@job(queue="jobs")
class Bad:
    @staticmethod
    def perform(*args: object) -> None:
        raise Boom(f"bad {envelope.inspect(args)}")


@job(queue="jobs")
class Long:
    @staticmethod
    def perform(seconds: float) -> None:
        say("long began")
        work_for(seconds)
        say("long done")


# ---- 01, 02, 04, 05


@job(queue="types")
class Types:
    @staticmethod
    def perform(*args: object) -> None:
        say("performed", args)


@job(queue="plain")
class Plain:
    @staticmethod
    def perform(*args: object) -> None:
        """Nothing."""


@job(queue="from_method")
class ByMethod(Plain):
    """In Ruby its queue is what its method `queue` says."""


@job(queue="nested:queue", name="Outer::Inner::Job")
class OuterInnerJob(Plain):
    """A class within modules."""


@job
class NoQueue(Plain):
    """One that says no queue."""


@job(queue="mail")
class Mail(Plain):
    """To be dequeued."""


@job(queue="mail")
class Sms(Plain):
    """One beside it."""


# ---- 03

calls: list[list[object]] = []
"""What the hook methods of `Hooked` were called with."""


@job(queue="hooked")
class Hooked:
    @staticmethod
    def perform(*args: object) -> None:
        """Nothing."""

    @staticmethod
    def before_enqueue_b(*args: object) -> None:
        calls.append(["before_enqueue_b", list(args)])

    @staticmethod
    def before_enqueue(*args: object) -> None:
        calls.append(["before_enqueue", list(args)])

    @staticmethod
    def before_enqueue_a(*args: object) -> bool:
        calls.append(["before_enqueue_a", list(args)])
        return args != ("stop",)

    @staticmethod
    def after_enqueue_x(*args: object) -> None:
        calls.append(["after_enqueue_x", list(args)])

    @staticmethod
    def before_dequeue_x(*args: object) -> bool:
        calls.append(["before_dequeue_x", list(args)])
        return args != ("keep",)

    @staticmethod
    def after_dequeue_x(*args: object) -> None:
        calls.append(["after_dequeue_x", list(args)])


@job(queue="raises")
class Raises(Plain):
    @staticmethod
    def before_enqueue_x(*args: object) -> None:
        raise RuntimeError("no")


@job(queue="raises_after")
class RaisesAfter(Plain):
    @staticmethod
    def after_enqueue_x(*args: object) -> None:
        raise RuntimeError("after")


# ---- 07


@job(queue="jobs")
class Fail:
    @classmethod
    def perform(cls, how: str, rest: dict[str, object]) -> None:
        getattr(cls, how)()

    @classmethod
    def boom(cls) -> None:
        cls.deeper()

    @staticmethod
    def deeper() -> None:
        raise App.Boom('it broke: é 😀 </b> "q"\nsecond line')

    @staticmethod
    def cause() -> None:
        try:
            raise App.Boom("inner")
        except App.Boom as inner:
            raise ValueError("outer") from inner

    @staticmethod
    def nomsg() -> None:
        raise App.Boom

    @staticmethod
    def latin() -> None:
        raise RuntimeError("été")  # a text has no encoding in Python

    @staticmethod
    def badutf() -> None:
        raise RuntimeError("bad \udcff utf")

    @staticmethod
    def binary() -> None:
        raise RuntimeError("bad \udcff bytes")

    @staticmethod
    def nobt() -> None:
        raise RuntimeError("no backtrace")


# ---- 08


@job(queue="jobs")
class Dont:
    @staticmethod
    def before_perform_x(*args: object) -> None:
        raise DontPerform

    @staticmethod
    def perform(*args: object) -> None:
        say("never")


@job(queue="jobs")
class Order:
    @staticmethod
    def before_perform(*args: object) -> None:
        say("before")

    @staticmethod
    def before_perform_b(*args: object) -> None:
        say("before_b", args)

    @staticmethod
    def before_perform_a(*args: object) -> None:
        say("before_a")

    @staticmethod
    def around_perform_b(*args: object) -> Iterator[None]:
        say("around_b in")
        yield
        say("around_b out value")

    @staticmethod
    def around_perform_a(*args: object) -> Iterator[None]:
        say("around_a in")
        yield
        say("around_a out")

    @staticmethod
    def perform(*args: object) -> None:
        say("perform")
        if args == ("fail",):
            raise RuntimeError("x")

    @staticmethod
    def after_perform_a(*args: object) -> None:
        say("after_a")

    @staticmethod
    def on_failure_b(error: BaseException, *args: object) -> None:
        say(f"on_failure_b {type(error).__name__}", args)

    @staticmethod
    def on_failure_a(error: BaseException, *args: object) -> None:
        say("on_failure_a")


@job(queue="jobs")
class NoYield:
    @staticmethod
    def around_perform_x(*args: object) -> None:
        say("no yield")

    @staticmethod
    def perform(*args: object) -> None:
        say("never")

    @staticmethod
    def after_perform_x(*args: object) -> None:
        say("after ran although perform did not")


@job(queue="jobs")
class BadHook:
    @staticmethod
    def perform(*args: object) -> None:
        raise RuntimeError("original")

    @staticmethod
    def on_failure_x(error: BaseException, *args: object) -> None:
        raise RuntimeError("hook broke")


# ---- 09, 12


@job(queue="jobs")
class Odd:
    @staticmethod
    def perform(*args: object) -> None:
        say("odd", args)


@job(queue="jobs")
class DashedJob:
    @staticmethod
    def perform(*args: object) -> None:
        say("DashedJob", args)


@job(queue="jobs", name="Outer::Inner")
class OuterInner:
    @staticmethod
    def perform(*args: object) -> None:
        say("Outer::Inner", args)


@job(queue="jobs")
class TwoArgs:
    @staticmethod
    def perform(first: object, second: object) -> None:
        say("performed", (first, second))


@job(queue="jobs")
class KwArgs:
    @staticmethod
    def perform(first: object, *, opt: object = None) -> None:
        say("performed", (first, opt))


# ---- 13, 16, 32


@job(queue="jobs")
class Die:
    @staticmethod
    def on_failure_x(error: BaseException, how: str) -> None:
        say(f"on_failure {type(error).__name__} {error}")

    @staticmethod
    def perform(how: str) -> None:
        match how:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "abrt":
                os.abort()
            case "exit 1":
                sys.exit(1)
            case "exit 0":
                sys.exit(0)
            case "exit! 1":
                os._exit(1)
            case "exit! 0":
                os._exit(0)
            case "abort":
                sys.exit("aborted")
            case "interrupt":
                raise KeyboardInterrupt
            case "signalexc":
                os.kill(os.getpid(), signal.SIGHUP)
            case "throw":
                raise StopIteration("nowhere")
            case "script":
                raise NotImplementedError("not yet")


@job(queue="jobs")
class Rescues:
    @staticmethod
    def perform() -> None:
        try:
            say("began")  # from here on it may be told to end
            work_for(60.0)
        except TermException as error:
            say(f"rescued {type(error).__name__} {error}")


@job(queue="jobs")
class Ignores:
    @staticmethod
    def perform() -> None:
        begun = False
        while True:
            try:
                if not begun:
                    begun = True
                    say("began")
                work_for(60.0)
            except TermException:
                say("ignoring")


@job(queue="jobs")
class Long2(Long):
    """As Long."""


@job(queue="jobs")
class Exits:
    @staticmethod
    def perform(how: str) -> None:
        if how == "exit!":
            os._exit(3)
        sys.exit()


# ---- 31


@job(queue="jobs")
class Shown:
    """Tells of its hooks what it is given. `Ok` in the recording."""

    @staticmethod
    def before_perform_x(*args: object) -> None:
        say("before_perform", args)

    @staticmethod
    def perform(*args: object) -> None:
        say("performed", args)

    @staticmethod
    def after_enqueue_x(*args: Any) -> None:
        say("after_enqueue", args)


@job(queue="jobs")
class Stops:
    @staticmethod
    def before_enqueue_x(*args: object) -> bool:
        return False

    @staticmethod
    def perform(*args: object) -> None:
        say("never")
