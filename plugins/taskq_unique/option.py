"""What a job, or a call, says of its being unique."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from taskq.errors import EnqueueError, JobDefinitionError
from taskq.job_options import option_value
from taskq.spans import is_seconds

__all__ = ["AlreadyEnqueued", "Unique"]


@option_value
@dataclass(frozen=True, slots=True)
class Unique:
    """The value of the option `unique`.

    Attributes:
        until: how long no second one is enqueued: until the job begins (`"started"`: at most one waits), or until it
            ended (`"done"`: at most one waits or runs). One that is tried again, or postponed, has not ended.
        key: makes of the job's arguments what must be unique, any value with a `repr` of its own; None is all of them.
            The name of the job is always a part of it.
        expires: seconds after which another one is enqueued all the same, should nobody say that the job ended: from
            the enqueueing (or the time that it was delayed for), and from its begin again.
        on_duplicate: what a second enqueue gets: `"skip"`, Vetoed; `"existing"`, Vetoed with the place of the one that
            is there in its `instead`, where that one said the same; `"error"`, `AlreadyEnqueued` is raised.
    """

    until: Literal["started", "done"] = "done"
    key: Callable[..., object] | None = None
    expires: float = 3600.0
    on_duplicate: Literal["skip", "existing", "error"] = "skip"

    def __post_init__(self) -> None:
        if self.until not in ("started", "done"):
            raise JobDefinitionError(f'Unique(until=...) is "started" or "done", not {self.until!r}.')
        if self.key is not None and not callable(self.key):
            raise JobDefinitionError(f"Unique(key=...) takes a function of the job's arguments, not {self.key!r}.")
        expires = self.expires
        if not is_seconds(expires):
            raise JobDefinitionError(f"Unique(expires=...) takes seconds above 0, a century at most, not {expires!r}.")
        if self.on_duplicate not in ("skip", "existing", "error"):
            raise JobDefinitionError(
                f'Unique(on_duplicate=...) is "skip", "existing" or "error", not {self.on_duplicate!r}.'
            )


class AlreadyEnqueued(EnqueueError):
    """A job of this key waits already, or runs."""

    def __init__(self, job: str, seconds: float) -> None:
        self.job = job
        self.seconds = seconds
        super().__init__(
            f"{job} of the same key waits already, or runs; another one can be enqueued when that has ended, in "
            f"{seconds:.0f} s at the latest. Nothing was enqueued."
        )
