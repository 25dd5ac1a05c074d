"""A worker's place at the broker: its registration, its tokens, its heartbeat, and every call that it makes there.

A call that changes something carries a token, and is asked again with the same one until it is answered. This module
knows nothing of jobs but where a suspected one begins; it holds reservations.
"""

from __future__ import annotations

import contextlib
import copy
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal, Protocol, TypeAlias, TypeVar

from taskq import crashes, events
from taskq.broker import Broker, Capability
from taskq.cancelling import Words
from taskq.errors import BrokerInTrouble, BrokerRefused, BrokerUnavailable, NotRegistered, TaskqError
from taskq.identity import ids
from taskq.performing import Task
from taskq.records import Again, ProcessIdentity, Registration, Reservation, Reserved, Token, Tokens
from taskq.worker.control import LAST_WORDS, Instructions
from taskq.worker.outage import GaveUp, Outage

__all__ = ["Ahead", "Seat", "Tries", "Unseated"]

T = TypeVar("T")

_BEAT_AGAIN: Final = 1.0  # seconds to the next try of a heartbeat that the broker did not answer


Tries: TypeAlias = Literal["once", "while away", "always"]
"""How often an answer is asked for: once; while the broker is away; or always, until it can do what it is asked."""


class Ahead(Protocol):
    """Hears which jobs came of those that were asked for ahead."""

    def __call__(self, tries: Tries) -> Sequence[Reservation] | None:
        """They; empty where this worker was taken for dead; None where nothing was heard in so many tries.

        Raises:
            GaveUp: the worker was told to end while the broker was away.
            BrokerUnavailable: the broker is away for longer than a burst waits.
            BrokerRefused: it will not have us; only where it is tried always.
        """
        ...


class Unseated(Exception):
    """The worker was taken for dead, and this process cannot register it anew."""


