"""All failures that match: counted first, then retried or removed a slice a request, with progress, until stopped.

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
from taskq_web.pages.failed import filter_of, told, words_of
from taskq_web.parameters import Parameters
from taskq_web.visit import Refused, Visit

__all__ = ["count", "remove", "retry"]

_SLICE: Final = 0.7  # seconds that one request works
_FIRST: Final = 0.02  # and the one that opens the page, which is to be there at once
_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far it is, as it travels from answer to request. It is only shown, and believed by nobody."""

    cursor: str = ""
    total: int = 0
    searched: int = 0
    matched: int = 0
    done: int = 0
    already: int = 0
    gone: int = 0
    refused: int = 0

    @classmethod
    def of(cls, said: Parameters) -> _Progress:
        numbers = {name: said.number(name) for name in cls._numbers()}
        return cls(said.get("cursor"), **numbers)

    @staticmethod
    def _numbers() -> tuple[str, ...]:
        return ("total", "searched", "matched", "done", "already", "gone", "refused")

    def fields(self) -> Mapping[str, object]:
        """What the next request says again."""
        return {"cursor": self.cursor, **{name: getattr(self, name) for name in self._numbers()}}

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
    if wanted == ALL:
        total = visit.app.failures.count()
        return _progress(visit, "counted", verb, _Progress(total=total, searched=total, matched=total))
    so_far = _Progress.of(visit.query)
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
    so_far = _Progress.of(visit.form)
    if verb == "remove" and wanted == ALL:
        return visit.back(f"Removed {_failures(failures.clear())}: all there were.", "/failed")
    each = failures.requeue_each if verb == "retry" else failures.remove_each
    ends = time.monotonic() + _SLICE
    while True:
        page = _page(visit, wanted, so_far.cursor)
        so_far = so_far.plus(each(page.jobs))
        so_far = replace(so_far, cursor=page.older, searched=so_far.searched + page.searched)
        over = not page.older
        if over or time.monotonic() >= ends:
            break
    said_so = told(_tally(so_far), "Requeued" if verb == "retry" else "Removed")
    if over:
        return visit.back(said_so, "/failed")
    return _progress(visit, "act", verb, so_far, said_so)


def _counted(visit: Visit, wanted: FailureFilter, so_far: _Progress) -> _Progress:
    bounds = Bounds(entries=10**9, seconds=_SLICE if so_far.cursor else _FIRST)
    found = visit.app.failures.groups(wanted, so_far.cursor, bounds=bounds)
    matched = sum(group.count for group in found.groups) + found.others
    return replace(
        so_far,
        cursor=found.older,
        total=found.total,
        searched=so_far.searched + found.searched,
        matched=so_far.matched + matched,
    )


def _page(visit: Visit, wanted: FailureFilter, cursor: str) -> FailurePage:
    try:
        return visit.app.failures.page(wanted, cursor, _AT_ONCE, bounds=Bounds(entries=10**9, seconds=_SLICE))
    except ValueError as wrong:
        raise Refused(HTTPStatus.BAD_REQUEST, str(wrong), advice="Begin again: Failed.") from None


def _wanted(visit: Visit) -> FailureFilter:
    try:
        return filter_of(visit)
    except ValueError as wrong:
        raise Refused(HTTPStatus.BAD_REQUEST, str(wrong), advice="Say it otherwise: Failed.") from None


def _tally(so_far: _Progress) -> Tally:
    return Tally(done=so_far.done, already=so_far.already, gone=so_far.gone, refused=so_far.refused)


def _failures(number: int) -> str:
    return f"{number:,} {'failure' if number == 1 else 'failures'}"


def _progress(visit: Visit, stage: str, verb: str, so_far: _Progress, said_so: str = "") -> Response:
    return visit.render("sweep.html", stage=stage, verb=verb, words=words_of(visit), so_far=so_far, said_so=said_so)
