from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import taskq
from taskq.errors import BrokerUnavailable, ConfigurationError, Problem
from taskq.events import BrokerBack, BrokerLost
from taskq.hook import Deferred, Enqueued, EnqueueRequest, Hook, Vetoed
from taskq.jobs import job
from taskq.recurring_jobs import check, of_code
from taskq.registry import Registry
from taskq.schedule_entry import Schedule, decode
from taskq.scheduler import events
from taskq.scheduler.loop import Scheduler
from taskq.scheduler.orders import Orders
from taskq.scheduler.roster import Roster
from taskq_memory import MemoryBroker

NOON = 1_900_000_800.0  # a whole number of 5 minutes
BERLIN = ZoneInfo("Europe/Berlin")


class Ear:
    """Hears what a test says. Its descriptor is always readable, so that nothing in a turn waits for long."""

    def __init__(self) -> None:
        self.fd, self._other = os.pipe()
        os.write(self._other, b"!")
        self.said: list[int] = []

    pending = True

    def heard(self) -> list[int]:
        said, self.said = self.said, []
        return said

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._other)


class Stage:
    """A store in memory with a clock, and schedulers on it."""

    def __init__(self) -> None:
        self.now = NOON
        self.registry = Registry()
        self.broker = MemoryBroker(clock=lambda: self.now)
        self.app = taskq.TaskQ(broker=self.broker, registry=self.registry)
        self.told: list[events.Event] = []
        self.own: list[Schedule] = []
        self._ears: list[Ear] = []

    def scheduler(self, name: str = "vm:1:a") -> Scheduler:
        ear = Ear()
        self._ears.append(ear)
        roster = Roster(
            self.broker,
            lambda: [*of_code(self.registry), *self.own],
            lambda schedule: check(self.app, schedule),
        )
        roster.read_own()
        made = Scheduler(self.app, name, roster, Orders(ear), self.told.append)
        made.ear = ear  # type: ignore[attr-defined]
        return made

    def hook(self, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("taskq.plugins.create_all", lambda *args, **kwargs: [hook])
            _ = self.app.hooks

    def turn(self, scheduler: Scheduler, *, at: float | None = None, anew: bool = False) -> None:
        self.now = self.now if at is None else at
        if anew:
            scheduler._renew_at = 0.0
        scheduler._turn()

    def fired(self) -> list[tuple[str, float]]:
        found = [(each.name, each.tick) for each in self.told if isinstance(each, events.Fired)]
        self.told.clear()
        return found

    def waiting(self, queue: str) -> list[str]:
        return [body.decode() for body in self.broker.peek(queue, 0, 1000)]

    def of(self, kind: type) -> list[Any]:
        return [each for each in self.told if isinstance(each, kind)]

    def close(self) -> None:
        for ear in self._ears:
            ear.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


def every(seconds: float, name: str = "often", **more: object) -> Schedule:
    return decode(name, {"every": seconds, "class": "Job", "queue": "q", **more})


# ---- the lock and what is delayed


def test_what_is_due_is_moved_and_what_is_not_stays(stage: Stage) -> None:
    stage.broker.schedule(NOON + 1, "q", [b'{"class":"Job","args":[2]}'])
    stage.broker.schedule(NOON, "q", [b'{"class":"Job","args":[1]}'])
    scheduler = stage.scheduler()
    stage.turn(scheduler)
    assert stage.waiting("q") == ['{"class":"Job","args":[1]}']
    stage.turn(scheduler, at=NOON + 1)
    assert stage.waiting("q") == ['{"class":"Job","args":[1]}', '{"class":"Job","args":[2]}']
    assert stage.of(events.TookOver) == [events.TookOver("vm:1:a", 0)]
    assert stage.of(events.Moved) == [events.Moved(1), events.Moved(1)]


def test_of_two_one_acts_and_the_other_takes_over(stage: Stage) -> None:
    first, second = stage.scheduler("vm:1:a"), stage.scheduler("vm:2:b")
    stage.broker.schedule(NOON, "q", [b"{}"])
    stage.turn(first)
    stage.turn(second)
    assert stage.of(events.StandingBy) == [events.StandingBy("vm:1:a", lost=False, foreign=False)]
    first._leave()
    stage.turn(second, anew=True)
    assert stage.of(events.TookOver)[-1] == events.TookOver("vm:2:b", 0)
    stage.turn(first, anew=True)
    assert stage.of(events.StandingBy)[-1] == events.StandingBy("vm:2:b", lost=True, foreign=False)


def test_beside_rubys_it_stands_by_and_says_so(stage: Stage) -> None:
    stage.broker.claim_schedule("localhost:10639", 60)
    stage.broker.schedule(NOON, "q", [b"{}"])
    stage.own = [every(300)]
    scheduler = stage.scheduler()
    stage.turn(scheduler)
    stage.turn(scheduler, at=NOON + 600, anew=True)
    assert stage.told == [events.StandingBy("localhost:10639", lost=False, foreign=True)]
    assert stage.waiting("q") == []


def test_a_broker_that_goes_away_is_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.broker.schedule(NOON, "q", [b"{}"])
    scheduler = stage.scheduler()
    asked = 0

    def promote_due(*args: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise BrokerUnavailable("there", "refused")
        scheduler._orders.stopping = True
        return MemoryBroker.promote_due(stage.broker, *args)

    monkeypatch.setattr(stage.broker, "promote_due", promote_due)
    scheduler.work()
    assert stage.waiting("q") == ["{}"]
    assert [type(each) for each in stage.told if isinstance(each, BrokerLost | BrokerBack)] == [BrokerLost, BrokerBack]
    assert stage.broker.claim_schedule("another", 60) == "another"  # the lock was given back


def test_it_sleeps_until_something_is_due_and_wakes_at_once_for_something_sooner(stage: Stage) -> None:
    """The one test here that really waits: the scheduler is in a thread, and a push of a job due now wakes it."""
    stage.broker._clock = time.time
    scheduler = stage.scheduler()
    quiet, other = os.pipe()
    os.close(scheduler.ear.fd)  # type: ignore[attr-defined]
    scheduler.ear.fd = quiet  # type: ignore[attr-defined]
    turns = 0
    promote = stage.broker.promote_due

    def counting(*args: Any) -> Any:
        nonlocal turns
        turns += 1
        return promote(*args)

    stage.broker.promote_due = counting  # type: ignore[method-assign,assignment]
    thread = threading.Thread(target=scheduler.work)
    thread.start()
    try:
        stage.broker.schedule(time.time() + 3600, "q", [b"later"])
        stage.broker.schedule(time.time() + 0.2, "q", [b"soon"])
        assert stage.broker.wait(["q"], 30)
        assert stage.waiting("q") == ["soon"]
        assert turns < 15
    finally:
        scheduler._orders.stopping = True
        os.write(other, b"!")
        thread.join(30)
        os.close(other)
    assert not thread.is_alive()


# ---- what recurs


def test_a_tick_is_fired_once_by_whoever_has_the_lock(stage: Stage) -> None:
    stage.own = [every(300, args=[1])]
    first, second = stage.scheduler("vm:1:a"), stage.scheduler("vm:2:b")
    stage.turn(first)
    stage.turn(first, at=NOON + 299)
    assert stage.fired() == []
    stage.turn(first, at=NOON + 300)
    stage.turn(first)
    assert stage.fired() == [("often", NOON + 300)]
    first._leave()
    stage.turn(second, anew=True)
    stage.turn(second, at=NOON + 600)
    assert stage.fired() == [("often", NOON + 600)]
    assert stage.waiting("q") == ['{"class":"Job","args":[1]}'] * 2


def test_two_that_both_believe_to_have_the_lock_fire_once(stage: Stage) -> None:
    stage.own = [every(300)]
    first, second = stage.scheduler("vm:1:a"), stage.scheduler("vm:2:b")
    stage.turn(first)
    stage.broker.give_up_schedule("vm:1:a")
    stage.turn(second)
    stage.turn(second, at=NOON + 300)
    stage.turn(first)  # it was stopped meanwhile, and has not looked at the lock
    assert stage.fired() == [("often", NOON + 300)]
    assert len(stage.waiting("q")) == 1


@pytest.mark.parametrize(("missed", "made_up"), [("once", 1), ("skip", 0)])
def test_of_ticks_that_were_missed_the_last_is_made_up_for_or_none(stage: Stage, missed: str, made_up: int) -> None:
    stage.own = [every(300, missed=missed)]
    gone = stage.scheduler("vm:1:a")
    stage.turn(gone, at=NOON)
    gone._leave()
    late = stage.scheduler("vm:2:b")
    stage.turn(late, at=NOON + 1000)
    assert stage.fired() == [("often", NOON + 900)][:made_up]
    stage.turn(late, at=NOON + 1200)
    assert stage.fired() == [("often", NOON + 1200)]
    assert stage.broker.last_fired(["often"]) == {"often": NOON + 1200}


def test_a_tick_at_which_the_lock_went_over_is_not_missed(stage: Stage) -> None:
    stage.own = [every(300, missed="skip")]
    gone = stage.scheduler("vm:1:a")
    stage.turn(gone)
    gone._leave()
    stage.turn(stage.scheduler("vm:2:b"), at=NOON + 310)
    assert stage.fired() == [("often", NOON + 300)]


def test_what_is_new_or_has_another_rule_is_due_from_now_on(stage: Stage) -> None:
    stage.own = [every(300)]
    scheduler = stage.scheduler("vm:1:a")
    stage.turn(scheduler)
    stage.turn(scheduler, at=NOON + 300)
    scheduler._leave()
    stage.own = [every(250), every(100, "new")]
    stage.told.clear()
    again = stage.scheduler("vm:2:b")
    stage.turn(again, at=NOON + 2010)
    assert stage.fired() == []
    stage.turn(again, at=NOON + 2260)
    assert {name for name, _ in stage.fired()} == {"often", "new"}


def test_first_in_is_once_and_is_kept_over_a_restart(stage: Stage) -> None:
    stage.own = [every(300, every=[300, {"first_in": 10}])]
    scheduler = stage.scheduler("vm:1:a")
    stage.turn(scheduler)
    scheduler._leave()
    again = stage.scheduler("vm:2:b")
    stage.turn(again, at=NOON + 5)
    assert stage.fired() == []
    stage.turn(again, at=NOON + 10)
    stage.turn(again, at=NOON + 20)
    stage.turn(again, at=NOON + 300)
    assert stage.fired() == [("often", NOON + 10), ("often", NOON + 300)]


def test_the_store_is_heeded_at_once_and_what_it_says_holds(stage: Stage) -> None:
    stage.own = [every(300)]
    scheduler = stage.scheduler()
    stage.turn(scheduler)
    stage.app.schedules.set("often", stage.app.options(queue="other").call("Other", 1), every=100)
    stage.app.schedules.set("cron", stage.app.options(queue="other").call("Cron"), cron="*/5 * * * *", tz="UTC")
    stage.turn(scheduler)  # the wait is over, and what recurs is read with the next turn
    stage.turn(scheduler)
    stage.turn(scheduler, at=NOON + 300)
    assert stage.fired() == [("often", NOON + 300), ("cron", NOON + 300)]
    assert sorted(stage.waiting("other")) == ['{"class":"Cron","args":[]}', '{"class":"Other","args":[1]}']
    stage.app.schedules.remove("often")
    stage.turn(scheduler)
    stage.turn(scheduler)
    stage.turn(scheduler, at=NOON + 600)
    assert ("often", NOON + 600) in stage.fired()
    assert stage.waiting("q") == ['{"class":"Job","args":[]}']


def test_what_is_disabled_is_not_fired_and_not_made_up_for(stage: Stage) -> None:
    stage.own = [every(300)]
    scheduler = stage.scheduler()
    stage.turn(scheduler)
    assert stage.app.schedules.disable("often")
    for at in (NOON, NOON, NOON + 300, NOON + 700):
        stage.turn(scheduler, at=at)
    assert not stage.app.schedules.disable("often")
    assert stage.fired() == []
    assert [each.next for each in stage.app.schedules.list()] == [None]
    assert stage.app.schedules.enable("often")
    for at in (NOON + 700, NOON + 700, NOON + 900):
        stage.turn(scheduler, at=at)
    assert stage.fired() == [("often", NOON + 900)]
    assert not stage.app.schedules.enable("often")
    assert stage.broker.schedules() == {}


def test_what_cannot_be_read_in_the_store_is_told_once_and_keeps_nobody(stage: Stage) -> None:
    stage.own = [every(300)]
    stage.broker.put_schedule("broken", b"no json")
    stage.broker.put_schedule("ruby", b'{"cron":"0 99 * * *","class":"Job"}')
    scheduler = stage.scheduler()
    for at in (NOON, NOON, NOON + 300):
        stage.turn(scheduler, at=at)
    [loaded] = stage.of(events.Loaded)
    assert ["broken" in loaded.problems[0], "ruby" in loaded.problems[1]] == [True, True]
    assert stage.fired() == [("often", NOON + 300)]
    listed = {each.name: each for each in stage.app.schedules.list()}
    assert listed["broken"].problem
    assert "Bad hour" in listed["ruby"].problem


def test_what_can_never_be_enqueued_is_told_before_its_tick(stage: Stage) -> None:
    @job(queue="q", registry=stage.registry)
    def tick(n: int) -> None: ...

    stage.broker.put_schedule("a", b'{"every":"1h","class":"tick","args":[1,2]}')
    stage.broker.put_schedule("b", b'{"every":"1h","class":"Other"}')
    stage.broker.put_schedule("c", b'{"every":"1h","clas":"tick","queue":"q"}')
    stage.broker.put_schedule("fine", b'{"every":"1h","class":"Other","queue":"q"}')
    stage.turn(stage.scheduler())
    [loaded] = stage.of(events.Loaded)
    words = "tick() takes", "no queue", '"class"'
    assert [word in problem for word, problem in zip(words, loaded.problems, strict=True)] == [True] * 3


def test_what_a_file_wants_kept_is_in_the_store_once_and_what_was_disabled_there_stays_so(stage: Stage) -> None:
    stage.own = [every(300, persist=True, description="as in the file"), every(600, "other")]
    scheduler = stage.scheduler()
    stage.turn(scheduler)
    body = b'{"every":"300s","class":"Job","queue":"q","description":"as in the file"}'
    assert stage.broker.schedules() == {"often": body}
    assert stage.app.schedules.disable("often")
    stage.turn(stage.scheduler("vm:2:b"))  # it stands by, and has the same file
    assert b'"enabled":false' in stage.broker.schedules()["often"]
    assert stage.app.schedules.enable("often")
    assert stage.broker.schedules() == {"often": body}
    assert stage.app.schedules.set("often", taskq.options(queue="q").call("Job"), every=60)
    stage.turn(scheduler, at=NOON + 60, anew=True)
    assert b'"60s"' in stage.broker.schedules()["often"]  # until the file is read again
    stage.own = []
    scheduler.ear.said.append(signal.SIGHUP)  # type: ignore[attr-defined]
    scheduler._orders.listen()
    stage.turn(scheduler, at=NOON + 120)
    assert ("often", NOON + 120) in stage.fired()  # it has left the file and not the store


def test_what_recurs_with_the_one_that_stands_by_alone_is_told_by_name(stage: Stage) -> None:
    """Two applications on one store: of the second's nothing was ever enqueued, and nobody said so."""
    stage.own = [every(300), every(60, "same"), every(60, "differs")]
    first = stage.scheduler("vm:1:a")
    stage.own = [
        every(60, "mine"),
        every(60, "same"),
        every(90, "differs"),
        every(60, "stored"),
        every(60, "off", enabled=False),
    ]
    second = stage.scheduler("vm:2:b")
    stage.turn(first)
    stage.app.schedules.set("stored", taskq.options(queue="q").call("Job"), every=60)
    for _ in range(2):
        stage.turn(second)
    assert stage.of(events.Unknown) == [events.Unknown("vm:1:a", ["mine", "differs"])]


def test_other_processes_see_what_it_has(stage: Stage) -> None:
    stage.own = [every(300, description="d")]
    scheduler = stage.scheduler()
    stage.turn(scheduler)
    elsewhere = taskq.TaskQ(broker=stage.broker, registry=Registry())
    running = elsewhere.schedules.scheduler()
    assert running is not None
    assert running.scheduler == "vm:1:a"
    stage.turn(scheduler, at=NOON + 310)
    [listed] = elsewhere.schedules.list()
    assert (listed.name, listed.origin, listed.last, listed.next) == ("often", "scheduler", NOON + 300, NOON + 600)
    assert elsewhere.schedules.scheduler() is None  # it has said nothing for so long


def test_what_decorators_say_recurs(stage: Stage) -> None:
    @job(queue="q", cron="30 2 * * *", tz="Europe/Berlin", args=["night"], registry=stage.registry)
    def report(when: str, *, copies: int = 1) -> None: ...

    for night in ("2027-03-27", "2027-10-30"):  # in the night after each the clocks change
        scheduler = stage.scheduler(f"vm:{night}:a")
        start = datetime.fromisoformat(night).replace(tzinfo=BERLIN).timestamp()
        stage.turn(scheduler, at=start)
        stage.told.clear()
        for minutes in range(10, 60 * 72, 10):
            stage.turn(scheduler, at=start + 60 * minutes)
        scheduler._leave()
        days = [datetime.fromtimestamp(tick, BERLIN).day for _, tick in stage.fired()]
        assert days == [27, 28, 29] if night == "2027-03-27" else [30, 31, 1]
    # Six, and one for all that were missed in the summer between.
    assert stage.waiting("q") == ['{"class":"report","args":["night"]}'] * 7


# ---- hooks


class Says(Hook):
    def __init__(self, what: Callable[[EnqueueRequest, Callable[[EnqueueRequest], Enqueued]], Enqueued]) -> None:
        self.what = what
        self.asked = 0

    def wrap_enqueue(self, request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
        self.asked += 1
        return self.what(request, call_next)


def boom(request: EnqueueRequest, call_next: object) -> Enqueued:
    raise RuntimeError("boom")


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (lambda request, call_next: Vetoed(request.job, "me", "no"), events.Skipped),
        (lambda request, call_next: Deferred(request.job, "me", "later"), events.Skipped),
        (boom, events.Failed),
    ],
    ids=["vetoed", "deferred", "raised"],
)
def test_a_hook_is_asked_at_each_tick_and_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, says: Any, told: type
) -> None:
    hook = Says(says)
    stage.hook(hook, monkeypatch)
    stage.own = [every(300)]
    scheduler = stage.scheduler()
    for at in (NOON, NOON + 300, NOON + 310, NOON + 600):
        stage.turn(scheduler, at=at)
    assert hook.asked == 2
    assert len(stage.of(told)) == 2
    assert stage.broker.last_fired(["often"]) == {"often": NOON + 600}
    assert stage.waiting("q") == []


