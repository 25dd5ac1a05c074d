"""What every test of a broker stands on: a factory, two brokers on one store, and workers to hire."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ClassVar, TypeAlias

import pytest

from taskq.broker import Broker, Capability
from taskq.testing.contract.alongside import PATIENCE
from taskq.testing.contract.broker.holder import Holder

__all__ = ["Doing", "Hire", "OnABroker"]

Hire: TypeAlias = Callable[..., Holder]
"""Registers one more worker, on `broker` or on the one that is given."""

Doing: TypeAlias = "Callable[[Callable[[], object]], Future[object]]"
"""Does something in another thread, and promises what comes of it."""


class OnABroker:
    """Gives the tests of a group their brokers.

    Attributes:
        patience: seconds that a test waits for what must come: a push that wakes, a process that ends. Only a failing
            test waits so long; set more for a store that is slow.
        in_this_process: True where the store of these tests lives in this process though the backend is SHARED, as a
            fake of a server does: what needs a second process is skipped.
        examples: how many lives the state machine tries.
        capability: what a backend must declare for the tests of a group; of others' they are skipped, visibly.
        kills: seconds from the beginning of a call to the kill -9, in each of three turns. Some stores take
            microseconds for a call, others milliseconds: the middle of one should be among them.
    """

    patience: ClassVar[float] = PATIENCE
    in_this_process: ClassVar[bool] = False
    examples: ClassVar[int] = 25
    kills: ClassVar[tuple[float, float, float]] = (0.0005, 0.004, 0.02)
    capability: ClassVar[Capability | None] = None

    def make_broker(self) -> Broker:
        """A broker on the store of this test, which was empty when the test began.

        It is called several times in a test. Where the backend is SHARED, each one sees the same store.
        """
        raise NotImplementedError(f"{type(self).__name__} has no make_broker(): give one that returns a broker")

    @pytest.fixture
    def broker(self, request: pytest.FixtureRequest) -> Iterator[Broker]:
        """The broker of this test, which has what the test's group is about; where it does not, the test is skipped."""
        broker = self.make_broker()
        name = request.function.__name__
        group = next((cls for cls in reversed(type(self).__mro__) if name in vars(cls)), OnABroker)
        capability: Capability | None = vars(group).get("capability")
        try:
            if capability is not None:
                self.needs(broker, capability)
            yield broker
        finally:
            broker.close()

    @pytest.fixture
    def other(self, broker: Broker) -> Iterator[Broker]:
        """Another broker on the same store, as another process has one; where it is not SHARED, the same one."""
        if Capability.SHARED not in broker.capabilities:
            yield broker
            return
        other = self.make_broker()
        yield other
        other.close()

    @pytest.fixture
    def hire(self, broker: Broker) -> Hire:
        """Hires a worker."""
        numbers = itertools.count(1)

        def hire(on: Broker | None = None) -> Holder:
            holder = Holder(on or broker, f"host:{next(numbers)}:q")
            assert holder.register()
            return holder

        return hire

    @pytest.fixture
    def doing(self) -> Iterator[Doing]:
        """Does something in another thread."""
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit

    @pytest.fixture
    def holder(self, hire: Hire) -> Holder:
        """A worker."""
        return hire()

    def needs(self, broker: Broker, capability: Capability) -> None:
        """Skip where the backend does not declare it."""
        if capability not in broker.capabilities:
            pytest.skip(f"{broker.name} does not declare {capability.name}: {capability.value}")

    def needs_processes(self, broker: Broker) -> None:
        """Skip where no other process sees this store."""
        if Capability.SHARED not in broker.capabilities:
            pytest.skip(f"{broker.name} is not SHARED: no other process sees its store")
        if self.in_this_process:
            pytest.skip("the store of these tests lives in this process")
