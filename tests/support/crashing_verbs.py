"""`python -m tests.support.crashing_verbs URL VERB`: a verb of delayed jobs, killed at each command in turn.

For each line on standard input a child performs the verb and kills itself right after the next command to Redis, or in
front of the next SQL statement; a line on standard output says whether it got to its end. The line that came in is
where it is to die, so that the test may leave some out.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

import redis.connection

import taskq
from taskq_redis import wire

ME = "host:1:scheduler"
SCHEDULED = 4_000_000_000.0
"""When the jobs of the test are due."""

_left = sys.maxsize


def _count() -> None:
    global _left
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def _counting(send: Callable[..., None]) -> Callable[..., None]:
    def send_and_count(*args: Any, **kwargs: Any) -> None:
        send(*args, **kwargs)
        _count()

    return send_and_count


wire.Plain.send = _counting(wire.Plain.send)  # type: ignore[method-assign]
_Theirs = redis.connection.AbstractConnection
_Theirs.send_packed_command = _counting(_Theirs.send_packed_command)  # type: ignore[method-assign]

_connect = sqlite3.connect


def _connect_and_count(*args: Any, **kwargs: Any) -> sqlite3.Connection:
    connection: sqlite3.Connection = _connect(*args, **kwargs)
    connection.set_trace_callback(lambda _: _count())
    return connection


sqlite3.connect = _connect_and_count  # type: ignore[assignment]


def call(app: taskq.TaskQ, number: int) -> taskq.Call:
    return app.options(queue="q").call("Job", number)


def schedule(app: taskq.TaskQ) -> None:
    app.options(queue="q").enqueue_in(3600, "Job", 7)
    app.enqueue_many([app.options(queue="q", delay=3600.0 + number).call("Job", number) for number in (8, 9)])


def promote(app: taskq.TaskQ) -> None:
    app.delayed.enqueue_now(call(app, 1))
    app.delayed.enqueue_all_at(SCHEDULED)


def remove(app: taskq.TaskQ) -> None:
    app.delayed.remove(call(app, 1))
    app.delayed.remove_all("Job")


def cancel(app: taskq.TaskQ) -> None:
    app.cancel(call(app, 2))
    app.delayed.clear()


def move(app: taskq.TaskQ) -> None:
    broker = app.broker
    broker.claim_schedule(ME, 60)
    broker.promote_due(ME, SCHEDULED, 2)
    last = broker.last_fired(["tick"]).get("tick", 0.0)
    broker.fire(ME, "tick", last + 1, "ticks", [b'{"class":"Job","args":[1]}'])
    broker.promote_due(ME, SCHEDULED + 1, 1000)
    broker.fire(ME, "tick", last + 2, "ticks", [b'{"class":"Job","args":[2]}'])
    broker.give_up_schedule(ME)


VERBS: dict[str, Callable[[taskq.TaskQ], None]] = {
    verb.__name__: verb for verb in (schedule, promote, remove, cancel, move)
}


def main(url: str, verb: str) -> None:
    global _left
    with taskq.TaskQ(broker=url) as app:
        app.delayed.list()  # whatever is imported late is there for every child
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _left = int(line)
            with taskq.TaskQ(broker=url) as app:
                VERBS[verb](app)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print("died" if os.WIFSIGNALED(status) else "ended" if status == 0 else f"failed {status}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
