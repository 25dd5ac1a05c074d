"""Enqueueing by hand: a form made of a job's signature, or a name and JSON for a job of another program."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from werkzeug.wrappers import Response

from taskq import Accepted, EnqueueError, Vetoed
from taskq.broker import Capability
from taskq.dates import parse_when
from taskq.definition import JobDefinition
from taskq.failed_entry import FailedJob
from taskq.showing import placeholder
from taskq_web.pages.failed import is_large, is_too_much
from taskq_web.shown import brief, exact, size
from taskq_web.visit import Refused, Visit

__all__ = ["enqueue", "show"]

_TEXTS: Final = frozenset({"str", "str | None", "Optional[str]", "typing.Optional[str]"})
_SPAN: Final = re.compile(r"(?:in )?(\d{1,6})\s*(s|min|h|d)")
_SECONDS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_NOTHING: Final = "Nothing was enqueued."
_BARE: Final = frozenset({"int", "float", "bool"})


@dataclass(frozen=True, slots=True)
class _Field:
    """A parameter of a job, as a field of a form.

    Attributes:
        name: its name.
        hint: its type and its default, as they are written.
        value: what stands there, as it would be typed.
        required: whether something has to.
        secret: whether it is masked.
        text: whether it is a text, and needs no quotes.
        long: whether several values may be given, as a list or an object in JSON.
    """

    name: str
    hint: str
    value: str
    required: bool
    secret: bool
    text: bool
    long: bool


@dataclass(frozen=True, slots=True)
class _Given:
    """What was typed beside the arguments."""

    job: str = ""
    args: str = "[]"
    queue: str = "default"
    when: str = ""
    front: bool = False


class _Mistyped(Exception):
    """What was typed cannot be enqueued, in a sentence."""


def show(visit: Visit) -> Response:
    """The jobs that are known here; the form of one of them; or the form for any."""
    again = _again(visit)
    name = visit.query.get("job")
    if again is not None and again.payload is not None:
        name = again.payload.job
    definition = visit.app.registry.find(name) if name else None
    if again is not None:
        _refuse_too_much(visit, again)
    if definition is not None:
        # What is masked is not sent to the browser: it is asked for anew.
        shown = visit.app.read(again.body).shown if again is not None and again.body is not None else ()
        queue = again.job_queue if again is not None else definition.queue
        return _form(visit, definition, _fields(visit, definition, shown), _Given(queue=queue))
    if name or "foreign" in visit.query:
        return _foreign(visit, _given_again(visit, again, name))
    jobs = sorted(visit.app.operator.jobs(), key=lambda one: one.name)
    return visit.render("enqueue.html", job=None, foreign=False, jobs=jobs[:300], problem="")


def enqueue(visit: Visit) -> Response:
    """Enqueue what the form says."""
    given = _Given(
        job=visit.form.get("job"),
        args=visit.form.get("args").replace("\r\n", "\n"),
        queue=visit.form.get("queue").strip(),
        when=visit.form.get("when").strip(),
        front=bool(visit.form.get("front")),
    )
    definition = visit.app.registry.find(visit.query.get("job")) if visit.query.get("job") else None
    if definition is None and not given.job:
        raise Refused(HTTPStatus.NOT_FOUND, f'There is no job "{visit.query.get("job")[:200]}" here. ' + _NOTHING)
    try:
        if definition is not None:
            args, kwargs = _typed(visit, definition)
            became = _send(visit, definition.name, args, kwargs, given)
        else:
            args, kwargs = _listed(given.args), {}
            became = _send(visit, given.job, args, kwargs, given)
    except (_Mistyped, EnqueueError, ValueError, TypeError) as wrong:
        if definition is not None:
            return _form(visit, definition, _fields_again(visit, definition), given, str(wrong))
        return _foreign(visit, given, str(wrong))
    return visit.back(became, "/queue", name=given.queue)


def _send(visit: Visit, job: str, args: Sequence[object], kwargs: dict[str, object], given: _Given) -> str:
    """Enqueue it. What became of it, in a sentence."""
    if not given.queue:
        raise _Mistyped(f"Into which queue? {_NOTHING}")
    at = None if not given.when else datetime.fromtimestamp(_moment(given.when, visit.clock), UTC)
    done = visit.app.options(front=given.front, at=at).enqueue_to(given.queue, job, *args, **kwargs)
    match done:
        case Accepted(at=float(when)):
            return f"{brief(job)} goes into the queue {brief(given.queue)} at {exact(when)}."
        case Accepted():
            by = next((each.served_by for each in visit.app.operator.queues() if each.name == given.queue), ())
            served = "" if by else " No worker serves that queue."
            return f"{brief(job)} is in the queue {brief(given.queue)}.{served}"
        case Vetoed():
            raise _Mistyped(f"{done.by} said no: {done.reason}. {_NOTHING}")
        case _:
            return f"{brief(job)} was taken over by a hook, which enqueues it later."


def _moment(said: str, now: float) -> float:
    """The moment that is meant: so much later, or a date.

    Raises:
        _Mistyped: it is none, or is past.
    """
    span = _SPAN.fullmatch(said)
    try:
        at = now + float(span[1]) * _SECONDS[span[2]] if span is not None else parse_when(said, now)
        datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        raise _Mistyped(
            f'"{said[:60]}" is no time that is understood: so much later as 10min, 2h or 3d, '
            f"or 2026-12-01 08:00+00:00. {_NOTHING}"
        ) from None
    if at < now - 60:
        raise _Mistyped(f"{exact(at)} is past: leave When empty for now. {_NOTHING}")
    return at


# ---- a job that is known here


def _form(
    visit: Visit, definition: JobDefinition, fields: Sequence[_Field], given: _Given, problem: str = ""
) -> Response:
    [job] = [each for each in visit.app.operator.jobs() if each.name == definition.name]
    return visit.render(
        "enqueue.html",
        job=job,
        fields=fields,
        given=given,
        problem=problem,
        can_delay=Capability.DELAY in visit.app.broker.capabilities,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK,
    )


def _fields(visit: Visit, definition: JobDefinition, shown: tuple[object, ...]) -> Sequence[_Field]:
    """The fields of a job's form, filled with what may be seen of a call."""
    seen = definition.signature.named(shown) if shown else {}
    return [
        _field(
            parameter,
            _typeable(parameter, seen[parameter.name]) if parameter.name in seen else "",
            secret=_is_secret(visit, definition, parameter),
        )
        for parameter in definition.signature.parameters
    ]


