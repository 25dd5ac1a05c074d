"""What every plugin promises, as tests: an author subclasses one of these classes, gives a factory, and runs pytest.

    class TestMine(BrokerContract):
        def make_broker(self) -> Broker:
            return MyBroker("/tmp/jobs")

Each test is named for the method that it proves, and its docstring is the promise. They need pytest and hypothesis:
`pip install "taskq[testing]"`.
"""

from __future__ import annotations

from taskq.testing.contract import prepared  # noqa: F401  # first: without it the others may not be importable
from taskq.testing.contract.broker import BrokerContract
from taskq.testing.contract.failure_handler import FailureHandlerContract
from taskq.testing.contract.hook import HookContract
from taskq.testing.contract.serializer import SerializerContract

__all__ = ["BrokerContract", "FailureHandlerContract", "HookContract", "SerializerContract"]
