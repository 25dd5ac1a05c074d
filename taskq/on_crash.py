"""What may be said of a job whose process dies: `on_crash="fail"`, `"requeue"`, or `Requeue(times=5)`.

Every module that defines jobs imports this: it imports nothing of taskq.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

__all__ = ["TIMES", "OnCrash", "Requeue", "times"]

TIMES: Final = 3
"""How often `"requeue"` requeues a job, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Requeue:
    """For `on_crash`: a job whose process dies goes back to the front of its queue, and is performed again.

    Attributes:
        times: how often at most. A job that kills its process once more is quarantined: it goes to the failed list,
            marked as a job that kills workers.
    """

    times: int = TIMES

    def __post_init__(self) -> None:
        if not isinstance(self.times, int) or isinstance(self.times, bool) or self.times < 1:
            raise ValueError(
                f"Requeue(times=...) takes a whole number of at least 1, not {self.times!r}. "
                'For a job that is not to be requeued: on_crash="fail".'
            )


OnCrash: TypeAlias = Literal["fail", "requeue"] | Requeue
"""What becomes of a job whose process dies: the failed list, or its queue again."""


def times(on_crash: OnCrash) -> int:
    """How often a job of which this was said is requeued when its process dies; 0 is never.

    Raises:
        ValueError: it is none of what can be said.
    """
    if isinstance(on_crash, Requeue):
        return on_crash.times
    if on_crash == "requeue":
        return TIMES
    if on_crash == "fail":
        return 0
    raise ValueError(f'on_crash is "fail", "requeue" or taskq.Requeue(times=...), not {on_crash!r}')
