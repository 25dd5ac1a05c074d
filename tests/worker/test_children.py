"""Watching a child: what it says counts, its death is told by its own descriptor, and it ends when its time is over."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskq import events
from taskq import outcome as outcomes
from taskq.outcome import Done
from taskq.records import Crash, Ended
from taskq.worker import children as children_module
from taskq.worker.children import Child, Children
from taskq.worker.control import Manners
from taskq.worker.waiting import readable
from tests.support.bench import Bench
from tests.support.leftovers import Since
from tests.support.workers import is_alive, wait_until

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

Acts = Callable[[int], object]
"""What a child does, given the pipe on which it speaks."""


def lives(pipe: int) -> None:
    time.sleep(600)


def says(*words: bytes, then: Acts = lambda _: None) -> Acts:
    def act(pipe: int) -> None:
        for word in words:
            os.write(pipe, word)
        then(pipe)

    return act


def dies_by(number: int) -> Acts:
    return lambda _: os.kill(os.getpid(), number)


DONE = outcomes.dump(Done(0.5))


class Watched(Children):
    """Those of a worker on a bench."""

    def __init__(self, bench: Bench, beside: Callable[[], None] = lambda: None) -> None:
        super().__init__(bench.seat, bench.hand, bench.control, bench.worker.tell, beside=beside)

    def make(self, acts: Acts) -> Child:
        """A child in a group of its own that acts, then exits with 0."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(reader)
                os.setpgid(0, 0)
                for number in (signal.SIGTERM, signal.SIGUSR1):
                    signal.signal(number, signal.SIG_DFL)
                acts(writer)
            finally:
                os._exit(0)
        os.close(writer)
        return self.adopt(pid, reader)


@pytest.fixture(params=["with a descriptor of its death", "without"])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    if request.param == "without":
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    with Bench(beat=0.01) as bench:
        bench.seat.register()
        yield bench


def ends(children: Children, child: Child) -> Crash:
    """Wait for its death, which nothing that it said explains."""
    crash = children.watch(child)
    assert isinstance(crash, Crash)
    assert child.dead
    return crash


