"""The supervisor with small programs for workers: real processes, real signals, no broker."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from taskq import events, queue_lists
from taskq.config import Count
from taskq.errors import ConfigurationError, Problem
from taskq.queue_lists import QueueList
from taskq.worker import scaling, supervisor
from taskq.worker.control import Control, Manners
from taskq.worker.offspring import Say, Work
from taskq.worker.signals import Ear
from taskq.worker.supervisor import Crew, RunOne
from taskq.worker.waiting import readable
from tests.support.bench import Told
from tests.support.leftovers import Since
from tests.support.workers import children_of

MANNERS = Manners()


def supervise(count: int, run_one: RunOne, manners: Manners, tell: events.Tell, *, burst: bool) -> int:
    """One crew of always so many."""
    queues = queue_lists.parse("*")
    crew = Crew("", Count(count, count), queues, run_one, burst=burst, grace=manners.shutdown_timeout)
    return supervisor.supervise([crew], manners, tell)


class Journal:
    """Lines that several processes append; read while they do."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def write(self, line: str) -> None:
        with self.path.open("a") as file:
            file.write(f"{line}\n")

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines()

    def has(self, count: int, line: str) -> bool:
        """Whether it comes to have so many such lines, within half a minute."""
        ends = time.monotonic() + 30.0
        while self.lines().count(line) < count:
            if time.monotonic() > ends:
                return False
            time.sleep(0.005)
        return True


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def listens(
    journal: Journal, *, until: Callable[[Control], bool] = lambda control: control.stopping
) -> Callable[[int, Callable[[], None]], int]:
    """A worker that notes what it hears, until it is told to stop."""

    def run_one(orders: int, registered: Callable[[], None]) -> int:
        def tell(event: events.Event) -> None:
            if isinstance(event, events.Heard):
                journal.write(signal.Signals(event.signal).name)

        with Ear() as ear:
            control = Control(ear, MANNERS, tell, supervisor=orders)
            registered()
            journal.write("started")
            while not until(control):
                control.rest(30.0)
        return control.status

    return run_one


