"""Whether payloads are of one call, whatever further keys they have beside `class` and `args`.

Resque finds a job by its very bytes. Counts of attempts, ids and the like are further keys, so a job that was retried
once has other bytes than its call. What is looked for by bytes in vain is looked for like this, page by page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from taskq import envelope
from taskq.errors import InvalidPayload
from taskq.members import join, members

__all__ = ["Alike"]

_HEAD = b'{"class":"'


@dataclass(frozen=True, slots=True)
class Alike:
    """What jobs of one call have in common.

    Attributes:
        bodies: the payloads that it has without further keys, under the job's name and each alias.
        likely: whether further keys are likely, for the job has options of hooks: then a look by bytes alone may find
            a few of many.
    """

    bodies: Sequence[bytes]
    likely: bool = False

    @classmethod
    def to(cls, body: bytes) -> Alike:
        """What jobs have in common with this payload; with rubbish, its bytes."""
        try:
            own = {member.key: member.text for member in members(body) if member.key in ("class", "args")}
            return cls([join([own["class"], own["args"]])] if len(own) == 2 else [body])
        except ValueError:
            return cls([body])

    def __call__(self, body: bytes) -> bool:
        """Whether this is a payload of the call."""
        if body in self.bodies:
            return True
        for plain in self.bodies:
            if body.startswith(plain[:-1] + b","):
                return envelope.job_of(body) is not None
        if body.startswith(_HEAD):
            # As everybody writes it, so the arguments are others; or another job's.
            return False
        return any(self._same(plain, body) for plain in self.bodies)

    def _same(self, plain: bytes, body: bytes) -> bool:
        try:
            one, other = envelope.decode(plain), envelope.decode(body)
            return one.job == other.job and envelope.dump(one.args) == envelope.dump(other.args)
        except (InvalidPayload, ValueError):
            return False
