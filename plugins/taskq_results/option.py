"""What a job, or a call, says of keeping its result."""

from __future__ import annotations

from dataclasses import dataclass

from taskq.errors import JobDefinitionError
from taskq.job_options import option_value
from taskq.spans import is_seconds

__all__ = ["Results"]


@option_value
@dataclass(frozen=True, slots=True)
class Results:
    """The value of the option `results`.

    Attributes:
        keep: seconds for which it is known how the job ended, and what it returned.
        pending: seconds for which it is known before that: from its enqueueing (or the time that it was delayed for),
            and again whenever something of it changes.
        max_bytes: the most that what it returned may take, encoded. More is not kept, and the handle says so.
    """

    keep: float = 3600.0
    pending: float = 7 * 86400.0
    max_bytes: int = 256 * 1024

    def __post_init__(self) -> None:
        for name in ("keep", "pending"):
            value = getattr(self, name)
            if not is_seconds(value):
                message = f"Results({name}=...) takes seconds above 0, a century at most"
                raise JobDefinitionError(f"{message}, not {value!r}.")
        if not isinstance(self.max_bytes, int) or isinstance(self.max_bytes, bool) or self.max_bytes < 1:
            raise JobDefinitionError(f"Results(max_bytes=...) takes a number of bytes, not {self.max_bytes!r}.")
