"""Where a job finds the application in force, though it stands beneath it: what it asks of one, and how to find it.

Nothing of taskq is imported here but for the names of types, so that `import taskq` stays quick.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from taskq.broker import Broker
    from taskq.definition import JobDefinition
    from taskq.hook import Enqueued
    from taskq.jobs import Call
    from taskq.records import Cancelled
    from taskq.registry import Registry
    from taskq.serializer import Serializer

__all__ = ["Application", "applications"]


class Application(Protocol):
    """What a job asks of the application."""

    @property
    def registry(self) -> Registry:
        """The jobs that are known by name."""

    @property
    def broker(self) -> Broker:
        """Where the jobs are."""

    @property
    def serializer(self) -> Serializer:
        """What encodes arguments."""

    @property
    def serializers(self) -> Mapping[str, Serializer]:
        """Those whose payloads are read, by name."""

    def cancel(self, job: Any, /, *, queue: str | None = None, by: str = "") -> Cancelled:
        """Cancel a job."""

    def enqueue_call(self, call: Call, /) -> Enqueued:
        """Enqueue one call."""

    def take_back(
        self, job: object, args: tuple[object, ...], kwargs: Mapping[str, object], queue: str | None, /
    ) -> int:
        """Take waiting jobs out of their queue."""

    def check_options(self, definition: JobDefinition, /) -> None:
        """Raise where the definition says an option that no enabled hook knows."""


class _Applications:
    """How to find the application in force. The package `taskq` sets both when it is imported."""

    __slots__ = ("built", "current")

    current: Callable[[], Application]
    """The application in force; makes the default one where there is none."""

    built: Callable[[], Application | None]
    """The application in force, if there is one already."""


applications: Final = _Applications()
