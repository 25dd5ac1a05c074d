"""Brokers that break one promise each: small subclasses of the one in memory, and of SQLite where processes matter."""

from __future__ import annotations

import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from taskq.broker import Broker, Capability, Requeued
from taskq.errors import BrokerUnavailable, NotRegistered, NotSupported
from taskq.inspection import Finding, KeyInfo, KeyPage, KeyValue, Section
from taskq.records import (
    Again,
    Paused,
    Promoted,
    Registration,
    Reservation,
    Reserved,
    ScheduledJob,
    StoredFailure,
    Taken,
    Token,
    WorkerInfo,
)
from taskq.testing.contract.broker import (
    Ahead,
    Capabilities,
    Connection,
    Conservation,
    Delaying,
    ExactBytes,
    Exclusivity,
    Failures,
    Forking,
    Keys,
    Operating,
    Order,
    Paging,
    Pausing,
    Queues,
    Recurring,
    Reserving,
    Settling,
    StrictOrder,
    Waiting,
    Workers,
)
from taskq.testing.contract.broker.stage import OnABroker
from taskq_memory import MemoryBroker
from taskq_sqlite import SQLiteBroker, open_broker
from tests.testing.contract.judge import names

_GAP = 1.0  # seconds between two steps that should have been one: time enough to be killed in

_HOME = os.getpid()


class _InMemory(OnABroker):
    patience = 1.0
    examples = 100  # a loss that is rare is found all the same
    wrong: type[MemoryBroker]

    def make_broker(self) -> Broker:
        return self.wrong()