def _fields_again(visit: Visit, definition: JobDefinition) -> Sequence[_Field]:
    """The fields as they were typed; what is secret is not sent back."""
    return [
        _field(parameter, "" if secret else _said(visit, parameter), secret=secret)
        for parameter in definition.signature.parameters
        for secret in (_is_secret(visit, definition, parameter),)
    ]


def _is_secret(visit: Visit, definition: JobDefinition, parameter: inspect.Parameter) -> bool:
    """Whether its value is masked wherever it is shown: by what the job says, or by its name."""
    return parameter.name in definition.secret or bool(visit.app.showing.masks.rule(parameter.name))


def _field(parameter: inspect.Parameter, value: str, *, secret: bool) -> _Field:
    several = parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    is_text = _is_text(parameter)
    parts = []
    if parameter.annotation is not parameter.empty:
        parts.append(_named(parameter.annotation))
    if parameter.kind is parameter.VAR_POSITIONAL:
        parts.append("a list in JSON")
    elif parameter.kind is parameter.VAR_KEYWORD:
        parts.append("an object in JSON")
    elif not is_text and parameter.annotation is not parameter.empty and _named(parameter.annotation) not in _BARE:
        parts.append("in JSON")
    if parameter.default is not parameter.empty:
        parts.append("empty for its default" if secret else f"empty for {parameter.default!r}"[:80])
    return _Field(
        name=parameter.name,
        hint=", ".join(parts),
        value=value,
        required=parameter.default is parameter.empty and not several,
        secret=secret,
        text=is_text,
        long=several or len(value) > 80 or "\n" in value,
    )


