"""The failed list: groups of equal errors above, the failures below, the newest first; a selection of them retried."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

from markupsafe import escape
from werkzeug.wrappers import Response

from taskq import failed_ids
from taskq.failed_entry import FailedJob, before_retry
from taskq.failed_filter import FailureFilter, folded
from taskq.failed_jobs import Tally
from taskq.failed_search import Bounds
from taskq.short_names import whole
from taskq.showing import LARGE, ShownFailure
from taskq_web.frames import first_of
from taskq_web.shown import size
from taskq_web.visit import Refused, Visit

__all__ = [
    "WORDS", "Row", "filter_of", "is_large", "is_too_much", "kind_of", "remove", "retry", "row_of", "show",
    "tells_apart", "told",
]  # fmt: skip

WORDS: Final = ("class", "exception", "queue", "text", "since", "until", "retried", "group", "list")
"""The words of a filter, in a page's address as in the options of the commands."""

_PAGE: Final = 20
_GROUPS: Final = 12
# Two looks a page; together they leave half of the 50 ms that a page may take.
_BOUNDS: Final = Bounds(entries=10_000, seconds=0.008, size=8_000_000)
_FRAMES: Final = 4
_FIELDS: Final = 24_000  # bytes of what stands in the fields of one form
_MARK: Final = 16  # hex digits of the mark of what is acted on


@dataclass(frozen=True, slots=True)
class Row:
    """A failure as a row shows it.

    Attributes:
        failed: the failure.
        id: what its actions address it by: its content, near its place.
        key: what the page knows it by, also once it was retried.
        shown: its texts, without secrets.
        frames: the first lines of its traceback, the application's own where there are any.
        more: how many further lines there are.
    """

    failed: FailedJob
    id: str
    key: str
    shown: ShownFailure
    frames: Sequence[str]
    more: int


def show(visit: Visit) -> Response:
    """Groups and failures, as far as the filter means them."""
    failures = visit.app.failures
    problem = ""
    try:
        wanted = filter_of(visit)
    except ValueError as wrong:
        wanted, problem = FailureFilter(), str(wrong)
    try:
        cursor = visit.query.get("cursor")
        page = failures.page(wanted, cursor, _PAGE, bounds=_BOUNDS)
        groups = None
        if wanted.group is None and (not cursor or "groups" in visit.query):
            groups = failures.groups(wanted, visit.query.get("groups"), bounds=_BOUNDS)
    except ValueError as wrong:
        raise Refused(HTTPStatus.BAD_REQUEST, str(wrong), advice="Begin again from the newest: Failed.") from None
    rows = [row_of(visit, failed) for failed in page.jobs]
    return visit.render(
        "failed.html",
        rows=rows,
        page=page,
        groups=groups,
        kinds=[
            (group, folded(visit.app.showing.briefly(group.example).error))
            for group in (groups.groups[:_GROUPS] if groups is not None else ())
        ],
        wanted=wanted,
        words=words_of(visit),
        kind=kind_of(visit, page.jobs[0]) if wanted.group is not None and page.jobs else None,
        lists=[one for one in failures.lists() if one.queue is not None or one.count],
        problem=problem,
        first=not cursor,
    )


def retry(visit: Visit) -> Response:
    """Retry those that were ticked."""
    picked = _ticked(visit)
    return visit.back(told(visit.app.failures.requeue_each(picked.there), "Requeued", picked.missing), "/failed")


def remove(visit: Visit) -> Response:
    """Remove those that were ticked."""
    picked = _ticked(visit)
    return visit.back(told(visit.app.failures.remove_each(picked.there), "Removed", picked.missing), "/failed")


def filter_of(visit: Visit) -> FailureFilter:
    """The filter that the address says.

    Raises:
        ValueError: it cannot be, in a sentence.
    """
    return FailureFilter.of(words_of(visit), now=visit.clock)


def words_of(visit: Visit) -> Mapping[str, str]:
    """The words of the filter, as they were typed; the list by its name, for which the address may have a digest."""
    said = {word: visit.query.get(word) for word in WORDS if visit.query.get(word) or word == "list" in visit.query}
    if listed := said.get("list"):
        said["list"] = whole(listed, visit.app.broker.failed_queues) or listed
    return said


def kind_of(visit: Visit, failed: FailedJob) -> str:
    """The kind of a failure in words, as the table of kinds has it: whoever acts on all of it sees what it is."""
    job = failed.payload.job if failed.payload is not None else "unreadable"
    message = folded(visit.app.showing.briefly(failed).error)
    return f"{job}, {failed.exception or 'no exception'}: {message}"


def row_of(visit: Visit, failed: FailedJob, *, whole: bool = False) -> Row:
    """A failure, ready to be shown; with the whole of its payload where that is wanted."""
    showing = visit.app.showing
    shown = showing.failed(failed) if whole else showing.briefly(failed)
    if is_large(failed):  # a row shows the beginning, and for that all would be written
        shown = replace(shown, args=(f"{size(len(failed.body or b''))} of arguments",))
    frames = first_of(shown.backtrace, _FRAMES)
    return Row(
        failed=failed,
        id=visit.app.failures.id_of(failed, digits=_MARK),
        key=hashlib.sha256(before_retry(failed.entry)).hexdigest()[:12],
        shown=shown,
        frames=frames,
        more=len(shown.backtrace) - len(frames),
    )


def tells_apart(failed_id: str) -> bool:
    """Whether an id has a mark that means one failure and no other: what acts on a click demands it."""
    parsed = failed_ids.parse(failed_id)
    return parsed is None or (parsed.mark is not None and len(parsed.mark) >= _MARK)


def is_large(failed: FailedJob) -> bool:
    """Whether its payload is more than a page can hold: its beginning is shown, and it is edited by a command."""
    return failed.body is not None and len(failed.body) > LARGE


def is_too_much(*texts: str) -> bool:
    """Whether these cannot stand in the fields of a page, of whose 60 kB half is its style and script."""
    return sum(len(escape(text).encode("utf-8", "replace")) for text in texts) > _FIELDS


def told(tally: Tally, verb: str, missing: int = 0) -> str:
    """What became of several, in a sentence or two."""
    parts = [f"{verb} {tally.done:,} {'failure' if tally.done == 1 else 'failures'}."]
    gone = tally.gone + missing
    if tally.already:
        parts.append(f"{tally.already:,} had been retried already.")
    if gone:
        parts.append(f"{gone:,} {'was' if gone == 1 else 'were'} already gone.")
    if tally.refused:
        parts.append(f"{tally.refused:,} cannot be requeued: their pages say why.")
    return " ".join(parts)


@dataclass(frozen=True, slots=True)
class _Ticked:
    there: Sequence[FailedJob]
    missing: int


def _ticked(visit: Visit) -> _Ticked:
    ids = [unquote(each, errors="surrogateescape") for each in visit.form.all("id")]
    if not ids:
        raise Refused(
            HTTPStatus.BAD_REQUEST, "Nothing was ticked, and nothing was changed.",
            advice="Tick the failures that are meant, or take all that match.",
        )  # fmt: skip
    there: list[FailedJob] = []
    for each in dict.fromkeys(ids):
        if not tells_apart(each):
            continue
        try:
            found = visit.app.failures.find(each)
        except ValueError:
            continue
        if isinstance(found, FailedJob):
            there.append(found)
    return _Ticked(there, len(set(ids)) - len(there))