class _InAFile(OnABroker):
    patience = 10.0
    kills = (0.0005, 0.1, 0.5)
    wrong: type[SQLiteBroker]

    @pytest.fixture(autouse=True)
    def _on(self, tmp_path: Path) -> None:
        self.path = tmp_path / "jobs.db"

    def make_broker(self) -> Broker:
        broker = open_broker(f"sqlite:///{self.path}")
        broker.__class__ = self.wrong
        return broker

    def make_connection(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        return connection


def breaks(group: type[OnABroker], caught_by: str) -> Callable[[type[Broker]], type[OnABroker]]:
    """Make of a wrong broker the group's tests on it, and say which of them must fail."""

    def of(wrong: type[Broker]) -> type[OnABroker]:
        base = _InAFile if issubclass(wrong, SQLiteBroker) else _InMemory
        patience = getattr(wrong, "patience", base.patience)
        facts = {
            "wrong": wrong,
            "patience": patience,
            "caught_by": names(caught_by),
            "__doc__": wrong.__doc__,
            "__module__": __name__,
        }
        return type(wrong.__name__, (base, group), facts)

    return of


# ---- the connection and the clock


@breaks(Connection, "check_returns_where_the_broker_answers now_is_unix_seconds_and_goes_on")
class WrongClock(MemoryBroker):
    """It is never there, and its time is in milliseconds."""

    def check(self) -> None:
        raise BrokerUnavailable(self.address, "never there")

    def now(self) -> float:
        return super().now() * 1000


@breaks(Connection, "close_may_come_twice_or_first name_and_address_are_for_people")
class WrongEnd(MemoryBroker):
    """It closes once, and is called nothing."""

    name = ""
    closed = False

    def close(self) -> None:
        assert not self.closed
        self.closed = True


@breaks(Connection, "close_leaves_the_store_to_others")
class WrongTidiness(SQLiteBroker):
    """It takes its jobs with it."""

    def close(self) -> None:
        for queue in self.queues():
            self.remove_queue(queue)
        super().close()


# ---- queues


@breaks(Queues, "push_is_seen_by_others queues_are_sorted_by_their_bytes")
class WrongBuffer(MemoryBroker):
    """It pushes what it was given the time before."""

    waiting: tuple[Any, Any] | None = None

    def push(self, *args: Any, **kwargs: Any) -> None:
        if self.waiting is not None:
            super().push(*self.waiting[0], **self.waiting[1])
        self.waiting = (args, kwargs)


@breaks(
    Queues, "push_of_nothing_pushes_nothing size_of_no_queue_is_zero sizes_of_nothing sizes_come_in_the_order_given"
)
class WrongCount(MemoryBroker):
    """It takes nothing for something."""

    def push(self, queue: str, bodies: Sequence[bytes], *, front: bool = False) -> None:
        super().push(queue, bodies or [b""], front=front)

    def size(self, queue: str) -> int:
        self._queues.setdefault(queue, deque())
        return super().size(queue)

    def sizes(self, queues: Sequence[str]) -> Mapping[str, int]:
        return super().sizes(sorted(queues) or [""])


@breaks(Queues, "queues_are_sorted_by_their_bytes queues_keep_an_empty_one")
class WrongListing(MemoryBroker):
    """It sorts as people do, and shows only what has jobs."""

    def queues(self) -> Sequence[str]:
        return sorted((queue for queue in super().queues() if self.size(queue)), key=str.casefold)


@breaks(
    Queues,
    """remove_takes_every_equal_one_and_no_other remove_leaves_what_is_in_hand
    remove_takes_the_first_ones_where_not_all_are_meant""",
)
class WrongRemoval(MemoryBroker):
    """It removes what begins alike, also out of a worker's hand."""

    def remove(self, queue: str, body: bytes, *, most: int | None = None) -> int:
        for seat in self._seats.values():
            seat.in_hand = None
        return sum(MemoryBroker.remove(self, queue, other) for other in {*self.peek(queue, 0, 9)})


@breaks(
    Queues,
    """remove_queue_takes_its_jobs_and_its_pause remove_queue_leaves_the_others
    drain_takes_the_first_and_with_the_last_the_queue drain_loses_nothing_beside_who_pushes""",
)
class WrongWipe(MemoryBroker):
    """It removes what is called alike, and leaves the pause."""

    def remove_queue(self, queue: str) -> int:
        paused = set(self._paused)
        removed = sum(len(self._queues.pop(name)) for name in list(self._queues) if name.startswith(queue.strip("*")))
        self._paused = paused
        return removed

    def drain(self, queue: str, count: int) -> Sequence[bytes]:
        first = self.peek(queue, 0, count)
        self._queues.pop(queue, None)
        return first


@breaks(Queues, "a_queue_is_listed_while_it_has_jobs_though_it_is_drained_beside_who_pushes")
class WrongList(MemoryBroker):
    """Of queues that were drained it lists those that are empty, and hides those that came back."""

    def drain(self, queue: str, count: int) -> Sequence[bytes]:
        self._drained = {*getattr(self, "_drained", ()), queue}
        return super().drain(queue, count)

    def queues(self) -> Sequence[str]:
        drained: set[str] = getattr(self, "_drained", set())
        there = super().queues()
        return [*(name for name in there if name not in drained), *(name for name in drained if name not in there)]


# ---- order and front


@breaks(
    Order,
    """push_keeps_order push_to_the_front_goes_ahead_in_its_own_order
    reserve_takes_the_first_of_the_first_queue_that_has_one reserve_of_many_keeps_their_order""",
)
class WrongStack(MemoryBroker):
    """What comes last goes first."""

    def push(self, queue: str, bodies: Sequence[bytes], *, front: bool = False) -> None:
        for body in bodies:
            super().push(queue, [body], front=True)


@breaks(
    Order,
    """release_puts_back_to_the_front_or_the_back release_of_several_keeps_their_order_ahead_of_what_is_there
    release_of_several_to_the_back_keeps_their_order""",
)
class WrongReturn(MemoryBroker):
    """It gives back where it should not, and in no order."""

    def release(self, reservations: Sequence[Reservation], token: Token, **kwargs: Any) -> bool:
        kwargs["front"] = not kwargs.get("front", True)
        return super().release([*reversed(reservations)], token, **kwargs)


@breaks(Order, "recover_gives_back_what_never_started_in_order recover_requeues_ahead_of_what_never_started")
class WrongRescue(MemoryBroker):
    """What a dead worker held goes to the back."""

    def push(self, queue: str, bodies: Sequence[bytes], *, front: bool = False) -> None:
        super().push(queue, bodies)


# ---- bytes


@breaks(
    ExactBytes,
    """push_keeps_bytes_exactly push_keeps_any_bytes fail_keeps_bytes_exactly push_takes_any_queue_name
    fail_by_queue_takes_any_queue_name""",
)
class WrongText(MemoryBroker):
    """It takes bytes for text, and names for words."""

    def push(self, queue: str, bodies: Sequence[bytes], *, front: bool = False) -> None:
        super().push(
            queue.replace("*", ""), [body.decode(errors="replace").strip().encode() for body in bodies], front=front
        )

    def fail(self, reservation: Reservation, token: Token, entry: bytes, **kwargs: Any) -> bool:
        queue = reservation.queue.split(":")[0]
        return super().fail(replace(reservation, queue=queue), token, entry.strip(b"\0 {["), **kwargs)


# ---- paging


@breaks(Paging, "push_of_many_is_whole peek_pages peek_removes_nothing failures_page")
class WrongPages(MemoryBroker):
    """It knows only the first page, and takes what it shows."""

    def peek(self, queue: str, start: int, count: int) -> Sequence[bytes]:
        return [self._queues[queue].popleft() for _ in range(min(count, len(self._queues.get(queue, ()))))]

    def failures(self, start: int, count: int, *, queue: str | None = None) -> Sequence[StoredFailure]:
        return super().failures(0, count, queue=queue)


# ---- reserving


@breaks(Reserving, "reserve_records_what_it_took reserve_by_one_who_holds_something_answers_that")
class WrongTrust(MemoryBroker):
    """It forgets what it gave away."""

    def reserve(self, *args: Any, **kwargs: Any) -> Reserved:
        taken = super().reserve(*args, **kwargs)
        for seat in self._seats.values():
            seat.in_hand = None
        return taken


@breaks(
    Reserving,
    """reserve_of_no_queues_takes_nothing reserve_by_an_unregistered_worker_hears_so
    reserve_under_another_process_part_hears_so""",
)
class WrongWelcome(MemoryBroker):
    """Whoever comes may take from anywhere."""

    def reserve(self, worker: str, queues: Sequence[str], token: Token, **kwargs: Any) -> Reserved:
        try:
            return super().reserve(worker, queues or self.queues(), token, **kwargs)
        except NotRegistered:
            return Reserved()


@breaks(
    Reserving,
    """reserve_finishes_what_is_settled_in_the_same_step reserve_finishes_what_is_settled_where_nothing_is_left
    reserve_finishes_several_at_once""",
)
class WrongDeafness(MemoryBroker):
    """It does not hear what is settled."""

    def reserve(self, *args: Any, settled: Reservation | None = None, **kwargs: Any) -> Reserved:
        return super().reserve(*args, **kwargs)


@breaks(Reserving, "reserve_with_some_left_ahead_answers_those reserve_changes_nothing_where_somebody_else_settled")
class WrongGreed(MemoryBroker):
    """It takes more while something is held, and where it should have said no."""

    def _reserve(self, seat: Any, queues: Any, token: Any, limit: Any, settled: Any) -> Reserved:
        if settled is not None:
            self._finish(seat, settled)
        seat.ahead.clear()
        return super()._reserve(seat, queues, token, limit, None)


# ---- asking ahead


@breaks(
    Ahead,
    """reserve_ahead_holds_behind_what_is_held reserve_ahead_looks_at_the_queues_in_order
    reserve_ahead_is_performed_in_its_turn reserve_ahead_that_failed_ends_those_before_it
    reserve_ahead_heard_again_is_the_same reserve_ahead_heard_after_a_later_call_is_the_same
    reserve_ahead_takes_nothing_from_what_is_paused reserve_ahead_goes_back_in_order
    reserve_ahead_of_a_dead_worker_goes_back_in_order""",
)
class WrongIdleness(MemoryBroker):
    """It waits until nothing is held."""

    def reserve_ahead(self, worker: str, queues: Sequence[str], token: Token, *, limit: int) -> Callable[[], Reserved]:
        def answer() -> Reserved:
            reserved = self.reserve(worker, queues, token, limit=limit)
            return Reserved() if reserved.held else reserved

        return answer


@breaks(
    Ahead,
    """reserve_ahead_takes_nothing_where_nothing_is_in_hand reserve_ahead_heard_again_is_the_same
    reserve_ahead_that_was_overtaken_takes_nothing reserve_ahead_heard_after_a_later_call_is_the_same
    reserve_ahead_takes_nothing_from_what_is_paused reserve_ahead_of_one_not_registered_says_so""",
)
class WrongGrasp(MemoryBroker):
    """Each time it is heard it takes, whoever asks, and whatever came before."""

    def reserve_ahead(self, worker: str, queues: Sequence[str], token: Token, *, limit: int) -> Callable[[], Reserved]:
        def answer() -> Reserved:
            seat = self._seats[worker]
            paused, self._paused = self._paused, set()
            taken = self._take(seat, queues, token, limit, ahead=True)
            self._paused = paused
            seat.ahead.extend(taken)
            return Reserved(taken)

        return answer


@breaks(Ahead, "reserve_ahead_holds_behind_what_is_held reserve_ahead_of_a_dead_worker_goes_back_in_order")
class WrongFront(MemoryBroker):
    """What is asked for ahead comes before what is held, and is said to have begun."""

    def reserve_ahead(self, *args: Any, **kwargs: Any) -> Callable[[], Reserved]:
        wait = super().reserve_ahead(*args, **kwargs)
        for seat in self._seats.values():
            seat.ahead.rotate(1)

        def answer() -> Reserved:
            return Reserved(tuple(replace(held, started=True) for held in wait().jobs))

        return answer


# ---- strict order


@breaks(
    StrictOrder,
    """reserve_keeps_strict_order_while_others_push reserve_of_many_keeps_strict_order_while_others_push
    reserve_takes_the_order_of_each_call""",
)
class WrongFairness(MemoryBroker):
    """The queues take turns, whatever is said."""

    turn = 0

    def reserve(self, worker: str, queues: Sequence[str], token: Token, **kwargs: Any) -> Reserved:
        self.turn += 1
        ordered = sorted(queues, reverse=self.turn % 2 == 1)
        return super().reserve(worker, ordered, token, **kwargs)


# ---- exclusivity


@breaks(Exclusivity, "reserve_side_by_side_gives_each_job_to_one")
class WrongGenerosity(MemoryBroker):
    """Each tenth job is given to two."""

    given = 0

    def reserve(self, *args: Any, **kwargs: Any) -> Reserved:
        reserved = super().reserve(*args, **kwargs)
        for taken in reserved.jobs:
            self.given += 1
            if self.given % 10 == 0:
                self.push(taken.queue, [taken.body], front=True)
        return reserved


@breaks(Exclusivity, "reserve_in_several_processes_gives_each_job_to_one push_in_several_processes_loses_none")
class WrongRace(SQLiteBroker):
    """It looks, and then takes: what comes between is lost or doubled."""

    def reserve(self, worker: str, queues: Sequence[str], token: Token, **kwargs: Any) -> Reserved:
        seen = self.peek(queues[0], 0, 1)
        reserved = super().reserve(worker, queues, token, **kwargs)
        if seen and not reserved.jobs:
            self.push(queues[0], seen)
        return Reserved((*reserved.jobs,)) if not reserved.jobs else self._doubled(reserved)

    def _doubled(self, reserved: Reserved) -> Reserved:
        if reserved.jobs[0].body.endswith(b"7]}"):
            self.push("lost", [reserved.jobs[0].body])
            return replace(reserved, jobs=(replace(reserved.jobs[0], body=b"{}"), *reserved.jobs[1:]))
        return reserved

    def push(self, queue: str, bodies: Sequence[bytes], *, front: bool = False) -> None:
        waiting = list(self.peek(queue, 0, 10_000))
        self.remove_queue(queue)
        super().push(queue, [*bodies, *waiting] if front else [*waiting, *bodies])


@breaks(
    Exclusivity,
    """register_is_exclusive register_side_by_side_lets_one_in register_refuses_an_id_that_left_a_job_in_hand
    recover_happens_once claim_recovery_lets_one_in_at_a_time""",
)
class WrongDoor(MemoryBroker):
    """Everybody is let in."""

    def register(self, registration: Registration) -> bool:
        self._seats.pop(registration.worker, None)
        return super().register(registration)

    def recover(self, *args: Any, **kwargs: Any) -> bool:
        super().recover(*args, **kwargs)
        return True

    def claim_recovery(self, worker: str, seconds: float, *, at_start: bool = False) -> bool:
        return True


# ---- pausing


@breaks(
    Pausing,
    """pause_of_all_and_of_one_are_two_things pause_makes_no_queue reserve_takes_nothing_while_all_is_paused
    reserve_takes_nothing_from_a_paused_queue""",
)
class WrongRest(MemoryBroker):
    """A pause is a queue."""

    def pause(self, queue: str | None = None) -> None:
        self.push(f"paused {queue}", [])

    def paused(self) -> Paused:
        return Paused()


@breaks(Pausing, "reserve_settles_also_while_paused pause_lets_jobs_in_hand_go_on")
class WrongStandstill(MemoryBroker):
    """Nothing at all happens while something is paused."""

    def _still(self) -> bool:
        return self._paused_all or bool(self._paused)

    def reserve(self, *args: Any, **kwargs: Any) -> Reserved:
        return Reserved() if self._still() else super().reserve(*args, **kwargs)

    def _settle(self, *args: Any) -> bool:
        return not self._still() and super()._settle(*args)


# ---- waiting


@breaks(
    Waiting,
    """wait_wakes_on_a_push_by_another wait_for_any_queue_wakes_on_a_new_one wait_returns_at_once_where_work_is_there
    wait_ends_when_an_interrupt_is_readable close_wakes_whoever_waits wait_removes_nothing""",
)
class WrongSleep(MemoryBroker):
    """It sleeps for as long as it may, and takes what it dreams of."""

    patience = 0.3

    def wait(self, queues: Sequence[str] | None, timeout: float, interrupts: Sequence[int] = ()) -> bool:
        time.sleep(timeout)
        for queue in queues or ():
            self.remove_queue(queue)
        return False


@breaks(Waiting, "wait_does_not_spin_on_paused_jobs wait_wakes_when_a_pause_is_over")
class WrongHaste(MemoryBroker):
    """There may always be work; and a pause is never over."""

    def wait(self, queues: Sequence[str] | None, timeout: float, interrupts: Sequence[int] = ()) -> bool:
        return True

    def unpause(self, queue: str | None = None) -> None:
        pass


@breaks(Waiting, "wait_ends_at_its_timeout")
class WrongPatience(MemoryBroker):
    """It waits longer than it was told."""

    def wait(self, queues: Sequence[str] | None, timeout: float, interrupts: Sequence[int] = ()) -> bool:
        return super().wait(queues, timeout + 0.6, interrupts)


# ---- settling


class _Tokenless(MemoryBroker):
    def reserve(self, worker: str, queues: Sequence[str], token: Token, **kwargs: Any) -> Reserved:
        seat = self._seat(worker, token.process)
        if seat is not None:
            seat.last, seat.in_hand = Token(token.process, 0), None
        return super().reserve(worker, queues, token, **kwargs)

    def _settle(self, worker: str, token: Token, change: Any) -> bool:
        seat = self._seats.get(worker)
        return seat is not None and bool(change(seat))


@breaks(
    Settling,
    """reserve_asked_again_answers_the_same reserve_asked_again_settles_once
    reserve_that_found_nothing_asked_again_takes_nothing_new reserve_that_comes_late_changes_nothing
    settle_asked_again_answers_the_same settle_that_comes_late_changes_nothing settle_by_a_former_holder_is_refused""",
)
class WrongMemory(_Tokenless):
    """It knows no tokens."""


@breaks(
    Settling,
    """settle_of_what_a_pruner_took_is_refused finish_of_an_equal_job_is_fenced
    finish_of_what_is_settled_answers_false release_of_several_is_one_step
    note_of_a_worker_that_was_taken_for_dead_changes_nothing note_of_what_is_not_held_changes_nothing""",
)
class WrongFence(MemoryBroker):
    """Whoever says that it is done is believed."""

    def _begin(self, seat: Any, job: Reservation) -> bool:
        if not super()._begin(seat, job):
            seat.in_hand = job
        return True

    def note(self, reservation: Reservation) -> None:
        self.push(reservation.queue, [])
        if reservation.worker not in self._seats:
            self.push(reservation.queue, [reservation.body])
        super().note(reservation)

    def release(self, reservations: Sequence[Reservation], token: Token, **kwargs: Any) -> bool:
        for job in reservations:
            self.push(job.queue, [job.body], front=True)
        return super().release(reservations, token, **kwargs)

    def _settle(self, worker: str, token: Token, change: Any) -> bool:
        return worker not in self._seats or super()._settle(worker, token, change)


@breaks(
    Settling,
    """finish_counts_and_forgets note_begins_a_job_and_finishes_those_before_it note_that_was_lost_is_made_up_for
    fail_appends_the_entry_and_counts stats_count_what_many_workers_did each_of_many_is_settled_by_itself
    note_twice_counts_once""",
)
class WrongSum(MemoryBroker):
    """It counts each job twice."""

    def _count(self, seat: Any, *, failed: bool) -> None:
        super()._count(seat, failed=failed)
        super()._count(seat, failed=failed)


@breaks(
    Settling,
    """release_counts_nothing release_with_a_new_body release_of_nothing_is_done
    release_of_what_never_began_says_nothing_of_the_others fail_by_queue_goes_to_the_queues_own_list
    fail_again_puts_the_job_back_in_the_same_step fail_again_of_what_is_settled_puts_nothing_back""",
)
class WrongEnds(MemoryBroker):
    """What goes back is done, with all before it; there is one failed list, and nothing is a mistake."""

    def release(self, reservations: Sequence[Reservation], token: Token, **kwargs: Any) -> bool:
        return bool(reservations) and self.finish(reservations[0], token)

    def fail(self, reservation: Reservation, token: Token, entry: bytes, **kwargs: Any) -> bool:
        if kwargs.get("again"):
            self.push(reservation.queue, [reservation.body])
        return super().fail(reservation, token, entry)


# ---- workers


@breaks(
    Workers,
    """register_shows_the_worker_to_others register_of_a_hidden_one_is_seen_by_taskq
    register_again_by_the_same_answers_true workers_are_sorted_by_id worker_of_no_trace_is_none
    heartbeat_is_seen_by_others heartbeat_of_a_stranger_writes_nothing
    heartbeat_of_a_parent_whose_child_speaks_is_one""",
)
class WrongRegister(MemoryBroker):
    """It writes down half of what it is told, and of whoever beats."""

    def register(self, registration: Registration) -> bool:
        if registration.hidden or registration.worker in self._seats:
            return False
        return super().register(replace(registration, requeues={}))

    def heartbeat(self, worker: str, process_token: str, *, speaks: bool = True) -> bool:
        if worker in self._seats:
            self._seats[worker].heartbeat -= 10
        return True

    def workers(self) -> Sequence[WorkerInfo]:
        return [*reversed(super().workers())]

    def worker(self, worker: str) -> WorkerInfo | None:
        return super().worker(worker) or WorkerInfo(worker, False, None, None, None, (), 0, 0, None)


@breaks(
    Workers,
    """unregister_leaves_no_trace unregister_refuses_while_a_job_is_in_hand unregister_of_a_stranger_answers_false
    heartbeat_asks_nothing_of_the_order_of_calls hear_out_changes_nothing_and_returns""",
)
class WrongFarewell(MemoryBroker):
    """Everybody may leave at any time, in anybody's name; a beat is a call like any other."""

    def unregister(self, worker: str, process_token: str) -> bool:
        return self._seats.get(worker) is not None or True

    def heartbeat(self, worker: str, process_token: str, *, speaks: bool = True) -> bool:
        seat = self._seat(worker, process_token)
        if seat is not None:
            seat.last = Token(process_token, seat.last.number + 1)
        return super().heartbeat(worker, process_token)

    def hear_out(self, worker: str) -> None:
        seat = self._seats[worker]
        seat.in_hand = None


@breaks(
    Workers,
    """claim_recovery_is_renewed_by_who_holds_it claim_recovery_at_the_start_is_a_lock_of_its_own
    claim_recovery_comes_back_after_its_time""",
)
class WrongClaim(MemoryBroker):
    """Its one claim is for ever."""

    claimed = False

    def claim_recovery(self, worker: str, seconds: float, *, at_start: bool = False) -> bool:
        mine, self.claimed = not self.claimed, True
        return mine


@breaks(
    Workers,
    """recover_fails_the_job_in_hand recover_fails_by_queue_where_told
    recover_requeues_with_another_body_where_told recover_counts_what_it_failed_and_nothing_else
    recover_of_an_idle_worker_forgets_it recover_refuses_where_the_worker_went_on
    recover_fails_and_requeues_where_told_both""",
)
class WrongFuneral(MemoryBroker):
    """Whatever a worker held is requeued, and the worker is left."""

    def recover(self, seen: WorkerInfo, entry: bytes | None, **kwargs: Any) -> bool:
        seat = self._seats.get(seen.id)
        if seat is None:
            return False
        for job in reversed(seat.held()):
            self.push(job.queue, [job.body], front=True)
        return True


@breaks(Workers, "recover_requeues_the_job_in_hand_where_told")
class WrongVerdict(MemoryBroker):
    """Who dies has failed."""

    def recover(self, seen: WorkerInfo, entry: bytes | None, **kwargs: Any) -> bool:
        return super().recover(seen, entry or b"{}", **kwargs)


# ---- failures


@breaks(
    Failures,
    """requeue_failure_finds_one_that_moved requeue_failure_that_is_gone requeue_failure_twice_hears_already
    requeue_failure_side_by_side_pushes_once remove_failure_that_is_gone_answers_false
    remove_failure_never_takes_the_one_that_moved_there remove_failure_while_others_edit
    requeue_failure_of_a_queues_list remove_failure_from_a_queues_list requeue_failures_answers_for_each
    remove_failures_answers_for_each""",
)
class WrongPlace(MemoryBroker):
    """It goes by position, as Resque does."""

    def requeue_failure(self, failure: StoredFailure, *, queue: str, body: bytes, replacement: bytes) -> Requeued:
        self.push(queue, [body])
        self._failures[None][min(failure.position, len(self._failures[None]) - 1) :][:1] = [replacement]
        return Requeued.DONE

    def remove_failure(self, failure: StoredFailure) -> bool:
        del self._failures[None][failure.position : failure.position + 1]
        return True


@breaks(Failures, "add_failure_is_the_newest_of_its_list")
class WrongUndo(MemoryBroker):
    """What is put back is the oldest, and counts as one more that failed."""

    def add_failure(self, entry: bytes, *, queue: str | None = None) -> None:
        self._failures.setdefault(queue, []).insert(0, entry)
        self._failed += 1


@breaks(
    Failures,
    """requeue_failure_pushes_and_marks remove_failure_takes_one_of_equal_ones clear_failures_empties_one_list
    failures_of_a_queue_without_a_list""",
)
class WrongBroom(MemoryBroker):
    """It removes all that is alike, marks nothing, and every queue has a list."""

    def requeue_failure(self, failure: StoredFailure, *, queue: str, body: bytes, replacement: bytes) -> Requeued:
        return super().requeue_failure(failure, queue=queue, body=body, replacement=failure.entry)

    def remove_failure(self, failure: StoredFailure) -> bool:
        removed = False
        while super().remove_failure(failure):
            removed = True
        return removed

    def clear_failures(self, *, queue: str | None = None) -> int:
        return sum(MemoryBroker.clear_failures(self, queue=each) for each in list(self._failures))

    def failure_count(self, *, queue: str | None = None) -> int:
        self._failures.setdefault(queue, [])
        return super().failure_count(queue=queue)


# ---- delayed jobs


@breaks(
    Delaying,
    """schedule_keeps_a_job_until_its_time schedule_is_seen_by_others schedule_never_lets_a_job_begin_early
    schedule_for_what_is_over_waits_for_a_scheduler schedule_of_nothing_schedules_nothing
    promote_due_without_the_lock_moves_nothing promote_due_with_a_lock_that_lapsed_moves_nothing
    wait_due_ends_at_its_timeout""",
)
class WrongEagerness(MemoryBroker):
    """It waits for nothing, and has a time for nobody."""

    def schedule(self, at: float, queue: str, bodies: Sequence[bytes]) -> None:
        if bodies:
            self.push(queue, bodies)
        else:
            self._times.append(at)

    def wait_due(self, known: float | None, timeout: float, interrupts: Sequence[int] = ()) -> bool:
        return True


@breaks(
    Delaying,
    """schedule_keeps_order_within_one_time schedule_keeps_bytes_exactly schedule_takes_any_queue_name
    scheduled_times_are_in_order_with_their_counts next_due_is_the_earliest promote_due_moves_the_earliest_first
    release_at_of_several_keeps_their_order""",
)
class WrongCalendar(MemoryBroker):
    """It sorts, and writes what it is told in its own words."""

    def schedule(self, at: float, queue: str, bodies: Sequence[bytes]) -> None:
        super().schedule(
            at, queue.partition(":")[0].strip('\n\0"*'), [body.replace(b" ", b"")[:999] for body in bodies]
        )
        self._delayed.setdefault(at, []).sort()
        self._times.reverse()


@breaks(
    Delaying,
    """claim_schedule_lets_one_in_at_a_time claim_schedule_again_extends_it give_up_schedule_lets_the_next_one_in
    promote_due_side_by_side_moves_each_once promote_due_goes_behind_what_waits promote_side_by_side_moves_once""",
)
class WrongMaster(MemoryBroker):
    """Whoever asks is the master, and moves what it saw, to the front."""

    def claim_schedule(self, scheduler: str, seconds: float) -> str:
        self._scheduler = (scheduler, time.monotonic() + seconds)
        return scheduler

    def promote_due(self, scheduler: str, now: float, limit: int) -> Promoted:
        due = [one for one in self.scheduled(0, 0, limit) if one.at <= now]
        time.sleep(0.01)
        for one in due:
            self.push(one.queue, [one.body], front=True)
        return replace(super().promote_due(scheduler, now, limit), moved=len(due))

    def promote(self, job: ScheduledJob, *, queue: str | None = None) -> bool:
        time.sleep(0.01)
        return super().promote(job, queue=queue) or True


@breaks(Delaying, "claim_schedule_comes_back_after_its_time claim_schedule_again_extends_it")
class WrongThrone(MemoryBroker):
    """The first master is it for ever, and each for a moment only."""

    first: str | None = None

    def claim_schedule(self, scheduler: str, seconds: float) -> str:
        if self.first == scheduler:
            return ""
        self.first = self.first or scheduler
        return self.first


@breaks(
    Delaying,
    """promote_due_within_one_time_goes_on_where_it_ended promote_due_wakes_whoever_waits
    promote_into_another_queue promote_moves_one_now promote_takes_one_of_equal_ones
    bury_takes_it_to_the_failed_list withdraw_takes_one_away clear_scheduled_removes_all
    drain_scheduled_takes_the_earliest withdraw_many_answers_for_each promote_many_moves_each_in_order""",
)
class WrongPorter(MemoryBroker):
    """It moves all of a time or none, tells nobody, and lets go of nothing that it was told by hand."""

    def promote_due(self, scheduler: str, now: float, limit: int) -> Promoted:
        return super().promote_due(scheduler, now, 1000)

    def promote(self, job: ScheduledJob, *, queue: str | None = None) -> bool:
        moved = self.unschedule(job.queue, job.body)
        self.push(job.queue, [job.body])
        return moved > 0

    def withdraw(self, job: ScheduledJob) -> bool:
        return self.unschedule(job.queue, job.body, at=job.at) > 0

    def promote_many(self, jobs: Sequence[ScheduledJob]) -> Sequence[bool]:
        return [self.promote(job) for job in jobs]

    def withdraw_many(self, jobs: Sequence[ScheduledJob]) -> Sequence[bool]:
        return [self.withdraw(job) for job in jobs]

    def bury(self, job: ScheduledJob, entry: bytes) -> bool:
        self._append_failure(None, entry)
        return super().bury(job, entry)

    def clear_scheduled(self) -> int:
        self._times.clear()
        return len(self._delayed)

    def drain_scheduled(self, count: int) -> Sequence[ScheduledJob]:
        return self.scheduled(0.0, 0, min(count, self.clear_scheduled()))

    def _wake(self, queue: str) -> None:
        pass


@breaks(
    Delaying,
    """wait_due_wakes_for_an_earlier_job wait_due_wakes_for_the_first_job wait_due_wakes_for_a_schedule_that_changed
    wait_due_returns_at_once_where_it_is_another wait_due_ends_when_an_interrupt_is_readable""",
)
class WrongNap(MemoryBroker):
    """It sleeps through everything."""

    patience = 0.3

    def wait_due(self, known: float | None, timeout: float, interrupts: Sequence[int] = ()) -> bool:
        time.sleep(timeout)
        return False


@breaks(
    Delaying,
    "scheduled_pages scheduled_removes_nothing scheduled_at_tells_the_times_of_a_job",
)
class WrongLook(MemoryBroker):
    """It knows only the first page, takes what it shows, and sees one job of a kind."""

    def scheduled(self, since: float, skip: int, count: int) -> Sequence[ScheduledJob]:
        found = super().scheduled(0, 0, count)
        self.clear_scheduled()
        return found

    def scheduled_at(self, queue: str, body: bytes) -> Sequence[float]:
        return super().scheduled_at(queue, body)[:1]


@breaks(Delaying, "unschedule_takes_every_equal_one_and_no_other unschedule_of_one_time_leaves_the_others")
class WrongScissors(MemoryBroker):
    """It cuts out whatever is there at the first time it finds."""

    def unschedule(self, queue: str, body: bytes, *, at: float | None = None) -> int:
        return len(self._delayed.pop(self._times.pop(0), [])) if self._times else 0


@breaks(
    Delaying,
    """release_at_waits_for_its_time release_at_with_a_new_body release_at_asked_again_schedules_once
    fail_again_at_waits_for_its_time recover_again_at_waits_for_its_time""",
)
class WrongTomorrow(MemoryBroker):
    """What goes back goes back at once; or, where it cannot be settled, waits all the same."""

    def release(self, reservations: Sequence[Reservation], token: Token, **kwargs: Any) -> bool:
        if token == self._seats[reservations[0].worker].last:
            self.schedule(kwargs["at"], reservations[0].queue, [reservations[0].body])
        return super().release(reservations, token, **kwargs)

    def _put_back(self, job: Reservation, again: Again) -> None:
        self.push(job.queue, [job.body])


# ---- recurring jobs


@breaks(
    Recurring,
    """fire_pushes_a_tick_once fire_of_fractions_of_a_second fire_side_by_side_pushes_once
    fire_without_the_lock_pushes_nothing fire_of_nothing_notes_the_tick last_fired_tells_those_that_were""",
)
class WrongTick(MemoryBroker):
    """Whoever fires, fires; it notes whole seconds, and of the last name only."""

    def fire(self, scheduler: str, name: str, tick: float, queue: str, bodies: Sequence[bytes]) -> bool:
        self._fired = {name.partition(":")[0]: float(int(tick))}
        self.push(queue, bodies)
        return True


@breaks(Recurring, "fire_is_work_at_once schedules_are_those_that_were_put put_schedule_of_none_removes_it")
class WrongPlan(MemoryBroker):
    """It delays a tick, keeps what was put first, and for ever."""

    def fire(self, scheduler: str, name: str, tick: float, queue: str, bodies: Sequence[bytes]) -> bool:
        self.schedule(tick, queue, bodies)
        return True

    def put_schedule(self, name: str, body: bytes | None) -> bool:
        return self._schedules.setdefault(name, body or b"") != body


# ---- keys


@breaks(
    Keys,
    """get_key_of_none_is_none put_key_keeps_bytes_exactly put_key_takes_any_name
    put_key_sets_it_whatever_it_held put_key_expires take_key_of_one_that_expired_takes_it
    swap_key_of_one_that_expired_changes_nothing add_key_lives_from_its_first_on""",
)
class WrongCupboard(MemoryBroker):
    """It keeps text, by half the name, what came first, and for ever."""

    def get_key(self, key: str) -> bytes | None:
        return super().get_key(key) or b""

    def put_key(self, key: str, value: bytes, seconds: float) -> None:
        self.take_key([key.rstrip(":")], value.strip(b"\0\xff")[:1000], 60)

    def add_key(self, key: str, amount: int, seconds: float) -> int:
        return super().add_key(key, amount, 60)

    def take_key(self, keys: Sequence[str], value: bytes, seconds: float) -> Taken:
        return super().take_key(keys, value, 60)


@breaks(
    Keys,
    """take_key_gives_it_to_one take_key_takes_the_first_that_is_free take_key_side_by_side_gives_each_to_one
    swap_key_side_by_side_changes_it_once add_key_side_by_side_loses_none""",
)
class WrongLock(MemoryBroker):
    """It looks, and then takes."""

    def take_key(self, keys: Sequence[str], value: bytes, seconds: float) -> Taken:
        free = [key for key in keys if self.get_key(key) is None]
        time.sleep(0.02)
        self.put_key((free or keys)[-1], value, seconds)
        return Taken((free or keys)[-1], value)

    def swap_key(self, key: str, old: bytes, new: bytes | None, seconds: float = 0.0) -> bool:
        there = self.get_key(key) == old
        time.sleep(0.02)
        self.put_key(key, new or b"", seconds)
        return there

    def add_key(self, key: str, amount: int, seconds: float) -> int:
        count = int(self.get_key(key) or 0) + amount
        time.sleep(0.001)
        self.put_key(key, b"%d" % count, seconds)
        return count


@breaks(
    Keys,
    """swap_key_changes_what_holds_the_old_value swap_key_with_the_same_extends_it swap_key_with_none_removes_it
    add_key_counts""",
)
class WrongSwap(MemoryBroker):
    """It changes whatever is there, for no time that it was told, and counts what it was given."""

    def swap_key(self, key: str, old: bytes, new: bytes | None, seconds: float = 0.0) -> bool:
        there = self.get_key(key) is not None
        self.put_key(key, new or b"", 5)
        return there

    def add_key(self, key: str, amount: int, seconds: float) -> int:
        self.put_key(key, b"%d" % amount, seconds)
        return amount


@breaks(
    Keys,
    """await_key_wakes_when_it_is_set await_key_wakes_on_every_change await_key_sees_it_expire
    await_key_ends_at_its_timeout""",
)
class WrongVigil(MemoryBroker):
    """It sleeps for as long as it may, and longer."""

    patience = 0.3

    def await_key(self, key: str, seen: bytes | None, timeout: float) -> bytes | None:
        time.sleep(timeout + 0.6)
        return self.get_key(key)


# ---- conservation


@breaks(Conservation, "every_job_is_in_one_place_whatever_happens")
class WrongLoss(MemoryBroker):
    """Of several that go back together the last one is lost, where the first has begun."""

    def release(self, reservations: Sequence[Reservation], token: Token, **kwargs: Any) -> bool:
        done = super().release(reservations, token, **kwargs)
        if len(reservations) > 1 and reservations[0].started:
            self.remove(reservations[-1].queue, reservations[-1].body)
        return done


@breaks(
    Conservation,
    """a_worker_that_is_killed_at_any_step_loses_and_doubles_nothing recover_killed_at_any_step_settles_once
    requeue_failure_killed_at_any_step_is_whole""",
)
class WrongSteps(SQLiteBroker):
    """What should be one step is two: it forgets, and then it writes."""

    def fail(self, reservation: Reservation, token: Token, entry: bytes, **kwargs: Any) -> bool:
        self.push(reservation.queue, [reservation.body])
        time.sleep(_GAP)
        done = super().fail(reservation, token, entry, **kwargs)
        self.remove(reservation.queue, reservation.body)
        return done

    def recover(self, seen: WorkerInfo, entry: bytes | None, **kwargs: Any) -> bool:
        if os.getpid() != _HOME:  # the test itself recovers as one should
            self.push("q", [held.body for held in seen.ahead])
            time.sleep(_GAP)
        return super().recover(seen, entry, **kwargs)

    def requeue_failure(self, failure: StoredFailure, *, queue: str, body: bytes, replacement: bytes) -> Requeued:
        self.push(queue, [body])
        time.sleep(_GAP)
        self.remove(queue, body)
        return super().requeue_failure(failure, queue=queue, body=body, replacement=replacement)


# ---- forks


@breaks(
    Forking,
    """fork_leaves_the_broker_usable_on_both_sides fork_of_several_children_at_once
    fork_while_other_threads_are_in_a_call fork_while_a_thread_waits close_in_a_child_closes_the_childs_own""",
)
class WrongHome(SQLiteBroker):
    """It works in the process that first used it, and nowhere else."""

    home: int | None = None

    def _at_home(self) -> None:
        self.home = self.home or os.getpid()
        if self.home != os.getpid():
            raise NotSupported(self.name, "use after a fork")

    def push(self, *args: Any, **kwargs: Any) -> None:
        self._at_home()
        super().push(*args, **kwargs)

    def size(self, queue: str) -> int:
        self._at_home()
        return super().size(queue)

    def register(self, registration: Registration) -> bool:
        self._at_home()
        return super().register(registration)


# ---- capabilities


@breaks(
    Capabilities,
    "shared_is_seen_by_another_broker shared_is_seen_by_other_processes",
)
class WrongPromise(MemoryBroker):
    """It says that others see its store."""

    capabilities = frozenset({Capability.SHARED})

    def _held(self) -> Any:
        self._pid = os.getpid()
        return super()._held()


@breaks(
    Capabilities,
    """capabilities_are_declared not_shared_refuses_another_process
    push_within_is_refused_where_there_are_no_transactions keys_within_are_refused_where_there_are_no_transactions""",
)
class WrongSilence(MemoryBroker):
    """It lets jobs vanish with a child, and pushes, and sets keys, in what is no transaction."""

    capabilities = ()  # type: ignore[assignment]

    def _held(self) -> Any:
        self._pid = os.getpid()
        return super()._held()

    def push_within(self, connection: object, queue: str, bodies: Sequence[bytes], **kwargs: Any) -> None:
        self.push(queue, bodies)

    def put_key_within(self, connection: object, key: str, value: bytes, seconds: float) -> None:
        self.put_key(key, value, seconds)


@breaks(
    Capabilities,
    """delay_is_refused_where_it_is_not_declared delay_that_is_not_declared_is_refused_in_settling
    keys_are_refused_where_they_are_not_declared ahead_is_refused_where_it_is_not_declared""",
)
class WrongModesty(MemoryBroker):
    """It says that it has nothing, and does all of it somehow."""

    capabilities = frozenset()


@breaks(
    Capabilities,
    """push_within_refuses_what_is_no_connection push_within_is_there_with_the_transaction_or_not_at_all
    push_within_at_is_delayed_with_the_transaction_or_not_at_all
    keys_within_are_there_with_the_transaction_or_not_at_all""",
)
class WrongTransaction(SQLiteBroker):
    """It ends the application's transaction, and takes anything for one."""

    def push_within(self, connection: Any, queue: str, bodies: Sequence[bytes], **kwargs: Any) -> None:
        if hasattr(connection, "commit"):
            connection.commit()
        self.push(queue, bodies, front=kwargs.get("front", False))

    def put_key_within(self, connection: Any, key: str, value: bytes, seconds: float) -> None:
        connection.commit()
        self.put_key(key, value, seconds)


# ---- what operators are shown


@breaks(Operating, "samples_are_the_newest_of_their_series add_sample_keeps_the_newest")
class WrongDiary(MemoryBroker):
    """It keeps all that was sampled, the newest first, in one series."""

    def add_sample(self, series: str, sample: bytes, *, keep: int) -> None:
        self._samples.setdefault("", []).insert(0, sample)

    def samples(self, series: str, count: int) -> Sequence[bytes]:
        return self._samples.get("", [])[:count]


@breaks(Operating, "server_tells_facts_as_text diagnose_finds_and_changes_nothing")
class WrongPatient(MemoryBroker):
    """It has figures that are none, and takes a job for a sample of its blood."""

    def server(self) -> Sequence[Section]:
        return [Section("", ())]

    def diagnose(self) -> Sequence[Finding]:
        self._queues.clear()
        return [Finding("ok", "", "well")]


@breaks(Operating, "keys_are_refused_where_there_are_none")
class WrongLocksmith(MemoryBroker):
    """It has keys, and does not say so."""

    def keys(self, cursor: str = "", count: int = 50) -> KeyPage:
        return KeyPage((), "")

    def key(self, name: str, cursor: str = "", count: int = 50) -> KeyValue | None:
        return None


@breaks(
    Operating,
    """keys_are_all_found_page_by_page key_is_read_part_by_part key_of_nobody_is_none keys_refuse_what_is_no_cursor""",
)
class WrongRing(MemoryBroker):
    """It says that it has keys, shows the first page of them for ever, and has whichever is asked for."""

    capabilities = frozenset({Capability.INSPECT})

    def keys(self, cursor: str = "", count: int = 50) -> KeyPage:
        return KeyPage(tuple(KeyInfo(queue, "list", 1, None, None) for queue in self.queues()[:count]), "")

    def key(self, name: str, cursor: str = "", count: int = 50) -> KeyValue | None:
        return KeyValue(KeyInfo(name, "list", 0, None, None), (), "")