def test_a_hook_may_have_it_wait(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def later(request: EnqueueRequest, call_next: Callable[[EnqueueRequest], Enqueued]) -> Enqueued:
        import dataclasses

        return call_next(dataclasses.replace(request, at=stage.now + 50))

    stage.hook(Says(later), monkeypatch)
    stage.own = [every(300)]
    scheduler = stage.scheduler()
    for at in (NOON, NOON + 300, NOON + 310):
        stage.turn(scheduler, at=at)
    assert stage.waiting("q") == []
    assert [each.at for each in stage.app.delayed.each()] == [NOON + 350]


def test_a_job_that_does_not_take_its_arguments_is_told_at_its_tick(stage: Stage) -> None:
    @job(queue="q", name="Job", registry=stage.registry)
    def takes_none() -> None: ...

    stage.own = [every(300, args=[1]), decode("nowhere", {"every": 300, "class": "Unknown"})]
    scheduler = stage.scheduler()
    for at in (NOON, NOON + 300, NOON + 310):
        stage.turn(scheduler, at=at)
    problems = {each.name: each.problem for each in stage.of(events.Failed)}
    assert "Job() takes no arguments" in problems["often"] or "Job()" in problems["often"]
    assert "says no queue" in problems["nowhere"]


# ---- what it is told


def test_signals_show_and_read_again(stage: Stage) -> None:
    stage.own = [every(300)]
    scheduler = stage.scheduler()
    stage.turn(scheduler)
    ear: Ear = scheduler.ear  # type: ignore[attr-defined]
    ear.said = [signal.SIGUSR1]
    scheduler._orders.listen()
    stage.turn(scheduler)
    [shown] = stage.of(events.Shown)
    assert [each.name for each in shown.schedules] == ["often"]
    stage.own = [every(300), every(300, "more")]
    ear.said = [signal.SIGUSR2]
    scheduler._orders.listen()
    stage.turn(scheduler)
    assert stage.of(events.Loaded) == [events.Loaded(2, [])]


def test_a_file_that_is_wrong_by_now_changes_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.own = [every(300)]
    scheduler = stage.scheduler()
    stage.turn(scheduler)

    def wrong() -> Sequence[Schedule]:
        raise ConfigurationError([Problem("schedule", "s.yml", "often: it says neither cron nor every.")])

    monkeypatch.setattr(scheduler._roster, "_read", wrong)
    scheduler._orders.reload = True
    stage.turn(scheduler, at=NOON + 300)
    [loaded] = stage.of(events.Loaded)
    assert "All stays as it was. s.yml: often" in loaded.problems[0]
    assert stage.fired() == [("often", NOON + 300)]


def is_stopping(orders: Orders) -> bool:
    return orders.stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_it_is_told_to_stop_by_a_signal_or_by_its_supervisor(number: int) -> None:
    ear = Ear()
    ear.said = [number]
    alone = Orders(ear)
    alone.listen()
    assert is_stopping(alone)
    hears, says = os.pipe()
    ear.said = [number]
    under = Orders(ear, supervisor=hears)
    under.listen()
    assert not is_stopping(under)  # from outside only the top process takes it
    os.write(says, bytes([signal.SIGUSR2]))
    under.listen()
    assert not is_stopping(under)
    os.write(says, bytes([number]))
    under.listen()
    assert is_stopping(under)
    orphan = Orders(ear, supervisor=hears)
    os.close(says)
    orphan.listen()
    assert is_stopping(orphan)
    os.close(hears)
    ear.close()
