"""What a job says of how many of it there may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from taskq.errors import JobDefinitionError
from taskq.job_options import option_value
from taskq.spans import is_seconds

__all__ = ["Limit"]

_MOST: Final = 1000  # slots of a key, each a key of the broker's: all of them are looked at in one step


@option_value
@dataclass(frozen=True, slots=True)
class Limit:
    """The value of the option `limit`.

    Attributes:
        at_once: how many of a key run at once, over all workers, at most.
        starts: how many of a key start within `per` seconds at most, whichever those seconds are.
        per: the seconds that `starts` is about.
        name: jobs that say the same name share one limit; None is the job's own name.
        key: makes of the job's arguments what has a limit of its own, any value with a `repr`; None has one for all.
        lease: seconds after which the place of a job is free again whose worker vanished with it. While the job runs
            its place is kept; only where it holds the interpreter for so long without a pause, another one may start.
        wait: seconds after which a job over the limit comes back, the first time; then twice as long each.
        wait_most: seconds that it waits at most.
    """

    at_once: int | None = None
    starts: int | None = None
    per: float | None = None
    name: str | None = None
    key: Callable[..., object] | None = None
    lease: float = 60.0
    wait: float = 1.0
    wait_most: float = 60.0

    def __post_init__(self) -> None:
        for name in ("at_once", "starts"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _MOST):
                raise JobDefinitionError(f"Limit({name}=...) takes a whole number from 1 to {_MOST}, not {value!r}.")
        if self.at_once is None and self.starts is None:
            raise JobDefinitionError("Limit(...) takes at_once=..., or starts=... and per=..., or all of them.")
        if (self.starts is None) != (self.per is None):
            raise JobDefinitionError("Limit(starts=..., per=...) takes both: so many starts per so many seconds.")
        for name in ("per", "lease", "wait", "wait_most"):
            value = getattr(self, name)
            if value is not None and not is_seconds(value):
                raise JobDefinitionError(f"Limit({name}=...) takes seconds above 0, a century at most, not {value!r}.")
        if self.name is not None and not (isinstance(self.name, str) and self.name):
            raise JobDefinitionError(f"Limit(name=...) takes a text, not {self.name!r}.")
        if self.key is not None and not callable(self.key):
            raise JobDefinitionError(f"Limit(key=...) takes a function of the job's arguments, not {self.key!r}.")
