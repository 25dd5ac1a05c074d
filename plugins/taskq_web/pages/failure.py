"""One failure: all that is known of it, its retry, its removal, and its arguments edited."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import groupby
from typing import Final

from werkzeug.wrappers import Response

from taskq import EnqueueError, InvalidPayload, attempts
from taskq.broker import Requeued
from taskq.failed_entry import FailedJob
from taskq.showing import Editable
from taskq.signature import HIDDEN
from taskq_web.frames import is_library
from taskq_web.pages.failed import is_large, is_too_much, row_of, tells_apart
from taskq_web.shown import brief, size
from taskq_web.visit import Refused, Visit

_TRACE: Final = 9_000  # characters of a traceback
_LINE: Final = 1_500  # and of one of its lines
_PARTS: Final = 40
_NAME: Final = 200

__all__ = ["edit", "edited", "remove", "retry", "show"]


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames behind one another, all of them the application's, or all of a library's."""

    library: bool
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Trace:
    """A traceback, as much of it as a page holds.

    Attributes:
        parts: its frames, the application's and those of libraries in turn.
        left: how many further lines there are.
    """

    parts: Sequence[Frames]
    left: int

    @property
    def text(self) -> str:
        """Its lines."""
        return "\n".join(line for part in self.parts for line in part.lines)


def show(visit: Visit) -> Response:
    """All that is known of it."""
    failed = _found(visit)
    row = row_of(visit, failed, whole=True)
    return visit.render(
        "failure.html",
        row=row,
        failed=failed,
        shown=row.shown,
        raw=_raw(failed, row.shown.payload),
        trace=_folded(row.shown.backtrace),
        all_of_it=f"taskq failed show {shlex.quote(visit.app.failures.id_of(failed))}",
        attempts=attempts.count(failed.payload) + 1 if failed.payload is not None else 1,
        commands=_commands(visit, failed),
        extra=_extra(visit, failed),
        large=is_large(failed),
        entry_size=len(failed.entry),
    )


def retry(visit: Visit) -> Response:
    """Put it into its queue again, as it is."""
    failed = _found(visit, to="retried")
    try:
        became = visit.app.failures.requeue(failed)
    except InvalidPayload as wrong:
        raise Refused(HTTPStatus.CONFLICT, str(wrong), advice="It stays where it is.") from None
    return _after(visit, became, failed)


def remove(visit: Visit) -> Response:
    """Remove it for good."""
    failed = _found(visit, to="removed")
    if not visit.app.failures.remove(failed):
        return visit.back("It is already gone, or was retried meanwhile. Nothing was removed.", "/failed", wrong=True)
    return visit.back("Removed the failure.", "/failed")


def edit(visit: Visit) -> Response:
    """The form that edits its arguments."""
    failed = _found(visit)
    return _form(visit, failed, None, failed.job_queue, "")


def edited(visit: Visit) -> Response:
    """Retry it with what was typed. What was masked stays as it is."""
    failed = _found(visit, to="retried")
    text, queue = visit.form.get("text").replace("\r\n", "\n"), visit.form.get("queue").strip()
    try:
        became = visit.app.failures.requeue_edited(failed, text, queue=queue or None)
    except (InvalidPayload, EnqueueError) as wrong:
        return _form(visit, failed, text, queue, str(wrong))
    return _after(visit, became, failed)


def _form(visit: Visit, failed: FailedJob, text: str | None, queue: str, problem: str) -> Response:
    """The form, with what was typed; None is the arguments as they are."""
    editable = _too_large(visit, failed) if is_large(failed) else visit.app.failures.editable(failed)
    if is_too_much(editable.text, failed.job_queue):
        editable = _too_large(visit, failed)
    definition = visit.app.registry.find(failed.payload.job) if failed.payload is not None else None
    return visit.render(
        "edit.html",
        row=row_of(visit, failed),
        failed=failed,
        editable=editable,
        text=editable.text if text is None else text,
        queue=queue,
        problem=problem,
        signature="" if definition is None else f"{definition.name}{definition.signature}",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK,
    )


