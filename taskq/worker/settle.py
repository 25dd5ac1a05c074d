"""From an outcome to the broker. Nothing else calls `finish`, `release` or `fail`.

A crash before any of these leaves the job in hand: whoever finds it fails or requeues it. A crash after one of them
leaves it settled, whatever this process still meant to say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, assert_never

from taskq import events
from taskq.failure_handler import Decision, Discard, Fail, Quarantine, Retry
from taskq.hook import Settled
from taskq.outcome import Crashed, Done, Failed, NotBegun, Outcome, Postponed
from taskq.performing import Task
from taskq.records import Again, Crash, ErrorRecord, Reserved
from taskq.recovering import entry_for
from taskq.worker.hand import Hand
from taskq.worker.seat import Seat, Unseated

__all__ = ["Settling"]


class Settling:
    """Settles outcomes, one after another. Jobs that ended well wait for the next call to settle them as well."""

    def __init__(self, seat: Seat, hand: Hand, tell: events.Tell) -> None:
        """Nothing waits yet."""
        self._seat = seat
        self._hand = hand
        self._tell = tell
        self._done: list[tuple[Task, Done]] = []

    def settle(self, task: Task, outcome: Outcome, now: Callable[[], float]) -> None:
        """Tell the broker how a job ended; where it ended well, with the next call.

        Args:
            task: the job.
            outcome: how it ended.
            now: the broker's time, asked where it failed.

        Raises:
            GaveUp: the worker was told to end while the broker was away.
        """
        match outcome:
            case Done(seconds):
                self._done.append((task, outcome))
            case Failed(error, decision, seconds):
                self._carry_out(task, error, decision, seconds, now())
            case Crashed(crash, decision, seconds):
                self._carry_out(task, crash, decision, seconds, now())
            case Postponed():
                self._postpone(task, outcome, now())
                return
            case NotBegun(waits=waits):
                self._put_back(task, front=not waits)
                return
            case _:
                assert_never(outcome)
        self._hand.ran(seconds)

    def reserve(self, queues: tuple[str, ...]) -> Reserved:
        """Reserve, and settle with the same call what ended well.

        Raises:
            GaveUp: the worker was told to end while the broker was away.
            Unseated: see `Seat.register`.
        """
        limit = self._hand.limit
        if not self._done:
            return self._seat.reserve(queues, limit=limit)
        try:
            reserved = self._seat.reserve(queues, limit=limit, settled=self._done[-1][0].reservation)
        except Unseated:
            self._say_done(False)
            raise
        self._say_done(reserved.settled)
        if not reserved.settled and not reserved.jobs:  # then nothing was looked for; the queues may be full
            return self._seat.reserve(queues, limit=limit)
        return reserved

    def noted(self) -> None:
        """A job that was held ahead has begun, which was noted: those before it are done, as far as is known here."""
        self._say_done(True)

    def finish(self) -> None:
        """Settle what ended well and give back what has not begun, without taking another job.

        Raises:
            GaveUp: the worker was told to end while the broker was away.
        """
        if self._done:  # first: what is held may have to wait for a broker that cannot say what else there is
            self._say_done(self._seat.finish(self._done[-1][0].reservation))
        self._hand.give_back()

    def _carry_out(
        self, task: Task, cause: ErrorRecord | Crash, decision: Decision, seconds: float, failed_at: float
    ) -> None:
        held = task.reservation
        match decision:
            case Fail(by_queue=by_queue) | Quarantine(by_queue=by_queue):
                settled = self._seat.fail(held, entry_for(task, cause, decision, failed_at), by_queue=by_queue)
                became: Literal["failed", "retried", "discarded"] = "failed"
            case Retry(front=front, body=body, at=at, recorded=recorded):
                again = Again(body, front, at)
                self._say_settling(task, "retried", cause, decision, seconds)
                if recorded:
                    entry = entry_for(task, cause, decision, failed_at)
                    settled = self._seat.fail(held, entry, by_queue=False, again=again)
                else:
                    settled = self._seat.release(held, again)
                became = "retried"
            case Discard():
                settled = self._seat.finish(held)
                became = "discarded"
            case _:
                assert_never(decision)
        self._say_done(True)  # what failed may be another's by now; those before it were noted when it began
        if not settled:
            self._hand.lost()
        self._say(task, became if settled else "refused", cause=cause, decision=decision, seconds=seconds)

    def _postpone(self, task: Task, outcome: Postponed, now: float) -> None:
        """It waits among the delayed jobs, in no worker."""
        decision = Retry(body=outcome.body, at=now + outcome.seconds)
        self._say_settling(task, "postponed", None, decision, 0.0, outcome.reason)
        settled = self._seat.release(task.reservation, Again(decision.body, front=False, at=decision.at))
        self._say_done(True)
        if not settled:
            self._hand.lost()
        self._say(task, "postponed" if settled else "refused", decision=decision, seconds=0.0, reason=outcome.reason)

    def _put_back(self, task: Task, *, front: bool) -> None:
        """Put what could not be begun to the front of its queue, ahead of what this worker took behind it; or last."""
        self._hand.give_back()
        self._seat.release(task.reservation, Again(front=front))
        self._say_done(True)

    def _say_done(self, settled: bool) -> None:
        """All but the last were noted as done when the one behind them began."""
        done, self._done = self._done, []
        for place, (task, outcome) in enumerate(done, 1):
            self._say(task, "done" if settled or place < len(done) else "refused", seconds=outcome.seconds)

    def _say_settling(
        self,
        task: Task,
        outcome: Literal["retried", "postponed"],
        cause: ErrorRecord | Crash | None,
        decision: Decision,
        seconds: float,
        reason: str = "",
    ) -> None:
        """Before it goes back: once it is there, another worker may perform it, and end it, at once."""
        settled = Settled(task.reservation, outcome, cause, decision, seconds, reason=reason)
        self._tell(events.SettlingJob(task, settled))

    def _say(
        self,
        task: Task,
        outcome: Literal["done", "failed", "retried", "discarded", "postponed", "refused"],
        *,
        seconds: float,
        cause: ErrorRecord | Crash | None = None,
        decision: Decision | None = None,
        reason: str = "",
    ) -> None:
        settled = Settled(task.reservation, outcome, cause, decision, seconds, reason=reason)
        self._tell(events.SettledJob(task, settled))
