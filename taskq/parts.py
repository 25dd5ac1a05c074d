"""What a hook or a failure handler may use of the application that it works for.

An interface and nothing else: an application has these, and so may whatever stands for one in a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from taskq.broker import Broker
from taskq.records import Cancelled
from taskq.serializer import Serializer

__all__ = ["Parts"]


class Parts(Protocol):
    """What an application is made of. Each is opened when it is first asked for, so ask when it is needed."""

    @property
    def broker(self) -> Broker:
        """Where the jobs are, and keys of a plugin's own (capability KEYS). The same one may be closed: do not keep it.

        Raises:
            ConfigurationError: its address means no installed backend.
        """
        ...

    @property
    def serializer(self) -> Serializer:
        """What encodes arguments."""
        ...

    @property
    def serializers(self) -> Mapping[str, Serializer]:
        """Those whose payloads are read, by name."""
        ...

    def cancel(self, job: Any, /, *, queue: str | None = None, by: str = "") -> Cancelled:
        """Cancel a job that was enqueued, or the one with this id; see `TaskQ.cancel`."""
        ...
