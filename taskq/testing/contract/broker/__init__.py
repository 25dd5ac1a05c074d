"""What every broker promises, in groups: each a class of its own, all of them in `BrokerContract`."""

from __future__ import annotations

from taskq.testing.contract.broker.ahead import Ahead
from taskq.testing.contract.broker.capabilities import Capabilities
from taskq.testing.contract.broker.connection import Connection
from taskq.testing.contract.broker.conservation import Conservation
from taskq.testing.contract.broker.delaying import Delaying
from taskq.testing.contract.broker.exact_bytes import ExactBytes
from taskq.testing.contract.broker.exclusivity import Exclusivity
from taskq.testing.contract.broker.failures import Failures
from taskq.testing.contract.broker.forking import Forking
from taskq.testing.contract.broker.keys import Keys
from taskq.testing.contract.broker.operating import Operating
from taskq.testing.contract.broker.order import Order
from taskq.testing.contract.broker.paging import Paging
from taskq.testing.contract.broker.pausing import Pausing
from taskq.testing.contract.broker.queues import Queues
from taskq.testing.contract.broker.recurring import Recurring
from taskq.testing.contract.broker.reserving import Reserving
from taskq.testing.contract.broker.settling import Settling
from taskq.testing.contract.broker.strict_order import StrictOrder
from taskq.testing.contract.broker.waiting import Waiting
from taskq.testing.contract.broker.workers import Workers

__all__ = [
    "Ahead",
    "BrokerContract",
    "Capabilities",
    "Connection",
    "Conservation",
    "Delaying",
    "ExactBytes",
    "Exclusivity",
    "Failures",
    "Forking",
    "Keys",
    "Operating",
    "Order",
    "Paging",
    "Pausing",
    "Queues",
    "Recurring",
    "Reserving",
    "Settling",
    "StrictOrder",
    "Waiting",
    "Workers",
]


class BrokerContract(
    Connection,
    Queues,
    Order,
    ExactBytes,
    Paging,
    Reserving,
    Ahead,
    StrictOrder,
    Exclusivity,
    Pausing,
    Waiting,
    Settling,
    Workers,
    Failures,
    Delaying,
    Recurring,
    Keys,
    Operating,
    Conservation,
    Forking,
    Capabilities,
):
    """Subclass it, give `make_broker`, and every promise of `taskq.broker.Broker` is tested.

    Where the store is shared, every broker that `make_broker` gives within a test has to see the same one, and another
    test an empty one. The groups are the base classes, in the order of a job's life: while you write a backend,
    subclass one of them after the other.
    """