def after(ready: Callable[[], bool], *numbers: int) -> threading.Thread:
    """Signals to this process, the supervisor's, once something is so."""

    def send() -> None:
        assert ready()
        for number in numbers:
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def write(path: Path, waiting: int) -> None:
    """At once, for somebody reads it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(str(waiting))
    fresh.rename(path)


def looked(seen: Path, times: int) -> bool:
    """Whether a scout comes to look so many times more."""
    looks = seen.parent / "looks"
    before = looks.stat().st_size
    return comes(lambda: looks.stat().st_size >= before + times)


def comes(true: Callable[[], bool]) -> bool:
    """Whether it comes to be so, within half a minute."""
    ends = time.monotonic() + 30.0
    while not true():
        if time.monotonic() > ends:
            return False
        time.sleep(0.005)
    return True


class TestBurst:
    def test_ends_when_each_has_ended_by_itself(self, journal: Journal) -> None:
        def run_one(orders: int, registered: Callable[[], None]) -> int:
            registered()
            journal.write("ran")
            return 0

        assert supervise(3, run_one, MANNERS, Told(), burst=True) == 0
        assert journal.lines() == ["ran"] * 3

    def test_a_worker_gets_pipes_of_its_own_only(self, journal: Journal) -> None:
        """A copy of another's would keep that one from hearing the supervisor's end."""
        since = Since()

        def run_one(orders: int, registered: Callable[[], None]) -> int:
            registered()
            journal.write(str(len(since.descriptors())))
            return 0

        supervise(4, run_one, MANNERS, Told(), burst=True)
        assert set(journal.lines()) == {"4"}  # its two pipes' ends, and what the supervisor's ear has
        assert since.descriptors() == set()


class TestNotWaiting:
    def crew(self, run_one: RunOne, *, burst: bool = False) -> Crew:
        return Crew("", Count(3, 3), queue_lists.parse("*"), run_one, burst=burst, waits=False)

    def test_one_finds_out_for_all_that_the_broker_is_away(self, journal: Journal) -> None:
        def run_one(orders: int, registered: Callable[[], None]) -> int:
            journal.write("tried")
            return supervisor.NOT_REACHED

        told = Told()
        assert supervisor.supervise([self.crew(run_one)], MANNERS, told) == 69
        assert journal.lines() == ["tried"]
        [warned] = told.of(events.Warned)
        assert "ended with status 69, not being told to wait for its broker. The supervisor ends." in warned.message

    def test_a_burst_that_lost_its_broker_is_not_begun_again(self, journal: Journal) -> None:
        def run_one(orders: int, registered: Callable[[], None]) -> int:
            registered()
            journal.write("ran")
            return supervisor.NOT_REACHED

        told = Told()
        assert supervisor.supervise([self.crew(run_one, burst=True)], MANNERS, told) == 69
        assert journal.lines() == ["ran"] * 3
        assert told.of(events.Warned) == []


class TestStopping:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
    def test_is_handed_on_to_every_worker_once(self, journal: Journal, number: signal.Signals) -> None:
        sender = after(lambda: journal.has(2, "started"), number, number)
        assert supervise(2, listens(journal), MANNERS, Told(), burst=False) == 0
        sender.join()
        assert sorted(journal.lines()) == sorted([number.name] * 2 + ["started"] * 2)

    def test_other_signals_are_handed_on_too(self, journal: Journal) -> None:
        first = after(lambda: journal.has(2, "started"), signal.SIGUSR2)
        then = after(lambda: journal.has(2, "SIGUSR2"), signal.SIGQUIT)
        assert supervise(2, listens(journal), MANNERS, Told(), burst=False) == 0
        first.join()
        then.join()
        assert journal.lines().count("SIGUSR2") == 2

    def test_a_worker_that_does_not_end_is_killed(self, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        def run_one(orders: int, registered: Callable[[], None]) -> int:
            registered()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            journal.write("started")
            while True:
                signal.pause()

        monkeypatch.setattr(supervisor, "_LAST_GRACE", 0.05)
        told = Told()
        sender = after(lambda: journal.has(1, "started"), signal.SIGTERM)
        assert supervise(1, run_one, Manners(shutdown_timeout=0.05), told, burst=False) == 0
        sender.join()
        assert "does not end; it is killed." in told.of(events.Warned)[0].message

    def test_somebody_who_hurries_is_the_status(self, journal: Journal) -> None:
        first = after(lambda: journal.has(1, "started"), signal.SIGTERM)
        hurry = after(lambda: journal.has(1, "SIGTERM"), signal.SIGINT)
        run_one = listens(journal, until=lambda control: control.hurried)
        assert supervise(1, run_one, MANNERS, Told(), burst=False) == 128 + signal.SIGINT
        first.join()
        hurry.join()
        assert journal.lines() == ["started", "SIGTERM", "SIGINT"]


@pytest.mark.parametrize("count", [Count(2, 2), Count(2, 3)], ids=str)
def test_a_supervisor_rests_while_there_is_nothing_to_do(
    count: Count, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def recorded(fds: Sequence[int], seconds: float) -> set[int]:
        pauses.append(seconds)
        return readable(fds, seconds)

    monkeypatch.setattr(supervisor, "readable", recorded)
    sender = after(lambda: journal.has(2, "started"), signal.SIGTERM)
    crew = Crew("", count, queue_lists.parse("*"), listens(journal))
    assert supervisor.supervise([crew], MANNERS, Told(), scouting=lambda lists: silent) == 0
    sender.join()
    assert pauses[0] > 30.0
    assert len(pauses) < 20


def silent(orders: int, say: Say) -> int:
    """A scout that sees nothing."""
    while not readable([orders], 30.0):
        pass
    return 0


class TestDeaths:
    def test_a_worker_that_dies_is_replaced_after_a_pause(self, journal: Journal) -> None:
        def run_one(orders: int, registered: Callable[[], None]) -> int:
            if "died" in journal.lines():
                return listens(journal)(orders, registered)
            registered()
            journal.write("died")
            os.kill(os.getpid(), signal.SIGKILL)
            return 0

        told = Told()
        sender = after(lambda: journal.has(1, "started"), signal.SIGQUIT)
        assert supervise(1, run_one, MANNERS, told, burst=False) == 0
        sender.join()
        [warned] = told.of(events.Warned)
        assert warned.message.startswith("Worker 1 (pid ")
        assert warned.message.endswith(") was killed by SIGKILL; another starts in 1 s.")

    def test_workers_that_cannot_start_end_the_supervisor_with_their_status(self) -> None:
        told = Told()
        assert supervise(3, lambda orders, registered: 2, MANNERS, told, burst=False) == 2
        last = told.of(events.Warned)[-1].message
        assert "ended with status 2. 3 in a row ended before they registered: they cannot start." in last

    def test_one_that_raises_ends_with_1_and_shows_why(self, capfd: pytest.CaptureFixture[str]) -> None:
        def run_one(orders: int, registered: Callable[[], None]) -> int:
            raise ValueError("cannot work")

        assert supervise(3, run_one, MANNERS, Told(), burst=False) == 1
        assert capfd.readouterr().err.count("ValueError: cannot work") == 3

    def test_one_that_exits_keeps_its_pipes_from_nobody(self, journal: Journal) -> None:
        """Replaced a few times, the supervisor has no descriptor more than before."""
        since = Since()
        supervise(3, lambda orders, registered: 7, MANNERS, Told(), burst=False)
        assert since.descriptors() == set()


class TestScaling:
    """A crew of 1-3. What its scout sees is what the test wrote last."""

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scaling, "_UP_AFTER", 0.05)
        monkeypatch.setattr(scaling, "_DOWN_AFTER", 0.2)

    @staticmethod
    def supervise(
        run_one: RunOne, seen: Path, told: events.Tell, *, least: int = 1, shown: list[str] | None = None
    ) -> int:
        (seen.parent / "looks").touch()

        def scouting(lists: Mapping[str, QueueList]) -> Work:
            assert [queues.id for queues in lists.values()] == ["mail"]

            def look(orders: int, say: Say) -> int:
                while not readable([orders], 0.02):
                    waiting = int(seen.read_text())
                    with (seen.parent / "looks").open("a") as looks:
                        looks.write(".")
                    say(json.dumps({"": {"mail": waiting} if waiting else {}}).encode() + b"\n")
                return 0

            return look

        crew = Crew("", Count(least, 3), queue_lists.parse("mail"), run_one)
        entitle = None if shown is None else shown.append
        return supervisor.supervise([crew], MANNERS, told, scouting=scouting, entitle=entitle)

    def test_grows_by_what_waits_and_shrinks_when_nothing_does(self, journal: Journal, tmp_path: Path) -> None:
        seen, told, shown = tmp_path / "seen", Told(), list[str]()
        write(seen, 9)

        def calm() -> bool:
            assert journal.has(3, "started")
            write(seen, 0)
            return journal.has(2, "SIGQUIT")

        sender = after(calm, signal.SIGTERM)
        assert self.supervise(listens(journal), seen, told, shown=shown) == 0
        sender.join()
        assert sorted(journal.lines()) == ["SIGQUIT"] * 2 + ["SIGTERM"] + ["started"] * 3
        *ups, first, second = told.of(events.Scaled)
        assert [ups[0].before, *(up.now for up in ups)] in ([1, 2, 3], [1, 3])
        assert {(up.crew, up.count, up.reason) for up in ups} == {("", "1-3", "9 jobs wait in mail")}
        assert [(down.before, down.now) for down in (first, second)] == [(3, 2), (2, 1)]
        assert {first.reason, second.reason} == {"nothing has waited for 0 s"}
        assert shown[0] == "Supervising 1 worker (of 1-3)"
        assert shown[-3:] == [f"Supervising {what} (of 1-3)" for what in ("3 workers", "2 workers", "1 worker")]

    def test_never_has_more_than_the_most_while_some_still_end_their_job(
        self, journal: Journal, tmp_path: Path
    ) -> None:
        seen, told, gate = tmp_path / "seen", Told(), tmp_path / "gate"
        write(seen, 9)

        def in_a_job(control: Control) -> bool:
            return control.deadline is not None or (control.stopping and gate.exists())

        def again() -> bool:
            assert journal.has(3, "started")
            write(seen, 0)
            assert journal.has(1, "SIGQUIT")
            write(seen, 9)
            steps = told.of(events.Scaled)
            assert looked(seen, 10)  # at which another worker would start
            assert journal.lines().count("started") == 3
            assert told.of(events.Scaled) == steps
            gate.touch()
            os.kill(first_leaving(), signal.SIGUSR2)  # wakes it
            return journal.has(4, "started")

        def first_leaving() -> int:
            return next(int(line.split()[1]) for line in journal.lines() if line.startswith("leaving"))

        def run_one(orders: int, registered: Callable[[], None]) -> int:
            def until(control: Control) -> bool:
                if control.stopping and f"leaving {os.getpid()}" not in journal.lines():
                    journal.write(f"leaving {os.getpid()}")
                return in_a_job(control)

            return listens(journal, until=until)(orders, registered)

        sender = after(again, signal.SIGTERM)
        assert self.supervise(run_one, seen, told) == 0
        sender.join()

    def test_one_that_is_not_even_there_goes_first(self, journal: Journal, tmp_path: Path) -> None:
        seen, told = tmp_path / "seen", Told()
        write(seen, 9)

        def run_one(orders: int, registered: Callable[[], None]) -> int:
            if journal.lines().count("started") == 2:
                registered()
                journal.write("died")
                os._exit(9)
            return listens(journal)(orders, registered)

        def calm() -> bool:
            assert journal.has(1, "died")
            write(seen, 0)
            return comes(lambda: any(step.now < step.before for step in told.of(events.Scaled)))

        sender = after(calm, signal.SIGTERM)
        assert self.supervise(run_one, seen, told) == 0
        sender.join()
        assert "SIGQUIT" not in journal.lines()

    def test_does_not_grow_while_it_is_paused(self, journal: Journal, tmp_path: Path) -> None:
        seen, told = tmp_path / "seen", Told()
        write(seen, 0)

        def paused() -> bool:
            assert journal.has(1, "started")
            os.kill(os.getpid(), signal.SIGUSR2)
            assert journal.has(1, "SIGUSR2")
            write(seen, 9)
            assert looked(seen, 10)
            return told.of(events.Scaled) == []

        first = after(paused, signal.SIGCONT)
        then = after(lambda: journal.has(3, "started"), signal.SIGTERM)
        assert self.supervise(listens(journal), seen, told) == 0
        first.join()
        then.join()

    def test_a_scout_that_dies_is_said_and_hurts_nobody(
        self, journal: Journal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(supervisor, "_PAUSE_MOST", 0.0)
        told = Told()

        def dies(lists: Mapping[str, QueueList]) -> Work:
            return lambda orders, say: 7

        sender = after(lambda: comes(lambda: len(told.of(events.Warned)) > 1), signal.SIGTERM)
        crew = Crew("", Count(1, 2), queue_lists.parse("*"), listens(journal))
        assert supervisor.supervise([crew], MANNERS, told, scouting=dies) == 0
        sender.join()
        assert told.of(events.Warned)[0].message.startswith(
            "The process that looks at the queues ended with 7; another"
        )

    def test_nothing_is_left_of_it(self, journal: Journal, tmp_path: Path) -> None:
        since, children = Since(), children_of(os.getpid())
        write(tmp_path / "seen", 9)
        sender = after(lambda: journal.has(3, "started"), signal.SIGTERM)
        self.supervise(listens(journal), tmp_path / "seen", Told())
        sender.join()
        assert since.descriptors() == set()
        assert set(children_of(os.getpid())) <= set(children)


class TestPool:
    """Groups, and HUP: the crews that the test left in a file last."""

    class Crews:
        """A file of lines `name least most settings`, which a test writes and HUP reads."""

        def __init__(self, journal: Journal, path: Path) -> None:
            self.journal = journal
            self.path = path
            self.terminal: int | None = None  # its other end, which no worker has outside of a test

        def write(self, *lines: str) -> None:
            self.path.write_text("\n".join(lines))

        def read(self) -> list[Crew]:
            return [self._crew(*line.split()) for line in self.path.read_text().splitlines()]

        def _crew(self, name: str, least: str, most: str, settings: str) -> Crew:
            if least == "broken":
                raise ConfigurationError([Problem("count", f"pool.toml [group.{name}] count", "must be a number.")])
            count = Count(int(least), int(most))
            return Crew(name, count, queue_lists.parse(f"q_{name}"), self._run_one(name, settings), settings=settings)

        def _run_one(self, name: str, settings: str) -> RunOne:
            if settings == "cannot":
                return lambda orders, registered: 2

            def run_one(orders: int, registered: Callable[[], None]) -> int:
                signal.signal(signal.SIGHUP, lambda number, frame: None)
                if self.terminal is not None:
                    os.close(self.terminal)

                def until(control: Control) -> bool:
                    if control.stopping:
                        self.journal.write(f"{name} {settings} ends")
                    return control.stopping

                self.journal.write(f"{name} {settings} starts")
                return listens(self.journal, until=until)(orders, registered)

            return run_one

        def supervise(self, told: events.Tell, shown: list[str] | None = None) -> int:
            entitle = None if shown is None else shown.append
            return supervisor.supervise(self.read(), MANNERS, told, reread=self.read, entitle=entitle)

        def steps(self) -> list[str]:
            return sorted(line for line in self.journal.lines() if line.endswith(("starts", "ends")))

    @pytest.fixture
    def crews(self, journal: Journal, tmp_path: Path) -> Crews:
        return self.Crews(journal, tmp_path / "pool.toml")

    def test_hup_adds_removes_and_changes_and_leaves_alone_what_is_as_it_was(
        self, journal: Journal, crews: Crews
    ) -> None:
        crews.write("as_was 1 1 x", "changed 2 2 x", "removed 1 1 x")
        told, shown = Told(), list[str]()

        def other() -> bool:
            assert journal.has(4, "started")
            crews.write("added 1 1 x", "as_was 1 1 x", "changed 2 2 y")
            return True

        first = after(other, signal.SIGHUP)
        then = after(lambda: journal.has(7, "started"), signal.SIGTERM)
        assert crews.supervise(told, shown) == 0
        first.join()
        then.join()
        assert crews.steps() == [
            "added x ends", "added x starts",
            "as_was x ends", "as_was x starts",
            *["changed x ends"] * 2, *["changed x starts"] * 2,
            *["changed y ends"] * 2, *["changed y starts"] * 2,
            "removed x ends", "removed x starts",
        ]  # fmt: skip
        assert told.of(events.PoolRead) == [
            events.PoolRead(("added (1 for q_added)",), ("changed (2 for q_changed)",), ("removed",), ("as_was",))
        ]
        assert shown == [
            "Supervising as_was: 1, changed: 2, removed: 1",
            "Supervising added: 1, as_was: 1, changed: 2",
        ]

    def test_a_changed_group_has_never_more_workers_than_its_count(
        self, journal: Journal, crews: Crews, tmp_path: Path
    ) -> None:
        """Who counts on one worker alone for a queue counts on it while the file is read again, too."""
        crews.write("a 1 1 x")

        def other() -> bool:
            assert journal.has(1, "started")
            crews.write("a 1 1 y")
            return True

        first = after(other, signal.SIGHUP)
        then = after(lambda: journal.has(1, "a y starts"), signal.SIGTERM)
        crews.supervise(Told())
        first.join()
        then.join()
        lines = [line for line in journal.lines() if line.startswith("a ")]
        assert lines == ["a x starts", "a x ends", "a y starts", "a y ends"]

    def test_another_count_touches_only_those_that_are_too_many(self, journal: Journal, crews: Crews) -> None:
        crews.write("more 1 1 x", "less 3 3 x")

        def other() -> bool:
            assert journal.has(4, "started")
            crews.write("more 3 3 x", "less 1 1 x")
            return True

        first = after(other, signal.SIGHUP)
        then = after(lambda: journal.has(6, "started") and journal.has(2, "less x ends"), signal.SIGTERM)
        told = Told()
        assert crews.supervise(told) == 0
        first.join()
        then.join()
        assert crews.steps() == [
            *["less x ends"] * 3,
            *["less x starts"] * 3,
            *["more x ends"] * 3,
            *["more x starts"] * 3,
        ]
        [read] = told.of(events.PoolRead)
        assert read.changed == ("more (count 1, now 3)", "less (count 3, now 1)")
        assert journal.lines().count("SIGQUIT") == 2

    def test_a_broken_file_is_said_and_all_stays_as_it_was(self, journal: Journal, crews: Crews) -> None:
        crews.write("a 2 2 x")
        told = Told()

        def broken() -> bool:
            assert journal.has(2, "started")
            crews.write("a broken 2 x")
            return True

        first = after(broken, signal.SIGHUP)
        then = after(lambda: comes(lambda: bool(told.of(events.PoolKept))), signal.SIGTERM)
        assert crews.supervise(told) == 0
        first.join()
        then.join()
        [kept] = told.of(events.PoolKept)
        assert str(kept.error) == "pool.toml [group.a] count: must be a number."
        assert crews.steps() == [*["a x ends"] * 2, *["a x starts"] * 2]

    def test_a_group_that_cannot_start_is_given_up_until_hup_and_the_others_go_on(
        self, journal: Journal, crews: Crews
    ) -> None:
        crews.write("fine 1 1 x", "bad 3 3 cannot")
        told = Told()

        def mended() -> bool:
            assert journal.has(1, "started")
            assert comes(lambda: any("cannot start" in warned.message for warned in told.of(events.Warned)))
            crews.write("fine 1 1 x", "bad 1 1 x")
            return True

        first = after(mended, signal.SIGHUP)
        then = after(lambda: journal.has(2, "started"), signal.SIGTERM)
        assert crews.supervise(told) == 0
        first.join()
        then.join()
        last = told.of(events.Warned)[-1].message
        assert last.startswith("Worker ")
        assert " of bad (pid " in last
        assert last.endswith(
            "ended with status 2. 3 in a row ended before they registered: they cannot start. "
            "Nobody serves q_bad for bad until the file is read again (HUP)."
        )
        assert crews.steps() == ["bad x ends", "bad x starts", "fine x ends", "fine x starts"]

    def test_groups_that_all_cannot_start_end_the_supervisor_with_their_status(self, crews: Crews) -> None:
        crews.write("a 3 3 cannot", "b 3 3 cannot")
        told = Told()
        assert crews.supervise(told) == 2
        assert told.of(events.Warned)[-1].message.endswith("The supervisor ends.")

    def test_a_group_that_was_removed_and_comes_back_starts_anew(self, journal: Journal, crews: Crews) -> None:
        crews.write("a 1 1 x", "b 1 1 x")
        told = Told()

        def without() -> bool:
            assert journal.has(2, "started")
            crews.write("a 1 1 x")
            os.kill(os.getpid(), signal.SIGHUP)
            assert comes(lambda: bool(told.of(events.PoolRead)))
            crews.write("a 1 1 x", "b 1 1 x")
            return True

        first = after(without, signal.SIGHUP)
        then = after(lambda: journal.has(3, "started"), signal.SIGTERM)
        assert crews.supervise(told) == 0
        first.join()
        then.join()
        assert [read.added for read in told.of(events.PoolRead)] == [(), ("b (1 for q_b)",)]
        assert crews.steps() == ["a x ends", "a x starts", *["b x ends"] * 2, *["b x starts"] * 2]

    def test_a_terminal_that_is_gone_ends_all_and_reads_nothing(
        self, journal: Journal, crews: Crews, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ours, theirs = pty.openpty()
        crews.write("a 2 2 x")
        crews.terminal = ours
        told = Told()

        def closed() -> bool:
            assert journal.has(2, "started")
            os.close(ours)
            return True

        with os.fdopen(theirs) as terminal:
            monkeypatch.setattr("sys.stdin", terminal)
            sender = after(closed, signal.SIGHUP)
            assert crews.supervise(told) == 0
            sender.join()
        assert told.of(events.PoolRead) == []
        assert journal.lines().count("SIGTERM") == 2


def test_a_worker_that_is_started_anew_in_a_pause_pauses_too(journal: Journal) -> None:
    def program(orders: int, registered: Callable[[], None]) -> int:
        if "started" not in journal.lines():
            status = listens(journal, until=lambda control: control.paused)(orders, registered)
            journal.write("died")
            return status or 7
        return listens(journal)(orders, registered)

    first = after(lambda: journal.has(1, "started"), signal.SIGUSR2)
    then = after(lambda: journal.has(2, "started") and journal.has(2, "SIGUSR2"), signal.SIGTERM)
    assert supervise(1, program, MANNERS, Told(), burst=False) == 0
    first.join()
    then.join()


def test_workers_end_as_by_quit_when_their_supervisor_is_killed(journal: Journal) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.worker.test_supervisor_unit import Journal, listens, supervise, MANNERS\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "inner = listens(journal)\n"
        "def run_one(orders, registered):\n"
        "    status = inner(orders, registered)\n"
        "    journal.write(f'ended {status}')\n"
        "    return status\n"
        "supervise(2, run_one, MANNERS, lambda event: None, burst=False)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(journal.path)]) as process:
        assert journal.has(2, "started")
        process.kill()
    assert journal.has(2, "ended 0")
    assert sorted(journal.lines()) == ["SIGQUIT", "SIGQUIT", "ended 0", "ended 0", "started", "started"]
