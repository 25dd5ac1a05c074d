"""What a worker is told, by real signals and by a supervisor's pipe, and what it means for the job in hand."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from taskq import events
from taskq.worker.control import LAST_WORDS, Control, Manners
from taskq.worker.signals import Ear
from taskq.worker.waiting import readable
from tests.support.bench import Clock, Told


@pytest.fixture
def ear() -> Iterator[Ear]:
    with Ear() as ear:
        yield ear


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def control_of(ear: Ear, told: Told, clock: Clock, **manners: object) -> Control:
    return Control(ear, Manners(**manners), told, clock=clock)  # type: ignore[arg-type]  # a test's own words


def hears(control: Control, *numbers: int) -> None:
    for number in numbers:
        signal.raise_signal(number)
        control.listen()


class TestQuit:
    def test_lets_the_job_in_hand_take_its_time(self, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock)
        hears(control, signal.SIGQUIT)
        assert (control.stopping, control.stopped_at, control.deadline, control.status) == (True, clock(), None, 0)
        assert told.all == [events.Heard(signal.SIGQUIT), events.Stopping(None)]

    def test_again_means_nothing_more(self, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock)
        hears(control, signal.SIGQUIT, signal.SIGQUIT)
        assert told.of(events.Stopping) == [events.Stopping(None)]

    def test_after_stop_takes_nothing_back(self, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock)
        hears(control, signal.SIGTERM, signal.SIGQUIT)
        assert control.deadline == clock() + 8.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
class TestStop:
    def test_gives_the_job_in_hand_the_shutdown_timeout(self, number: int, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock, shutdown_timeout=3.0)
        hears(control, number)
        assert (control.stopping, control.deadline, control.term_at, control.status) == (True, clock() + 3.0, None, 0)
        assert not control.raises_at_once
        clock.passes(3.0)
        assert control.raises_at_once

    def test_with_a_timeout_of_nothing_kills_at_once(self, number: int, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock, shutdown_timeout=0.0)
        hears(control, number)
        assert control.deadline == clock()
        assert control.raises_at_once

    def test_the_same_within_a_second_is_one(self, number: int, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock)
        hears(control, number)
        clock.passes(0.9)
        hears(control, number)
        assert not control.hurried
        assert told.of(events.Heard) == [events.Heard(number)]
        assert told.all[-1] == events.Doubled(number)

    def test_a_third_one_within_a_second_is_somebodys(self, number: int, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock)
        hears(control, number, number, number)
        assert control.hurried
        assert control.status == 128 + number

    def test_the_same_a_second_later_ends_the_job_and_is_the_status(
        self, number: int, ear: Ear, told: Told, clock: Clock
    ) -> None:
        control = control_of(ear, told, clock)
        hears(control, number)
        clock.passes(1.0)
        hears(control, number)
        assert (control.hurried, control.deadline, control.status) == (True, clock(), 128 + number)
        assert told.of(events.Stopping)[-1] == events.Stopping(0.0, again=True)

    def test_after_quit_gives_it_a_timeout_all_the_same(self, number: int, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock)
        hears(control, signal.SIGQUIT)
        at = clock()
        clock.passes(60.0)
        hears(control, number)
        assert (control.stopped_at, control.deadline, control.status) == (at, clock() + 8.0, 0)


class TestManners:
    def test_term_child_hands_term_on_after_the_pre_shutdown_timeout(self, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock, term_child=True, pre_shutdown_timeout=2.0, term_timeout=4.0)
        hears(control, signal.SIGTERM)
        assert control.term_at == pytest.approx(clock() + 2.0)
        assert control.deadline == clock() + 6.0
        assert not control.raises_at_once
        clock.passes(2.1)
        assert control.raises_at_once

    def test_who_hurries_waits_for_no_term(self, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock, term_child=True)
        hears(control, signal.SIGTERM, signal.SIGINT)
        assert (control.term_at, control.deadline) == (None, clock())

    def test_graceful_term_makes_term_a_quit_and_leaves_int_as_it_is(self, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock, graceful_term=True)
        hears(control, signal.SIGTERM)
        assert (control.stopping, control.deadline) == (True, None)
        hears(control, signal.SIGINT)
        assert control.deadline == clock() + 8.0


class TestKillAt:
    def test_is_a_little_after_the_deadline_at_which_the_job_is_told(self, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock, shutdown_timeout=3.0)
        assert control.kill_at is None
        hears(control, signal.SIGTERM)
        assert control.kill_at == clock() + 3.0 + LAST_WORDS

    def test_is_the_deadline_where_nothing_is_given_or_term_child_tells_before(
        self, ear: Ear, told: Told, clock: Clock
    ) -> None:
        at_once = control_of(ear, told, clock, shutdown_timeout=0.0)
        hears(at_once, signal.SIGTERM)
        assert at_once.kill_at == clock()
        by_term = control_of(ear, told, clock, term_child=True, term_timeout=4.0)
        hears(by_term, signal.SIGTERM)
        assert by_term.kill_at == clock() + 4.0

    def test_is_now_where_somebody_hurries(self, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock)
        hears(control, signal.SIGTERM, signal.SIGINT)
        assert control.kill_at == clock()


class TestPauseAndKill:
    def test_usr2_pauses_and_cont_resumes(self, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock)
        hears(control, signal.SIGUSR2)
        assert bool(control.paused)
        hears(control, signal.SIGCONT)
        assert not control.paused
        assert control.goes_on()

    def test_usr1_is_said_once(self, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock)
        hears(control, signal.SIGUSR1)
        assert [control.takes_kill(), control.takes_kill()] == [True, False]
        assert not control.stopping


class TestChanges:
    def test_tell_of_a_pause_that_is_over_already(self, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock)
        before = control.changes
        hears(control, signal.SIGUSR2, signal.SIGCONT)
        assert not control.paused
        assert control.changes > before


class TestGoesOn:
    def test_listens_where_a_signal_came(self, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock)
        assert control.goes_on()
        signal.raise_signal(signal.SIGQUIT)
        assert not control.goes_on()

    def test_hears_at_first_what_the_supervisor_said_before_it_was_there(
        self, ear: Ear, told: Told, clock: Clock
    ) -> None:
        orders, speak = os.pipe()
        os.write(speak, bytes([signal.SIGTERM]))
        assert not Control(ear, Manners(), told, supervisor=orders, clock=clock).goes_on()
        os.close(orders)
        os.close(speak)

    def test_finds_out_within_a_second_that_the_supervisor_is_gone(self, ear: Ear, told: Told, clock: Clock) -> None:
        orders, speak = os.pipe()
        control = Control(ear, Manners(), told, supervisor=orders, clock=clock)
        assert bool(control.goes_on())
        os.close(speak)
        clock.passes(0.9)
        assert bool(control.goes_on())
        clock.passes(0.2)
        assert not control.goes_on()
        os.close(orders)


class TestSupervisor:
    @pytest.fixture
    def pipe(self) -> Iterator[tuple[int, int]]:
        orders, speak = os.pipe()
        yield orders, speak
        os.close(orders)
        try:
            os.close(speak)
        except OSError:
            pass  # the test did

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
    def test_a_signal_from_outside_only_wakes(
        self, number: int, ear: Ear, told: Told, clock: Clock, pipe: tuple[int, int]
    ) -> None:
        control = Control(ear, Manners(), told, supervisor=pipe[0], clock=clock)
        hears(control, number)
        assert control.goes_on()
        assert told.all == []

    def test_one_ctrl_c_at_a_whole_group_is_one(
        self, ear: Ear, told: Told, clock: Clock, pipe: tuple[int, int]
    ) -> None:
        control = Control(ear, Manners(), told, supervisor=pipe[0], clock=clock)
        signal.raise_signal(signal.SIGINT)
        os.write(pipe[1], bytes([signal.SIGINT]))
        signal.raise_signal(signal.SIGTERM)  # the supervisor's, to wake
        control.listen()
        assert told.all == [events.Heard(signal.SIGINT), events.Stopping(8.0)]

    def test_what_it_says_is_not_doubled_however_close_it_comes(
        self, ear: Ear, told: Told, clock: Clock, pipe: tuple[int, int]
    ) -> None:
        control = Control(ear, Manners(), told, supervisor=pipe[0], clock=clock)
        os.write(pipe[1], bytes([signal.SIGINT, signal.SIGINT]))
        control.listen()
        assert control.hurried

    def test_what_it_says_means_what_a_signal_means(
        self, ear: Ear, told: Told, clock: Clock, pipe: tuple[int, int]
    ) -> None:
        control = Control(ear, Manners(), told, supervisor=pipe[0], clock=clock)
        os.write(pipe[1], bytes([signal.SIGUSR2, signal.SIGUSR1]))
        control.listen()
        assert control.paused
        assert control.takes_kill()

    def test_usr1_and_usr2_reach_a_single_worker_from_outside(
        self, ear: Ear, told: Told, clock: Clock, pipe: tuple[int, int]
    ) -> None:
        control = Control(ear, Manners(), told, supervisor=pipe[0], clock=clock)
        hears(control, signal.SIGUSR2)
        assert control.paused

    def test_its_end_is_a_quit_said_once(self, ear: Ear, told: Told, clock: Clock, pipe: tuple[int, int]) -> None:
        control = Control(ear, Manners(), told, supervisor=pipe[0], clock=clock)
        assert list(control.fds) == [ear.fd, pipe[0]]
        os.close(pipe[1])
        control.listen()
        control.listen()
        assert (control.stopping, control.deadline) == (True, None)
        [warned] = told.of(events.Warned)
        assert warned.message == "The supervisor is gone; this worker ends when its job has."
        assert list(control.fds) == [ear.fd]


class TestRest:
    def test_ends_with_a_signal_and_hears_it(self, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock)
        signal.raise_signal(signal.SIGQUIT)
        control.rest(60.0)
        assert control.stopping

    def test_ends_with_a_descriptor(self, ear: Ear, told: Told, clock: Clock) -> None:
        control = control_of(ear, told, clock)
        ring, bell = os.pipe()
        os.write(bell, b"!")
        control.rest(60.0, [ring])
        assert readable([ring], 0) == {ring}
        os.close(ring)
        os.close(bell)
