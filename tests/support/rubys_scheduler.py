"""What resque-scheduler 5.0 does on the wire, command by command, in its own order (WIRE.md section 9; [45] to [47]).

It stands in for the Ruby program where that is not installed; tests/faults compares its order with the recordings. Each
verb is a generator that stops in front of every command, so that a test can have somebody else act there.

`python -m tests.support.rubys_scheduler URL LOCK [COMMAND]` moves what is due until it is killed, and kills itself in
front of the given command; its lock lives so many seconds. It polls every .02 s instead of every 5.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Generator
from typing import Any, TypeAlias

import redis

__all__ = ["LOCK", "RubysScheduler", "finish"]

LOCK = "resque:resque:resque_scheduler_master_lock"
TIMES = "resque:delayed_queue_schedule"

_ACQUIRE = """if redis.call('SETNX', KEYS[1], ARGV[1]) == 1
then
  redis.call('EXPIRE', KEYS[1], %d)
  return 1
else
  return 0
end
"""
_HOLD = """if redis.call('GET', KEYS[1]) == ARGV[1]
then
  redis.call('EXPIRE', KEYS[1], %d)

  if redis.call('GET', KEYS[1]) == ARGV[1]
  then
    return 1
  end
end

return 0
"""

Steps: TypeAlias = Generator[str, None, None]


def finish(steps: Steps) -> None:
    """Do all that is left of a verb."""
    for _ in steps:
        pass


class RubysScheduler:
    """One of them, on a connection of its own.

    Args:
        url: where the queues are.
        name: HOST:PID, as it stands in the lock.
        lock: seconds that the lock outlives it; Ruby's own are 180.
        ahead: seconds by which its clock is ahead.
        batch: jobs moved at once (DELAYED_REQUEUE_BATCH_SIZE).
    """

    def __init__(
        self, url: str, name: str = "localhost:4711", *, lock: int = 180, ahead: float = 0.0, batch: int = 100
    ) -> None:
        self._client = redis.Redis.from_url(url)
        self._connection = self._client.connection_pool.get_connection()
        self._name = name
        self._lock = lock
        self._ahead = ahead
        self._batch = batch
        self.commands: list[str] = []
        self.answer: Any = None

    def close(self) -> None:
        self._client.connection_pool.release(self._connection)
        self._client.close()

    def _ask(self, *words: object) -> Steps:
        """Stop, then send one command and keep its answer."""
        yield str(words[0])
        self.commands.append(str(words[0]))
        self._connection.send_command(*words)  # type: ignore[no-untyped-call]
        self.answer = self._connection.read_response()

    def is_master(self) -> Steps:
        """Take the lock, or hold it longer. `answer` is 1 where it is this one's."""
        yield from self._ask("EVAL", _ACQUIRE % self._lock, 1, LOCK, self._name)
        if self.answer != 1:
            yield from self._ask("EVAL", _HOLD % self._lock, 1, LOCK, self._name)

    def release(self) -> Steps:
        yield from self._ask("EVAL", _HOLD % self._lock, 1, LOCK, self._name)
        if self.answer == 1:
            yield from self._ask("DEL", LOCK)

    def round(self) -> Steps:
        """One round of its loop: it asks for the lock once, and moves all that is due."""
        yield from self.is_master()
        if self.answer == 1:
            yield from self.move_what_is_due()

    def move_what_is_due(self) -> Steps:
        """handle_delayed_items, which looks at no lock between two times or two batches."""
        while True:
            now = int(time.time() + self._ahead)
            yield from self._ask("ZRANGEBYSCORE", TIMES, "-inf", now, "LIMIT", 0, 1)
            if not self.answer:
                return
            when = self.answer[0].decode()
            moved = self._batch
            while moved == self._batch:
                moved = yield from self._move_a_batch(when)
            if moved >= 0:
                yield from self._clean_up(when)

    def _move_a_batch(self, when: str) -> Generator[str, None, int]:
        """How many it moved; -1 where somebody changed the list meanwhile, and nothing was done."""
        list_ = f"resque:delayed:{when}"
        yield from self._ask("LRANGE", list_, 0, self._batch - 1)
        items = self.answer
        yield from self._ask("WATCH", list_)
        yield from self._ask("MULTI")
        for item in items:
            said = json.loads(item)
            body = json.dumps({"class": said["class"], "args": said["args"]}, separators=(",", ":"))
            yield from self._ask("SREM", b"resque:timestamps:" + item, f"delayed:{when}")
            yield from self._ask("SADD", "resque:queues", said["queue"])
            yield from self._ask("RPUSH", f"resque:queue:{said['queue']}", body)
        yield from self._ask("LTRIM", list_, self._batch, -1)
        yield from self._ask("EXEC")
        return -1 if self.answer is None else len(items)

    def _clean_up(self, when: str) -> Steps:
        list_ = f"resque:delayed:{when}"
        yield from self._ask("WATCH", list_)
        yield from self._ask("LLEN", list_)
        if self.answer:
            yield from self._ask("UNWATCH")
            return
        yield from self._ask("MULTI")
        yield from self._ask("DEL", list_)
        yield from self._ask("ZREM", TIMES, when)
        yield from self._ask("EXEC")

    # ---- what its clients do

    def enqueue_at(self, when: int, queue: str, job: str, args: list[object]) -> Steps:
        item = _encoded(queue, job, args)
        yield from self._ask("RPUSH", f"resque:delayed:{when}", item)
        yield from self._ask("SADD", f"resque:timestamps:{item}", f"delayed:{when}")
        yield from self._ask("ZADD", TIMES, when, when)

    def remove_delayed(self, queue: str, job: str, args: list[object]) -> Steps:
        item = _encoded(queue, job, args)
        yield from self._ask("SMEMBERS", f"resque:timestamps:{item}")
        for name in sorted(self.answer):
            yield from self._ask("LREM", b"resque:" + name, 0, item)
            yield from self._ask("SREM", f"resque:timestamps:{item}", name)


def _encoded(queue: str, job: str, args: list[object]) -> str:
    return json.dumps({"class": job, "args": args, "queue": queue}, separators=(",", ":"))


def _run(url: str, lock: int, last: int) -> None:
    scheduler = RubysScheduler(url, f"localhost:{os.getpid()}", lock=lock)
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    while not stopped:
        for _ in scheduler.round():
            if len(scheduler.commands) == last:
                os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
    finish(scheduler.release())


if __name__ == "__main__":
    _run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else -1)