def _too_large(visit: Visit, failed: FailedJob) -> Editable:
    command = f"taskq failed edit {shlex.quote(visit.app.failures.id_of(failed))}"
    return Editable(
        "", f"This job is {size(len(failed.body or b''))}, too much for a page. Edit its arguments by: {command}"
    )


def _after(visit: Visit, became: Requeued, failed: FailedJob) -> Response:
    job = brief(failed.payload.job) if failed.payload is not None else "The job"
    match became:
        case Requeued.DONE:
            return visit.back(f"{job} is in its queue again.", "/failed")
        case Requeued.ALREADY:
            return visit.back("Somebody has retried it already. Nothing was changed.", "/failed", wrong=True)
        case Requeued.GONE:
            return visit.back("It is already gone: somebody removed it. Nothing was changed.", "/failed", wrong=True)


def _found(visit: Visit, *, to: str = "") -> FailedJob:
    """The failure that the address names.

    Raises:
        Refused: it names none, or it is gone.
    """
    said = visit.query.get("id")
    if to and not tells_apart(said):
        raise Refused(
            HTTPStatus.BAD_REQUEST,
            f"{said[:200]!r} is a place, and no mark of what is meant: another may lie there by now. Nothing was {to}.",
            advice="Open it anew: Failed.",
        )
    try:
        found = visit.app.failures.find(said)
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, f"{said[:200]!r} is no id of a failure.") from None
    if isinstance(found, FailedJob):
        return found
    nothing = f" Nothing was {to}." if to else ""
    raise Refused(HTTPStatus.GONE, f"{found.why}{nothing}", advice="What there is now is under Failed.")


def _folded(lines: Sequence[str]) -> Trace:
    parts: list[Frames] = []
    room = _TRACE
    for library, of_it in groupby(lines, key=is_library):
        kept: list[str] = []
        for line in of_it:
            room -= len(line[:_LINE]) + 1
            if room < 0:
                break
            kept.append(line if len(line) <= _LINE else f"{line[:_LINE]} …")
        if kept:
            parts.append(Frames(library, kept))
        if room < 0 or len(parts) == _PARTS:
            break
    return Trace(parts, len(lines) - sum(len(part.lines) for part in parts))


def _commands(visit: Visit, failed: FailedJob) -> Sequence[str]:
    """What to type for the same, as far as it can be typed without a secret."""
    ref = shlex.quote(visit.app.failures.id_of(failed))
    found = [f"taskq failed show {ref}", f"taskq failed requeue {ref}"]
    payload = failed.payload
    if payload is not None and failed.body is not None and failed.job_queue:
        if len(failed.body) >= 2000 or len(failed.job_queue) > _NAME:
            return found
        read = visit.app.read(failed.body)
        whole = read.payload is not None and tuple(read.shown) == tuple(read.payload.args)
        if whole:
            words = [shlex.quote(json.dumps(each, ensure_ascii=False)) for each in read.shown]
            found.append(
                " ".join(["taskq enqueue --queue", shlex.quote(failed.job_queue), shlex.quote(payload.job), *words])
            )
    return found


def _raw(failed: FailedJob, shown: str) -> str:
    """The payload as it was sent; where something in it is masked, as it would be without that."""
    if failed.body is None:
        return ""
    if HIDDEN[:-1] not in shown:
        return failed.body.decode(errors="backslashreplace")
    try:
        return json.dumps(json.loads(shown), ensure_ascii=False, separators=(",", ":"))
    except ValueError:
        return shown


def _extra(visit: Visit, failed: FailedJob) -> Sequence[tuple[str, object]]:
    """What else travelled with it: ids, further counts. That of attempts is said in words."""
    extra = failed.payload.extra if failed.payload is not None else {}
    masks = visit.app.showing.masks
    return [(name, masks.named(name, value)) for name, value in extra.items() if name != attempts.KEY][:20]
