"""All failures that match: counted first, then retried or removed a slice a request, with progress, until stopped.

What failed first is retried first. Removed is the newest first, which moves nothing that is still to be looked at.

Nothing runs behind the visitor's back and nothing is kept here: each answer is a form that asks for the next slice,
which the page sends by itself. Whoever closes the page, or presses Stop, has stopped it; what was done is done.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

from werkzeug.wrappers import Response

from taskq.failed_filter import ALL, FailureFilter
from taskq.failed_jobs import Tally
from taskq.failed_search import Bounds, FailurePage
from taskq_web.access import Role
from taskq_web.pages.failed import filter_of, kind_of, told, words_of
from taskq_web.parameters import Parameters
from taskq_web.shown import exact
from taskq_web.visit import Refused, Visit

__all__ = ["count", "remove", "retry"]

_SLICE: Final = 0.7  # seconds that one request works
_FIRST: Final = 0.02  # and the one that opens the page, which is to be there at once
_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far it is, as it travels from answer to request. It is only shown, and believed by nobody."""

    cursor: str = ""
    top: str = ""  # what was the newest when it was counted: what fails later was not counted, and is not meant
    total: int = 0
    searched: int = 0
    matched: int = 0
    retried: int = 0
    done: int = 0
    already: int = 0
    gone: int = 0
    refused: int = 0

    @classmethod
    def of(cls, said: Parameters) -> _Progress:
        numbers = {name: said.number(name) for name in cls._numbers()}
        return cls(said.get("cursor"), said.get("top"), **numbers)

    @staticmethod
    def _numbers() -> tuple[str, ...]:
        return ("total", "searched", "matched", "retried", "done", "already", "gone", "refused")

    def fields(self) -> Mapping[str, object]:
        """What the next request says again."""
        return {"cursor": self.cursor, "top": self.top, **{name: getattr(self, name) for name in self._numbers()}}

    def plus(self, tally: Tally) -> _Progress:
        return replace(
            self,
            done=self.done + tally.done,
            already=self.already + tally.already,
            gone=self.gone + tally.gone,
            refused=self.refused + tally.refused,
        )


def count(visit: Visit) -> Response:
    """How many match, and the button that acts on them."""
    wanted = _wanted(visit)
    verb = visit.query.get("do")
    if verb not in {"retry", "remove"}:
        raise Refused(HTTPStatus.BAD_REQUEST, "The address does not say whether to retry or to remove.")
    if verb == "remove" and not visit.may(Role.ALL):
        raise Refused(HTTPStatus.FORBIDDEN, "You may not remove failures: that needs the role all.")
    so_far = _begun(visit, wanted, _Progress.of(visit.query))
    if verb == "remove" and wanted == ALL:
        total = visit.app.failures.count()
        return _progress(visit, "counted", verb, replace(so_far, total=total, searched=total, matched=total))
    try:
        so_far = _counted(visit, wanted, so_far)
    except ValueError as wrong:
        raise Refused(HTTPStatus.BAD_REQUEST, str(wrong), advice="Begin again: Failed.") from None
    return _progress(visit, "counting" if so_far.cursor else "counted", verb, so_far)


def retry(visit: Visit) -> Response:
    """Retry the next slice of those that match; what was retried before is left alone."""
    return _swept(visit, "retry")


def remove(visit: Visit) -> Response:
    """Remove the next slice of those that match."""
    return _swept(visit, "remove")


def _swept(visit: Visit, verb: str) -> Response:
    wanted = _wanted(visit)
    failures = visit.app.failures
    so_far = _begun(visit, wanted, _Progress.of(visit.form))

    if verb == "retry" and not so_far.cursor:
        so_far = replace(so_far, cursor=failures.oldest(wanted))
    ends = time.monotonic() + _SLICE
    while True:
        page = _page(visit, wanted, so_far, removing=verb == "remove")
        if verb == "retry":
            so_far = so_far.plus(failures.requeue_each(page.jobs[::-1], again=False))
            further = page.newer
        else:
            so_far = so_far.plus(failures.remove_each(page.jobs))
            further = page.older
        so_far = replace(so_far, cursor=further, searched=so_far.searched + page.searched)
        if not further or time.monotonic() >= ends:
            break
    said_so = told(_tally(so_far), "Requeued" if verb == "retry" else "Removed")
    if not so_far.cursor:
        return visit.back(said_so, "/failed")
    return _progress(visit, "act", verb, so_far, said_so)


def _counted(visit: Visit, wanted: FailureFilter, so_far: _Progress) -> _Progress:
    bounds = Bounds(entries=10**9, seconds=_SLICE if so_far.cursor else _FIRST)
    found = visit.app.failures.count_slice(wanted, so_far.cursor, bounds=bounds, top=so_far.top)
    return replace(
        so_far,
        cursor=found.older,
        total=found.total,
        searched=so_far.searched + found.searched,
        matched=so_far.matched + found.matched,
        retried=so_far.retried + found.retried,
    )


def _begun(visit: Visit, wanted: FailureFilter, so_far: _Progress) -> _Progress:
    return so_far if so_far.top else replace(so_far, top=visit.app.failures.top(wanted))


def _page(visit: Visit, wanted: FailureFilter, so_far: _Progress, *, removing: bool) -> FailurePage:
    bounds = Bounds(entries=10**9, seconds=_SLICE)
    try:
        return visit.app.failures.page(
            wanted, so_far.cursor, _AT_ONCE, bounds=bounds, top=so_far.top, removing=removing
        )
    except ValueError as wrong:
        raise Refused(HTTPStatus.BAD_REQUEST, str(wrong), advice="Begin again: Failed.") from None


def _wanted(visit: Visit) -> FailureFilter:
    try:
        said = filter_of(visit)
    except ValueError as wrong:
        raise Refused(HTTPStatus.BAD_REQUEST, str(wrong), advice="Say it otherwise: Failed.") from None
    # In whole seconds, as they travel on: `2h` would be another moment at the next request.
    return replace(said, since=_whole(said.since), until=_whole(said.until))


def _kind(visit: Visit, wanted: FailureFilter) -> str:
    """What the group is, of the newest one of it; empty where a short look finds none."""
    found = visit.app.failures.page(wanted, "", 1, bounds=Bounds(entries=10_000, seconds=_FIRST)).jobs
    return kind_of(visit, found[0]) if found else ""


def _whole(moment: float | None) -> float | None:
    return None if moment is None else float(round(moment))


def _tally(so_far: _Progress) -> Tally:
    return Tally(done=so_far.done, already=so_far.already, gone=so_far.gone, refused=so_far.refused)


def _progress(visit: Visit, stage: str, verb: str, so_far: _Progress, said_so: str = "") -> Response:
    words, facts = dict(words_of(visit)), dict(words_of(visit))
    wanted = _wanted(visit)
    for word, moment in (("since", wanted.since), ("until", wanted.until)):
        if moment is not None:
            words[word], facts[word] = f"{moment:.0f}", exact(moment)
    if wanted.group is not None and (kind := _kind(visit, wanted)):
        facts["group"] = kind
    return visit.render("sweep.html", stage=stage, verb=verb, words=words, facts=facts, so_far=so_far, said_so=said_so)