def _typed(visit: Visit, definition: JobDefinition) -> tuple[list[object], dict[str, object]]:
    """The call that the fields say.

    Raises:
        _Mistyped: a field is no JSON and no text either.
    """
    args: list[object] = []
    kwargs: dict[str, object] = {}
    for parameter in definition.signature.parameters:
        said = _said(visit, parameter)
        if said == "":
            continue
        if masked := placeholder(said):
            raise _Mistyped(f"{masked} stands for what is masked in {parameter.name}: type it anew. {_NOTHING}")
        value = said if _is_text(parameter) else _value(parameter, said)
        if parameter.kind is parameter.VAR_POSITIONAL:
            args += _a(list, value, parameter)
        elif parameter.kind is parameter.VAR_KEYWORD:
            kwargs |= _a(dict, value, parameter)
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            args.append(value)
        else:
            kwargs[parameter.name] = value
    # What lies behind `*args` can only follow positions, so what comes before it is given by position too.
    before = [each.name for each in definition.signature.parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    if len(args) > sum(each.kind is each.POSITIONAL_ONLY for each in definition.signature.parameters):
        placed = [kwargs.pop(name) for name in before if name in kwargs]
        args = [*placed, *args]
    return args, kwargs


def _said(visit: Visit, parameter: inspect.Parameter) -> str:
    return visit.form.get(f"arg.{parameter.name}").replace("\r\n", "\n")


def _value(parameter: inspect.Parameter, said: str) -> Any:
    try:
        return json.loads(said)
    except (ValueError, RecursionError):
        if parameter.annotation is parameter.empty:
            return said  # as on the command line: what is no JSON is a text
        raise _Mistyped(
            f'"{parameter.name}" is {_named(parameter.annotation)}, and {said[:100]!r} is no JSON: write 5, true, '
            '"a text", [1, 2] or {"k": 1}. ' + _NOTHING
        ) from None


def _a(kind: type[Any], value: Any, parameter: inspect.Parameter) -> Any:
    if not isinstance(value, kind):
        what = "a list, as in [1, 2]" if kind is list else 'an object, as in {"k": 1}'
        raise _Mistyped(f'"{parameter.name}" takes several values: {what}. ' + _NOTHING)
    return value


def _typeable(parameter: inspect.Parameter, value: object) -> str:
    if value is parameter.default or (isinstance(value, str) and placeholder(value) == value):
        return ""
    if _is_text(parameter) and isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _is_text(parameter: inspect.Parameter) -> bool:
    return _named(parameter.annotation) in _TEXTS and parameter.kind not in {
        parameter.VAR_POSITIONAL,
        parameter.VAR_KEYWORD,
    }


def _named(annotation: object) -> str:
    if isinstance(annotation, str):
        return annotation
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


# ---- a job of another program


def _foreign(visit: Visit, given: _Given, problem: str = "") -> Response:
    return visit.render(
        "enqueue.html",
        job=None,
        foreign=True,
        given=given,
        problem=problem,
        can_delay=Capability.DELAY in visit.app.broker.capabilities,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK,
    )


def _listed(text: str) -> list[object]:
    try:
        value = json.loads(text or "[]")
    except ValueError as wrong:
        raise _Mistyped(f"The arguments are no JSON: {wrong}. {_NOTHING}") from None
    except RecursionError:
        raise _Mistyped(f"The arguments are nested too deeply to be read. {_NOTHING}") from None
    if not isinstance(value, list):
        raise _Mistyped(f"The arguments are a list, as in [1, 2], and not {text[:100]}. {_NOTHING}")
    if masked := placeholder(value):
        raise _Mistyped(f"{masked} stands for what is masked: type the value itself. {_NOTHING}")
    return value


def _again(visit: Visit) -> FailedJob | None:
    """The failure that is to be enqueued again; None where the address names none that is there."""
    said = visit.query.get("again")
    if not said:
        return None
    try:
        found = visit.app.failures.find(said)
    except ValueError:
        return None
    if not isinstance(found, FailedJob):
        return None
    return found


def _refuse_too_much(visit: Visit, again: FailedJob) -> None:
    """Refuse what the form cannot hold: it would be enqueued with less."""
    given = _given_again(visit, again, again.payload.job if again.payload is not None else "")
    if is_large(again) or is_too_much(given.job, given.args, given.queue):
        edit = f"taskq failed edit {shlex.quote(visit.app.failures.id_of(again))}"
        raise Refused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"This job is {size(len(again.body or b''))}, too much for a page.",
            advice=f"Enqueue it again by: {edit}",
        )  # fmt: skip


def _given_again(visit: Visit, again: FailedJob | None, name: str) -> _Given:
    if again is None or again.body is None:
        return _Given(job=name)
    shown = list(visit.app.read(again.body).shown)
    return _Given(job=name, args=json.dumps(shown, ensure_ascii=False, indent=2, default=str), queue=again.job_queue)