class TestWatch:
    def test_what_it_says_counts_before_it_is_dead(self, bench: Bench) -> None:
        children = Watched(bench)
        child = children.make(says(DONE, then=lives))
        assert children.watch(child) == Done(0.5)
        assert not child.dead
        children.kill(child, "shutdown")
        assert ends(children, child).ended == "shutdown"

    def test_what_it_said_last_counts_though_it_is_dead(self, bench: Bench) -> None:
        children = Watched(bench)
        child = children.make(says(DONE, then=dies_by(signal.SIGKILL)))
        wait_until(lambda: not is_alive(child.pid))
        assert children.watch(child) == Done(0.5)

    def test_one_that_said_its_outcome_is_not_killed_for_its_time_by_a_parent_that_was_held_up(
        self, bench: Bench
    ) -> None:
        children = Watched(bench)
        reader, writer = os.pipe()
        child = children.make(says(DONE, then=lambda _: os.read(reader, 1)))
        wait_until(lambda: readable([child.pipe or 0], 0))
        child.kill_at = 0.0
        assert children.watch(child) == Done(0.5)
        assert not child.dead
        os.write(writer, b"!")
        assert ends(children, child).status == 0
        os.close(reader)
        os.close(writer)

    def test_one_that_does_not_end_after_its_job_is_killed_and_named(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(children_module, "FLUSHES", 0.05)
        children = Watched(bench)
        child = children.make(says(DONE, then=lives))
        assert children.watch(child) == Done(0.5)
        children.see_out(child)
        assert child.dead
        [warned] = bench.told.of(events.Warned)
        assert warned.message.startswith(f"Child {child.pid} has not ended 0.05 s after its last job")

    def test_one_that_ended_long_ago_is_not_named_by_a_parent_that_was_held_up(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(children_module, "FLUSHES", 0.0)  # as if a broker had been away for longer than that
        children = Watched(bench)
        child = children.make(says(DONE))
        wait_until(lambda: not is_alive(child.pid))
        assert children.watch(child) == Done(0.5)
        children.see_out(child)
        assert child.dead
        assert bench.told.of(events.Warned) == []

    def test_one_that_died_by_itself_did_not_die_of_its_time(self, bench: Bench) -> None:
        children = Watched(bench)
        child = children.make(dies_by(signal.SIGKILL))
        wait_until(lambda: not is_alive(child.pid))
        child.kill_at = 0.0
        crash = ends(children, child)
        assert (crash.signal, crash.ended) == (signal.SIGKILL, "")

    def test_words_that_come_in_pieces_are_whole_words(self, bench: Bench) -> None:
        children = Watched(bench)
        child = children.make(says(DONE[:5], DONE[5:], then=lives))
        assert children.watch(child) == Done(0.5)
        children.kill(child, "")
        ends(children, child)

    @pytest.mark.parametrize("words", [b"", DONE[:-1], b"rubbish\n", b'{"done"\n'], ids=repr)
    def test_other_words_are_none(self, bench: Bench, words: bytes) -> None:
        children = Watched(bench)
        crash = ends(children, child := children.make(says(words)))
        assert crash == Crash(pid=child.pid, signal=None, status=0, ended="")

    def test_how_it_died(self, bench: Bench) -> None:
        children = Watched(bench)
        assert ends(children, children.make(lambda _: os._exit(7))).status == 7
        assert ends(children, children.make(dies_by(signal.SIGKILL))).signal == signal.SIGKILL

    def test_a_grandchild_that_holds_its_pipe_hides_no_death(self, bench: Bench) -> None:
        def leaves_one(pipe: int) -> None:
            if os.fork() == 0:
                time.sleep(600)

        children = Watched(bench)
        child = children.make(leaves_one)
        assert ends(children, child).status == 0
        os.killpg(child.pid, signal.SIGKILL)

    def test_a_child_that_closes_its_pipe_is_not_dead(self, bench: Bench, tmp_path: Path) -> None:
        def hangs_up(pipe: int) -> None:
            os.close(pipe)
            (tmp_path / "closed").touch()
            while not (tmp_path / "gate").exists():
                time.sleep(0.005)
            os._exit(3)

        def open_the_gate() -> None:
            if (tmp_path / "closed").exists():
                (tmp_path / "gate").touch()

        children = Watched(bench, beside=open_the_gate)
        assert ends(children, children.make(hangs_up)).status == 3

    def test_it_beats_meanwhile_and_does_what_is_to_be_done_beside(self, bench: Bench) -> None:
        calls: list[float | None] = []

        def beside() -> None:
            calls.append(bench.broker.workers()[0].heartbeat)
            bench.clock.passes(1.0)
            if len(calls) == 3:
                children.kill(child, "timeout")

        children = Watched(bench, beside)
        child = children.make(lives)
        assert ends(children, child).ended == "timeout"
        first, second, third, *_ = calls  # it takes a moment to die
        assert first is not None
        assert (second, third) == (first + 1.0, first + 2.0)

    def test_a_dead_child_leaves_no_descriptor_and_no_zombie(self, bench: Bench) -> None:
        children = Watched(bench)
        since = Since()
        child = children.make(says(DONE))
        children.watch(child)
        children.watch(child)
        assert since.descriptors() == set()
        with pytest.raises(ChildProcessError):
            os.waitpid(child.pid, os.WNOHANG)


def killed(child: Child, why: Ended) -> events.ChildEnding:
    return events.ChildEnding(child.pid, signal.SIGKILL, Manners().grace, why=why)


class TestEnding:
    def test_usr1_kills_it_with_all_that_it_started(self, bench: Bench, tmp_path: Path) -> None:
        def starts_another(pipe: int) -> None:
            if (pid := os.fork()) == 0:
                time.sleep(600)
            (tmp_path / "pid").write_text(str(pid))
            time.sleep(600)

        children = Watched(bench)
        child = children.make(starts_another)
        wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        signal.raise_signal(signal.SIGUSR1)
        assert ends(children, child) == Crash(pid=child.pid, signal=signal.SIGKILL, status=None, ended="kill")
        wait_until(lambda: not is_alive(int((tmp_path / "pid").read_text())))
        assert bench.told.of(events.ChildEnding) == [killed(child, "kill")]

    def test_its_time_is_over(self) -> None:
        with Bench(manners=Manners(shutdown_timeout=0.05)) as bench:
            bench.seat.register()
            children = Watched(bench)
            child = children.make(lives)
            signal.raise_signal(signal.SIGTERM)
            assert ends(children, child).ended == "shutdown"

    def test_term_child_warns_then_hands_term_on_then_kills(self) -> None:
        def ignores(pipe: int) -> None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.kill(os.getppid(), signal.SIGTERM)
            time.sleep(600)

        manners = Manners(term_child=True, pre_shutdown_timeout=0.5, term_timeout=0.5)
        with Bench(manners=manners) as bench:
            bench.seat.register()
            children = Watched(bench)
            child = children.make(ignores)
            assert ends(children, child).signal == signal.SIGKILL
            assert bench.told.of(events.ChildEnding) == [
                events.ChildEnding(child.pid, seconds=0.5),
                events.ChildEnding(child.pid, signal.SIGTERM),
                events.ChildEnding(child.pid, signal.SIGKILL, manners.grace, after_term=True, why="shutdown"),
            ]

    def test_what_ended_it_is_kept_and_told_once(self, bench: Bench) -> None:
        children = Watched(bench)
        child = children.make(lives)
        children.kill(child, "kill")
        children.kill(child, "timeout")
        assert ends(children, child).ended == "kill"
        assert len(bench.told.of(events.ChildEnding)) == 1


def test_between_jobs_the_dead_are_buried_and_the_living_are_not(bench: Bench) -> None:
    children = Watched(bench)
    dead, living = children.make(says(DONE)), children.make(lives)
    wait_until(lambda: not is_alive(dead.pid))
    children.look_after()
    assert (dead.dead, living.dead) == (True, False)
    children.kill(living, "")
    ends(children, living)


class TestLimit:
    def test_one_that_goes_on_after_its_time_and_the_grace_is_killed_and_says_why(self, bench: Bench) -> None:
        children = Watched(bench)
        child = children.make(lives)
        child.limit(0.02, 0.03)
        assert ends(children, child) == Crash(
            pid=child.pid, signal=signal.SIGKILL, status=None, ended="timeout", limit=0.02
        )
        assert bench.told.of(events.ChildEnding) == [killed(child, "timeout")]

    def test_begins_when_a_child_has_its_job(self, bench: Bench) -> None:
        children = Watched(bench)
        child = children.make(lives)
        child.taken = False
        child.limit(5.0, 1.0)
        assert child.kill_at == math.inf
        child.taken = True
        child.limit(5.0, 1.0)
        assert 5.0 < child.kill_at - time.monotonic() <= 6.0
        children.kill(child, "kill")
        ends(children, child)

    def test_is_over_with_the_job_for_what_is_flushed_after_it(self, bench: Bench) -> None:
        children = Watched(bench)
        child = children.make(says(DONE, then=lives))
        child.limit(0.5, 0.5)
        assert children.watch(child) == Done(0.5)
        assert child.kill_at > time.monotonic() + 1.0
        children.kill(child, "kill")
        ends(children, child)
