"""Exclusivity: each job, each id and each dead worker is one's only, with threads and with processes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Final

import pytest

from taskq.broker import Broker
from taskq.records import Reservation, Stats
from taskq.testing.contract.alongside import in_children, side_by_side
from taskq.testing.contract.broker.holder import ONE, Holder, job
from taskq.testing.contract.broker.stage import Hire, OnABroker

__all__ = ["Exclusivity"]

_JOBS: Final = 200
_PROCESSES: Final = 3


class Exclusivity(OnABroker):
    """Exclusivity: each job, each id and each dead worker is one's only, with threads and with processes."""

    @pytest.mark.parametrize("limit", [1, 3])
    def test_reserve_side_by_side_gives_each_job_to_one(self, hire: Hire, broker: Broker, limit: int) -> None:
        """Four threads empty a queue: no job is taken twice, and none is left."""
        broker.push("q", [job(number) for number in range(_JOBS)])
        works = [partial(_drain, hire(), limit) for _ in range(4)]
        got = side_by_side(*works, patience=self.patience)
        assert sorted(itertools.chain(*got)) == sorted(job(number) for number in range(_JOBS))
        assert broker.stats() == Stats(processed=_JOBS, failed=0)

    @pytest.mark.parametrize("limit", [1, 3])
    def test_reserve_in_several_processes_gives_each_job_to_one(self, broker: Broker, limit: int) -> None:
        """The same with processes, each with a broker of its own."""
        self.needs_processes(broker)
        broker.push("q", [job(number) for number in range(_JOBS)])

        def work(number: int) -> bytes:
            mine = self.make_broker()
            holder = Holder(mine, f"host:{number}:q")
            assert holder.register()
            return b"\n".join(_drain(holder, limit))

        said = in_children(*(partial(work, number) for number in range(_PROCESSES)), patience=self.patience)
        got = [body for each in said for body in each.split(b"\n") if body]
        assert sorted(got) == sorted(job(number) for number in range(_JOBS))
        assert broker.stats() == Stats(processed=_JOBS, failed=0)

    def test_push_in_several_processes_loses_none(self, broker: Broker) -> None:
        """Producers side by side, each with a broker of its own: every job is there once, each one's in its order."""
        self.needs_processes(broker)

        def push(number: int) -> bytes:
            mine = self.make_broker()
            for place in range(50):
                mine.push("q", [job(1000 * number + place)])
            return b""

        in_children(*(partial(push, number) for number in range(1, 4)), patience=self.patience)
        got = list(broker.peek("q", 0, 1000))
        for number in range(1, 4):
            sent = [job(1000 * number + place) for place in range(50)]
            assert [body for body in got if body in sent] == sent
        assert len(got) == 150

    def test_register_is_exclusive(self, broker: Broker, other: Broker, holder: Holder) -> None:
        """An id that is there is somebody's: another one hears False, and changed nothing."""
        rival = Holder(other, holder.id)
        assert not rival.register()
        assert holder.heartbeat()
        assert not rival.heartbeat()

    def test_register_side_by_side_lets_one_in(self, broker: Broker, other: Broker) -> None:
        """Of several that ask for one id at the same moment, one gets it."""
        for number in range(20):
            rivals = [Holder(on, f"host:{number}:q") for on in (broker, other, broker, other)]
            assert sum(side_by_side(*(rival.register for rival in rivals), patience=self.patience)) == 1

    def test_register_refuses_an_id_that_left_a_job_in_hand(self, broker: Broker, holder: Holder) -> None:
        """Dead or alive: the job is not lost with its holder's name."""
        broker.push("q", [ONE])
        holder.take("q")
        assert not Holder(broker, holder.id).register()
        assert holder.in_hand() == ONE

    def test_recover_happens_once(self, broker: Broker, other: Broker, hire: Hire) -> None:
        """Of two that find the same dead worker, one settles what it left."""
        for number in range(1, 16):
            holder = hire()
            broker.push("q", [job(number)])
            holder.take("q")
            seen = holder.seen()
            answers = side_by_side(
                partial(broker.recover, seen, b"{}"), partial(other.recover, seen, b"{}"), patience=self.patience
            )
            assert sorted(answers) == [False, True]
            assert broker.failure_count() == number

    def test_claim_recovery_lets_one_in_at_a_time(self, broker: Broker, other: Broker) -> None:
        """While one looks for dead workers, nobody else does."""
        assert broker.claim_recovery("host:1:q", 30)
        assert not other.claim_recovery("host:2:q", 30)


def _drain(holder: Holder, limit: int) -> list[bytes]:
    """Perform what is in the queue until there is nothing: the bodies, in the order in which they came."""
    bodies: list[bytes] = []
    held: Sequence[Reservation] = ()
    while held := holder.reserve("q", limit=limit, settled=held).jobs:
        bodies += [one.body for one in held]
    return bodies