class Seat:
    """One registered worker.

    Attributes:
        id: its id, once it is registered.
        outage: whether the broker answers.
        next_beat: when the next heartbeat is due, by the monotonic clock.
        speaks: whether this process makes the worker's calls, not a child that has its place on loan.
        words: what was said at the broker about the end of jobs.
        turn: held for as long as a call is asked: another thread may give back what has not begun.
    """

    def __init__(
        self,
        broker: Broker,
        control: Instructions,
        outage: Outage,
        tell: events.Tell,
        *,
        process: ProcessIdentity,
        host: str,
        queues: str,
        beat: float,
        dead_after: float,
        patience: float,
        number: int = 0,
        hidden: bool = False,
        waits: bool = True,
        requeues: Callable[[], Mapping[str, int]] = dict,
        tokens: Callable[[], Tokens] = Tokens,
    ) -> None:
        """Not registered yet.

        Args:
            broker: where.
            control: what the worker has been told; heard also while the broker is away.
            outage: the state of the connection.
            tell: who is told.
            process: who this is.
            host: the host part of the id.
            queues: the queue part of the id.
            beat: seconds between heartbeats.
            dead_after: the silence after which others may take this worker's jobs.
            patience: seconds that a worker which QUIT stops goes on telling a broker that is away what became of its
                job. What TERM and INT give the job, and a second for last words, is for this too.
            number: what to begin with: 0 is `host`, 1 is `host+1`, and so on (see `identity.ids`).
            hidden: other programs are not told of it.
            waits: whether its first registration waits for a broker that is away.
            requeues: which jobs are requeued when this worker dies with them, and how often; asked when it registers.
            tokens: makes the tokens of one registration.
        """
        self._broker = broker
        self._control = control
        self.outage = outage
        self._tell = tell
        self._process = process
        self._host = host
        self._queues = queues
        self._beat = beat
        self._dead_after = dead_after
        self._patience = patience
        self._number = number
        self._hidden = hidden
        self._waits = waits
        self._requeues = requeues
        self._make_tokens = tokens
        self._tokens = tokens()
        self.words = Words(broker)
        self._lent = False
        self._told_pruned = False
        self._registered = 0  # how often; a heart in another thread may hear late about the time before
        self._knowing = threading.Lock()  # held where either of these changes
        self._told_refused = False
        self._heard = float("-inf")  # when it last asked something that was answered: it was not taken for dead then
        self._owed: tuple[Sequence[Reservation], Token] | None = None  # given back, but nobody answered
        self.speaks = True
        self.turn = threading.RLock()
        self.id = ""
        self.next_beat = 0.0

    # ---- coming and going

    def register(self) -> None:
        """Take the first id that is free. One that is there belongs to somebody else, dead or alive.

        Raises:
            GaveUp: the worker was told to end first.
            Unseated: this process has the place on loan; the one that lent it registers anew.
            BrokerUnavailable: the broker is away, and is not to be waited for.
        """
        if self._lent:
            raise Unseated
        again = bool(self.id)
        self._tokens = self._make_tokens()
        ask: Callable[[Callable[[], bool]], bool] = self._ask if again or self._waits else lambda call: call()
        for worker in ids(self._host, self._queues, first=self._number):
            registration = Registration(
                worker,
                self._process,
                self._dead_after,
                self._beat,
                self._tokens.process,
                requeues=self._requeues(),
                hidden=self._hidden,
            )
            if ask(lambda registration=registration: self._broker.register(registration)):  # type: ignore[misc]
                self.id = worker
                break
        self.next_beat = time.monotonic() + self._beat
        with self._knowing:
            self._registered += 1
            self._told_pruned = False
        self._tell(events.Registered(self.id, again=again))

    def leave(self) -> bool:
        """Forget this worker at the broker; False where that cannot be, and it is left to recovery."""
        try:
            return self._ask(lambda: self._broker.unregister(self.id, self._tokens.process))
        except GaveUp:
            return False

    def lend(self, control: Instructions, outage: Outage, tell: events.Tell) -> Seat:
        """The same place for a forked child that runs the loop. Its registration stays with this process.

        Both beat, but one of the two makes all other calls at a time, and their tokens are one sequence.
        """
        lent = copy.copy(self)
        lent._control, lent.outage, lent._tell = control, outage, tell  # noqa: SLF001 - it is one of us
        lent._lent, lent._owed, lent.turn = True, None, threading.RLock()  # noqa: SLF001
        lent._knowing = threading.Lock()  # noqa: SLF001
        lent.speaks = True
        return lent

    # ---- the heartbeat

    def beat(self) -> bool:
        """Write a heartbeat; one try. Safe in a thread of its own beside the worker's other calls.

        Returns:
            False where the broker is away.
        """
        asked, registered = time.monotonic(), self._registered
        try:
            known = self._broker.heartbeat(self.id, self._tokens.process, speaks=self.speaks)
        except BrokerUnavailable as error:
            self.outage.lost(error, (self, "beat"))
            self.next_beat = time.monotonic() + min(_BEAT_AGAIN, self._beat)
            return False
        except BrokerRefused as error:
            # Not the end of the job in hand, nor of the heart: what this worker asks next says it, and ends it.
            if not self._told_refused:
                self._told_refused = True
                self._tell(events.Warned(f"{self.id} could not write its heartbeat: {error}"))
            self.next_beat = time.monotonic() + min(_BEAT_AGAIN, self._beat)
            return True
        self.outage.answered((self, "beat"))
        self._told_refused = False
        self.next_beat = time.monotonic() + self._beat
        if known:
            self._heard = asked
        else:
            self._tell_pruned(registered)
        return True

    def beat_if_due(self) -> bool:
        """`beat`, where the time has come. False where the broker is away."""
        return self.beat() if time.monotonic() >= self.next_beat else True

    # ---- jobs

    def reserve(self, queues: Sequence[str], *, limit: int = 1, settled: Reservation | None = None) -> Reserved:
        """Settle what ended well, and take what comes next: up to `limit` jobs.

        Where this worker was taken for dead it registers anew and takes a job under its new registration; what was to
        be settled is somebody else's.

        Raises:
            GaveUp: the worker was told to end while the broker was away.
        """
        try:
            return self._change(
                lambda token: self._broker.reserve(self.id, queues, token, limit=limit, settled=settled),
                in_hand=settled is not None,
            )
        except NotRegistered:
            self._tell_pruned()  # a heart beside this thread may have said it
            self.register()
            return replace(self.reserve(queues, limit=limit), settled=settled is None)

    def reserve_ahead(self, queues: Sequence[str], limit: int) -> Ahead | None:
        """Ask for up to `limit` jobs to be held behind what is held, without waiting for the answer.

        Returns:
            What hears it; None where nothing was asked: the backend has nothing to gain by it, or something is
            amiss that comes first.
        """
        if Capability.AHEAD not in self._broker.capabilities:
            return None
        if self.outage.since is not None or self._owed is not None or self._told_pruned:
            return None
        asked = time.monotonic()
        answer = self._broker.reserve_ahead(self.id, queues, self._tokens.next(), limit=limit)

        def able() -> Reserved | None:
            try:
                return answer()
            except (BrokerInTrouble, BrokerRefused):  # who is asked next says it
                return None

        def jobs(tries: Tries) -> Sequence[Reservation] | None:
            try:
                ask = answer if tries == "always" else able
                reserved = ask() if tries == "once" else self._ask(ask, in_hand=True)
            except NotRegistered:
                self._tell_pruned()
                return ()
            except BrokerUnavailable as error:
                if tries != "once":
                    raise
                self.outage.lost(error, in_hand=True)
                return None
            if reserved is None:
                return None
            self._heard = max(self._heard, asked)
            return reserved.jobs

        return jobs

    @property
    def registration(self) -> str:
        """Which of its registrations it has: another one each time."""
        return self._tokens.process

    def held(self) -> Sequence[Reservation]:
        """What this worker holds, once all was heard that a process of it said which is dead. Nothing is taken.

        Raises:
            GaveUp: the worker was told to end while the broker was away.
        """
        self._ask(lambda: self._broker.hear_out(self.id), in_hand=True)
        return self.reserve(()).jobs

    def suspects(self, task: Task) -> bool:
        """Whether `begins` may have something to note."""
        return task.payload is not None and bool(task.payload.extra)

    def begins(self, task: Task) -> None:
        """Note that a job begins which was in hand before when its process died; else nothing is asked.

        Raises:
            GaveUp: the worker was told to end while the broker was away.
        """

        def note() -> None:
            with contextlib.suppress(BrokerInTrouble, BrokerRefused):  # full, say: it is to be drained all the same
                crashes.begins(self._broker, task.payload, task.reservation)

        if self.suspects(task):
            self._ask(note, in_hand=True)

    def note(self, reservation: Reservation) -> None:
        """Note that a job held ahead begins, and that those before it ended well. It may be lost."""
        self._broker.note(reservation)

    def finish(self, reservation: Reservation) -> bool:
        """Settle a job as done, before anything else that is owed. False where somebody else settled it.

        Raises:
            GaveUp: the worker was told to end while the broker was away.
        """
        with self.turn:
            owed, self._owed = self._owed, None
            try:
                return self._change(lambda token: self._broker.finish(reservation, token), in_hand=True)
            finally:
                if owed is not None:  # with a newer token, for the old one is late now; fences keep it from being twice
                    self._owed = owed[0], self._tokens.next()

    def fail(self, reservation: Reservation, entry: bytes, *, by_queue: bool, again: Again | None = None) -> bool:
        """Settle a job as failed; where `again` says how, it goes back as well."""
        if again is not None:
            again = replace(again, at=self._until(again.at))
        return self._change(
            lambda token: self._broker.fail(reservation, token, entry, by_queue=by_queue, again=again), in_hand=True
        )

    def release(self, reservation: Reservation, again: Again) -> bool:
        """Put a job that had begun back into its queue."""
        begun = replace(reservation, started=True)
        body, front, at = again.body, again.front, self._until(again.at)
        return self._change(
            lambda token: self._broker.release([begun], token, body=body, front=front, at=at), in_hand=True
        )

    def _until(self, at: float | None) -> float | None:
        """When a job comes back; at once where the backend has no delayed jobs, for it must not be lost."""
        return at if Capability.DELAY in self._broker.capabilities else None

    def give_back(self, jobs: Sequence[Reservation], *, once: bool = False) -> None:
        """Put jobs that have not begun back to the front of their queues, in order.

        Args:
            jobs: these.
            once: do not wait for a broker that is away: it is asked again before anything else is but the end of a job.

        Raises:
            GaveUp: the worker was told to end while the broker was away. Not with `once`.
        """
        with self.turn:
            self.pay()
            self._owed = jobs, self._tokens.next()
            if once:
                try:
                    self._give_back()
                except BrokerUnavailable as error:
                    self.outage.lost(error, (self, "give back"), in_hand=True)
            else:
                self.pay()

    def stand_by(self, *, ahead: bool) -> None:
        """In a child that will run: connect now. One try: whatever is wrong is found out when it runs.

        No beat is due until it introduces itself.

        Args:
            ahead: it will hold jobs ahead. So it notes one that there is not, which changes nothing: how the broker is
                told without its answer is learned by the first one. And it asks for some from nowhere, too late.
        """
        self.next_beat = math.inf
        with contextlib.suppress(TaskqError):
            self._broker.heartbeat(self.id, self._tokens.process, speaks=False)
            if ahead:
                late = Token(self._tokens.process, 0)
                self._broker.note(Reservation(self.id, "", b"", f"{late}:0000", 0.0))
                if Capability.AHEAD in self._broker.capabilities:
                    self._broker.reserve_ahead(self.id, (), late, limit=1)()

    def introduce(self) -> bool:
        """In a child that has this place on loan: have the broker know its connections. False where it lost the place.

        From now on it beats.

        Raises:
            GaveUp: the worker was told to end while the broker was away.
        """
        self.next_beat = time.monotonic() + self._beat
        return self._ask(lambda: self._broker.heartbeat(self.id, self._tokens.process))

    def holds(self) -> bool:
        """Whether what it took is still its own. Asked where it was silent for so long that others may have taken it.

        Raises:
            GaveUp: the worker was told to end while the broker was away.
        """
        if not self._told_pruned and time.monotonic() - self._heard > self._dead_after:
            if self._ask(lambda: self._broker.heartbeat(self.id, self._tokens.process), in_hand=True):
                self._heard = time.monotonic()
            else:
                self._tell_pruned()
        return not self._told_pruned

    def look(self, call: Callable[[], T]) -> T:
        """Ask something that changes nothing, until it is answered.

        Raises:
            GaveUp: the worker was told to end while the broker was away.
        """
        return self._ask(call)

    def _change(self, call: Callable[[Token], T], *, in_hand: bool) -> T:
        with self.turn:
            if self._owed is not None:
                self.pay()
            token = self._tokens.next()
            asked = time.monotonic()
            answer = self._ask(lambda: call(token), in_hand=in_hand)
            self._heard = asked
            return answer

    def pay(self) -> None:
        """Give back now what could not be given back before.

        Raises:
            GaveUp: the worker was told to end while the broker was away.
        """
        with self.turn:
            if self._owed is not None:
                self._ask(self._give_back, in_hand=True)

    def _give_back(self) -> None:
        assert self._owed is not None
        jobs, token = self._owed
        if self._broker.release(jobs, token):
            self._tell(events.GaveBack(len(jobs)))
        self._owed = None
        self.outage.mended((self, "give back"))

    def _tell_pruned(self, registered: int | None = None) -> None:
        """Say so once. Of what was asked before it registered anew it says nothing: that is over."""
        with self._knowing:
            if self._told_pruned or registered not in (None, self._registered):
                return
            self._told_pruned = True
        self._tell(events.Pruned(self.id))

    def _ask(self, call: Callable[[], T], *, in_hand: bool = False) -> T:
        failed = None
        if self.outage.since is None:
            try:
                return call()  # nearly always: nothing to pay for what comes below
            except BrokerUnavailable as error:
                failed = error

        began = time.monotonic()

        def give_up() -> bool:
            """A stopping worker waits only for as long as it owes the broker what became of a job."""
            control = self._control
            if control.stopped_at is None:
                return False
            if control.hurried or not in_hand:
                return True
            if control.deadline is not None:  # one time for all that is in hand: what the job took of it is gone
                return time.monotonic() > control.deadline + LAST_WORDS
            # Not from when it was told to stop alone: by QUIT its job may have taken hours since.
            return time.monotonic() > max(control.stopped_at, began) + self._patience

        rest = self._control.rest
        return self.outage.persist(call, rest=rest, give_up=give_up, in_hand=in_hand, failed=failed)
