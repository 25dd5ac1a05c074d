"""How idle threads wait: one with the broker for all, the others until somebody who found a job lets them look."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from taskq.worker.control import Control, Manners
from taskq.worker.signals import Ear
from taskq.worker.station import Room, Station
from taskq.worker.waiting import readable

LONG = 30.0


class Broker:
    """Its `wait` ends with a push, or an interrupt."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.pushed = threading.Event()
        self.at_once = 0

    def wait(self, queues: Sequence[str] | None, timeout: float, interrupts: Sequence[int]) -> bool:
        self.at_once += 1
        assert self.at_once == 1
        self.entered.release()
        try:
            while not self.pushed.is_set():
                if readable(interrupts, 0.005):
                    return False
            self.pushed.clear()
            return True
        finally:
            self.at_once -= 1


class Thread:
    """One that waits, once; what came of it."""

    def __init__(self, room: Room, control: Control) -> None:
        self.station = Station(control, room)
        self.answer: bool | None = None
        self.thread = threading.Thread(target=self._wait, daemon=True)
        self.thread.start()

    def _wait(self) -> None:
        self.answer = self.station.wait(None, LONG)

    def answered(self) -> bool | None:
        self.thread.join(LONG)
        assert not self.thread.is_alive()
        return self.answer


@pytest.fixture
def control() -> Control:
    return Control(Ear(), Manners(), lambda event: None)


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def room(broker: Broker) -> Iterator[Room]:
    made = Room(broker.wait)
    yield made
    made.close()


def in_the_room(room: Room, control: Control, broker: Broker, count: int) -> list[Thread]:
    """So many, the first of them with the broker."""
    first = Thread(room, control)
    assert broker.entered.acquire(timeout=LONG)
    others = []
    for number in range(1, count):
        others.append(Thread(room, control))
        while len(room._others) < number:
            pass
    return [first, *others]


def test_one_is_woken_by_a_push_and_the_next_by_one_who_found_a_job(
    room: Room, control: Control, broker: Broker
) -> None:
    first, second, third = in_the_room(room, control, broker, 3)
    broker.pushed.set()
    assert first.answered() is True
    assert second.thread.is_alive()
    assert third.thread.is_alive()
    room.call_next()
    assert third.answered() is True  # the last to come
    assert second.thread.is_alive()
    room.call_next()
    assert second.answered() is True


def test_nobody_is_called_while_one_waits_with_the_broker(room: Room, control: Control, broker: Broker) -> None:
    first, second = in_the_room(room, control, broker, 2)
    room.call_next()
    second.thread.join(0.05)
    assert second.thread.is_alive()
    room.wake()
    assert first.answered() is False
    room.call_next()
    assert second.answered() is True


def test_who_finds_nothing_waits_with_the_broker_again(room: Room, control: Control, broker: Broker) -> None:
    [first] = in_the_room(room, control, broker, 1)
    broker.pushed.set()
    assert first.answered() is True
    [again] = in_the_room(room, control, broker, 1)
    room.wake()
    assert again.answered() is False


def test_all_are_called_at_once(room: Room, control: Control, broker: Broker) -> None:
    first, second, third = in_the_room(room, control, broker, 3)
    room.call_all()
    assert first.answered() is False
    assert (second.answered(), third.answered()) == (True, True)
    assert first.station.wait(None, LONG) is True  # it was on its way


def test_who_comes_to_wait_after_all_were_called_looks_first(room: Room, control: Control) -> None:
    station = Station(control, room)
    room.call_all()
    assert station.wait(None, LONG) is True


def test_what_is_said_ends_the_wait_of_each(room: Room, control: Control, broker: Broker) -> None:
    first, second = in_the_room(room, control, broker, 2)
    second.station.ring()
    assert second.answered() is False
    assert room._others == []
    room.wake()
    assert first.answered() is False


def test_a_ring_that_came_before_the_rest_is_not_missed(room: Room, control: Control) -> None:
    station = Station(control, room)
    station.ring()
    station.rest(LONG)


def test_it_is_told_what_the_main_thread_heard(room: Room, control: Control) -> None:
    station = Station(control, room)
    assert (station.stopping, station.paused, station.hurried, station.stopped_at) == (False, False, False, None)
    assert station.goes_on()
    assert not station.takes_kill()
    control.end()
    assert (station.stopping, station.goes_on()) == (True, False)
    assert station.stopped_at is not None


def test_closing_may_come_twice_and_a_wake_after_it_is_nothing(room: Room) -> None:
    room.close()
    room.close()
    room.wake()
