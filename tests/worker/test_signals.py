"""Signals become readable, in order, and whatever stood before stands again."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

import pytest

from taskq.worker.signals import MEANINGS, Ear, Order
from taskq.worker.waiting import readable
from tests.support.leftovers import Since


def test_the_meanings_are_those_of_resque() -> None:
    assert MEANINGS == {
        signal.SIGQUIT: Order.QUIT,
        signal.SIGTERM: Order.STOP,
        signal.SIGINT: Order.STOP,
        signal.SIGUSR1: Order.KILL,
        signal.SIGUSR2: Order.PAUSE,
        signal.SIGCONT: Order.RESUME,
    }


class TestHeard:
    def test_has_the_signals_in_their_order(self) -> None:
        with Ear() as ear:
            for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGUSR2):
                signal.raise_signal(number)
            assert bool(ear.pending)
            assert ear.heard() == [signal.SIGUSR2, signal.SIGTERM, signal.SIGUSR2]
            assert not ear.pending
            assert ear.heard() == []

    def test_quiets_the_descriptor(self) -> None:
        with Ear() as ear:
            assert readable([ear.fd], 0) == set()
            signal.raise_signal(signal.SIGQUIT)
            assert readable([ear.fd], 0) == {ear.fd}
            ear.heard()
            assert readable([ear.fd], 0) == set()

    def test_breaks_a_wait_that_is_under_way(self) -> None:
        with Ear() as ear:
            os.kill(os.getpid(), 0)
            timer = threading.Timer(0.05, signal.pthread_kill, [threading.main_thread().ident, signal.SIGUSR1])
            timer.start()
            assert readable([ear.fd], 30.0) == {ear.fd}
            timer.join()
            assert ear.heard() == [signal.SIGUSR1]

    def test_another_thread_hears_what_comes_while_the_main_one_is_in_c_and_each_is_told_once(self) -> None:
        heard: list[list[int]] = []
        reader, writer = os.pipe()
        more = 300_000  # bytes, than a pipe holds

        def listen() -> None:
            left = more - len(os.read(reader, 1))  # from here on the main thread is in its call, until all is read
            for number in (signal.SIGTERM, signal.SIGUSR1):
                signal.pthread_kill(threading.get_ident(), number)  # its handler is the main thread's to run
                readable([ear.fd], 30.0)
                heard.append(ear.heard())
            while left:
                left -= len(os.read(reader, left))

        with Ear() as ear:
            thread = threading.Thread(target=listen)
            thread.start()
            os.write(writer, bytes(more))
            thread.join()
            assert heard == [[signal.SIGTERM], [signal.SIGUSR1]]
            assert ear.heard() == []  # though the handlers have run by now
            signal.raise_signal(signal.SIGTERM)
            assert ear.heard() == [signal.SIGTERM]
        os.close(reader)
        os.close(writer)

    def test_loses_nothing_where_a_thousand_come(self) -> None:
        with Ear() as ear:
            for _ in range(100_000):
                signal.raise_signal(signal.SIGUSR1)  # more than the pipe holds
            assert len(ear.heard()) == 100_000


class TestAtOnce:
    def test_is_told_what_was_running_and_that_nobody_poked(self) -> None:
        calls: list[tuple[bool, FrameType | None]] = []
        with Ear() as ear:
            ear.at_once = lambda poked, frame: calls.append((poked, frame))
            signal.raise_signal(signal.SIGTERM)
            [(poked, frame)] = calls
            assert not poked
            assert frame is not None
            assert frame.f_code is TestAtOnce.test_is_told_what_was_running_and_that_nobody_poked.__code__
            assert ear.heard() == [signal.SIGTERM]

    def test_may_break_into_a_system_call_by_a_poke_which_is_no_signal(self) -> None:
        class Broken(Exception):
            pass

        def break_in(poked: bool, frame: FrameType | None) -> None:
            assert poked
            raise Broken

        with Ear() as ear:
            ear.at_once = break_in
            timer = threading.Timer(0.05, ear.poke)
            with pytest.raises(Broken):
                timer.start()
                time.sleep(30.0)
            timer.join()
            ear.at_once = None
            assert ear.heard() == []

    def test_a_poke_that_meets_nobody_does_nothing_and_hides_no_signal(self) -> None:
        with Ear() as ear:
            ear.poke()
            signal.raise_signal(signal.SIGTERM)
            ear.poke()
            assert ear.heard() == [signal.SIGTERM]


class TestLeaving:
    def test_puts_back_what_stood_before(self) -> None:
        before = {number: signal.getsignal(number) for number in MEANINGS}
        ring, bell = os.pipe()
        os.set_blocking(bell, False)
        former = signal.set_wakeup_fd(bell)
        try:
            with Ear():
                assert signal.getsignal(signal.SIGTERM) is not before[signal.SIGTERM]
            assert {number: signal.getsignal(number) for number in MEANINGS} == before
            assert signal.set_wakeup_fd(former) == bell
        finally:
            signal.set_wakeup_fd(former)
            os.close(ring)
            os.close(bell)

    def test_gives_its_descriptors_back(self) -> None:
        since = Since()
        with Ear():
            assert len(since.descriptors()) == 2
        assert since.descriptors() == set()
