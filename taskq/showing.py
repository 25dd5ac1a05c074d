"""What people may see of a job: its arguments without what is secret, and how they edit them all the same.

Pages, JSON and commands show payloads, records and entries by way of this module alone. Nothing is imported or
performed to show a job: what is not known here is shown by its names. Nothing here raises, whatever the bytes are, but
for an edit that cannot be.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote, quote_plus

from taskq import envelope
from taskq.definition import JobDefinition
from taskq.errors import InvalidPayload
from taskq.failed_entry import FailedJob
from taskq.masks import Hide, Masks, Quoted, hidden, strings
from taskq.members import join, members
from taskq.records import Payload, Reservation
from taskq.registry import Registry
from taskq.serializer import Serializer
from taskq.signature import HIDDEN, KEYWORDS

if TYPE_CHECKING:  # a producer performs nothing: it should not pay for the import
    from taskq.performing import Task, Tools

__all__ = ["LARGE", "DecodedJob", "Editable", "Showing", "ShownFailure", "placeholder"]

LARGE: Final = 200_000
"""Bytes of a payload beyond which it is shown by itself alone, and not in a list of many."""

_UNREADABLE: Final = ("[not decoded]",)
_LEAST: Final = 4  # characters of a secret that is taken out of a text
_BETWEEN: Final = "\n\x1e\n"  # texts that are gone through as one
_PLACEHOLDER: Final = re.compile(r"\[secret(?: \d+)?(?:: [^\]]*)?\]")
_PLACED: Final = re.compile(rf"""(?P<quote>(?<!\\)\\*["'])?(?P<name>{_PLACEHOLDER.pattern})(?(quote)(?P=quote))""")


@dataclass(frozen=True, slots=True)
class DecodedJob:
    """A payload, as far as it can be read here.

    Attributes:
        body: its bytes.
        payload: what they say, arguments decoded if a serializer that is accepted can; None where they are no payload.
        shown: the arguments as they may be shown to people: secret ones as `[secret]`.
        problem: why it cannot be read, in one sentence; empty where it can.
    """

    body: bytes
    payload: Payload | None
    shown: tuple[object, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ShownFailure:
    """A failed job as it may be shown.

    Attributes:
        args: its arguments.
        error: what the exception said, without what the arguments hide.
        backtrace: the frames, likewise.
        payload: the payload as JSON of several lines; empty where the entry has none.
    """

    args: tuple[object, ...]
    error: str
    backtrace: tuple[str, ...]
    payload: str


@dataclass(frozen=True, slots=True)
class Editable:
    """A job's arguments as a person edits them.

    Attributes:
        text: the arguments as JSON; what is secret is a placeholder, `[secret 1: password]`, that stands for it
            wherever it is put.
        problem: why they cannot be edited here; empty where they can.
        hidden: what each placeholder stands for.
    """

    text: str
    problem: str = ""
    hidden: Mapping[str, object] = field(default_factory=dict, repr=False)


class Showing:
    """Shows jobs to people, by the masks of an application and the `secret=` of its jobs.

    Args:
        registry: the jobs that are known here.
        serializers: gives those whose payloads are read; asked when it is first needed.
        masks: the names that mean a secret.

    Attributes:
        masks: those names.
    """

    __slots__ = ("_made", "_registry", "_serializers", "masks")

    def __init__(self, registry: Registry, serializers: Callable[[], Mapping[str, Serializer]], masks: Masks) -> None:
        self._registry: Final = registry
        self._serializers: Final = serializers
        self.masks: Final = masks
        self._made: Tools | None = None

    # ---- payloads

    def read(self, body: bytes) -> DecodedJob:
        """What a payload's bytes say, as far as it can be read here. Never fails, whatever they are."""
        return self._read(body, hidden)

    def line(self, body: bytes, *, most: int = 200) -> str:
        """A payload's arguments on one line of JSON, the end cut off where they are long.

        Args:
            body: the payload's bytes.
            most: how many characters.
        """
        job = self.read(body)
        text = _json(list(job.shown)) if job.payload is not None else job.problem
        return text if len(text) <= most else f"{text[: most - 4]} ..."

    def pretty(self, body: bytes) -> str:
        """A payload as JSON of several lines; what is no payload as far as it can be read."""
        job = self.read(body)
        if job.payload is None:
            return self.value(body)
        extra = cast("dict[str, object]", self.masks.shown(dict(job.payload.extra)))
        return _json({"class": job.payload.job, "args": list(job.shown), **extra}, indent=2)

    def value(self, data: bytes) -> str:
        """Any bytes out of the store as text: JSON with what is secret taken out, else as they are."""
        try:
            value = envelope.parse(data)
        except InvalidPayload:
            return self.masks.text(data.decode(errors="backslashreplace"))
        if not isinstance(value, (dict, list)):
            return cast("str", self.masks.shown(data.decode()))
        secrets = _Secrets()
        return secrets.taken_out(_json(self._payloads_shown(value, secrets.hide), indent=2))

    def name(self, name: str) -> str:
        """A name that may have a payload in it, as some keys of resque-scheduler's do, without what is secret."""
        place = name.find("{")
        if place < 0:
            return self.masks.text(name)
        body = name[place:].encode("utf-8", "surrogateescape")
        try:
            value = envelope.parse(body)
        except InvalidPayload:
            return self.masks.text(name)
        secrets = _Secrets()
        shown = json.dumps(self._payloads_shown(value, secrets.hide), ensure_ascii=False, separators=(",", ":"))
        unmasked = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return name if shown == unmasked else secrets.taken_out(name[:place] + shown)

    def _payloads_shown(self, value: object, hide: Hide) -> object:
        """A value with every payload in it shown as one, the rest by the names alone."""
        if isinstance(value, dict):
            if list(value) == ["class", "args", "raw"] and value["class"] == "":
                return {**value, "raw": self._raw_shown(value["raw"])}
            if isinstance(value.get("class"), str) and isinstance(value.get("args"), list):
                job = self._read(json.dumps(value).encode(), hide)
                if job.payload is not None:
                    extra = cast("dict[str, object]", self.masks.shown(dict(job.payload.extra), hide))
                    return {"class": job.payload.job, "args": list(job.shown), **extra}
            rule = self.masks.rule
            return {
                key: self.masks.named(key, item, hide) if rule(key) else self._payloads_shown(item, hide)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self._payloads_shown(item, hide) for item in value]
        return self.masks.shown(value, hide)

    def _raw_shown(self, raw: object) -> object:
        """Bytes that an entry keeps as Base64: as text where they look like JSON, for a secret hides in Base64 too."""
        try:
            body = base64.b64decode(raw, validate=True) if isinstance(raw, str) else b""
        except ValueError:
            return raw
        return self.value(body) if body.lstrip()[:1] in {b"{", b"["} else raw

    def searched(self, failed: FailedJob) -> str:
        """What a search for a text looks at: arguments and error as they may be shown, and nothing that is hidden."""
        if failed.body is None:
            return self.masks.text(failed.error)
        secrets = _Secrets()
        job = self._read(failed.body, secrets.hide)
        args = _json(list(job.shown))[:100_000] if job.payload is not None else job.problem
        return f"{args}\0{self.masks.text(secrets.taken_out(failed.error))}"

    def args(self, args: tuple[object, ...], definition: JobDefinition | None) -> tuple[object, ...]:
        """Arguments that were read already, as they may be shown.

        Args:
            args: as a payload carries them.
            definition: their job; None where it is not registered here.
        """
        return self._args(args, definition, hidden)

    def task(self, task: Task, text: str = "") -> tuple[tuple[object, ...], str]:
        """What a worker may say of a job in hand: its arguments, and a text about it without what they hide.

        Args:
            task: the job, made ready.
            text: what it said when it failed.
        """
        secrets = _Secrets()
        if task.payload is None or isinstance(task.problem, InvalidPayload):
            args = task.shown
        else:
            args = self._args(task.payload.args, task.definition, secrets.hide)
        return args, cast("str", self.masks.shown(secrets.taken_out(text)))

    # ---- failures

    def failed(self, failed: FailedJob, *, whole: bool = True) -> ShownFailure:
        """A failed job as it may be shown: what its arguments hide is hidden in its error and its backtrace too.

        Args:
            failed: as it was listed.
            whole: whether its payload is wanted as well, which may be long work; else that is empty.
        """
        if failed.body is None:
            error = self.masks.text(failed.error)
            return ShownFailure((), error, failed.backtrace, "")
        secrets = _Secrets()
        args = self._read(failed.body, secrets.hide).shown

        error, *backtrace = (
            self.masks.text(text) for text in secrets.taken_out_of_each((failed.error, *failed.backtrace))
        )
        return ShownFailure(args, error, tuple(backtrace), self.pretty(failed.body) if whole else "")

    def briefly(self, failed: FailedJob) -> ShownFailure:
        """A failed job for a list of many: as `failed` without its payload.

        Where the payload is beyond `LARGE` its size stands for all, for what it hides could be told only by going
        through the whole of it.
        """
        size = len(failed.body or b"")
        if size <= LARGE:
            return self.failed(failed, whole=False)
        return ShownFailure((), f"[not shown here, for its payload has {size:,} bytes]", (), "")

    # ---- editing

    def editable(self, body: bytes) -> Editable:
        """A payload's arguments for editing."""
        taken = {*_PLACEHOLDER.findall(body.decode(errors="replace"))}
        kept: dict[str, object] = {}

        def hide(rule: str, value: object) -> object:
            number = len(kept) + 1
            name = f": {rule}" if rule else ""
            while f"[secret {number}{name}]" in taken or f"[secret {number}{name}]" in kept:
                number += 1
            kept[f"[secret {number}{name}]"] = value
            return f"[secret {number}{name}]"

        job = self._read(body, hide)
        if job.payload is None or job.problem:
            return Editable("", f"These arguments cannot be edited. {job.problem}")
        try:
            text = json.dumps(list(job.shown), ensure_ascii=False, allow_nan=False, indent=2)
        except (TypeError, ValueError):
            return Editable("", "These arguments are of types that JSON cannot carry; they cannot be edited as text.")
        return Editable(text, "", kept)

    def edited(self, body: bytes, text: str) -> bytes:
        """The payload with other arguments, all else in it as it is.

        Args:
            body: the payload's bytes.
            text: the arguments as `editable` gave them, edited.

        Raises:
            InvalidPayload: the text is no list in JSON, or the payload cannot be edited.
            WrongCall: they do not fit the job's signature, where it is known here.
            UnserializableArgument: the serializer that the payload uses does not carry one of them.
        """
        before = self.editable(body)
        if before.problem:
            raise InvalidPayload(before.problem)
        try:
            args = envelope.parse(text.strip().encode("utf-8", "surrogatepass"))
        except InvalidPayload as wrong:
            said = str(wrong).removeprefix("The payload ").partition(" A payload looks like")[0]
            raise InvalidPayload(f'The arguments cannot be read: the text {said} They look like [1,"two"].') from None
        if not isinstance(args, list):
            raise InvalidPayload('The arguments are a list in JSON: [1,"two"], also where there is one or none.')
        revealed = cast("list[object]", _revealed(args, before.hidden))
        unknown = placeholder(revealed)
        if unknown and unknown not in body.decode(errors="replace"):
            raise InvalidPayload(
                f"{unknown} stands for no argument of this job. Leave the placeholders as they are, or write values."
            )
        payload = envelope.decode(body)
        definition = self._registry.find(payload.job)
        if definition is not None:
            _check_call(definition, tuple(revealed))
        return _with_args(body, self._encoded(payload, definition, tuple(revealed)))

    def _encoded(self, payload: Payload, definition: JobDefinition | None, args: tuple[object, ...]) -> str:
        tag = envelope.tag(list(payload.args))
        if tag is None:
            return envelope.dump(list(args))
        names = definition.signature.names(args) if definition is not None else ()
        return self._serializers()[tag].dumps(payload.job, names, args)

    # ---- what the methods above are made of

    def _read(self, body: bytes, hide: Hide) -> DecodedJob:
        from taskq.performing import prepare

        task = prepare(Reservation("", "", body, "", 0.0), self._tools())
        unreadable = task.problem if isinstance(task.problem, InvalidPayload) else None
        if task.payload is None:
            return DecodedJob(body, None, (), str(unreadable or ""))
        if unreadable is not None:
            return DecodedJob(body, task.payload, _UNREADABLE, str(unreadable))
        shown = self._args(task.payload.args, task.definition, hide)
        return DecodedJob(body, task.payload, shown)

    def _tools(self) -> Tools:
        if self._made is None:
            from taskq.chain import Hooks
            from taskq.performing import Tools

            # Hooks and failure handlers have no part in reading: one that does not load must not hide a queue.
            self._made = Tools(
                registry=self._registry, serializers=self._serializers(), hooks=Hooks(), handlers=(), now=time.time
            )
        return self._made

    def _args(self, args: tuple[object, ...], definition: JobDefinition | None, hide: Hide) -> tuple[object, ...]:
        if definition is None:
            return tuple(self.masks.shown(value, hide) for value in args)
        base = definition.shown(args) if definition.secret else args
        names = definition.signature.names(args)
        return tuple(self._arg(name, value, mark, hide) for name, value, mark in zip(names, args, base, strict=True))

    def _arg(self, name: str, value: object, mark: object, hide: Hide) -> object:
        """An argument as it may be shown; `mark` is what the job's own `secret=` makes of it."""
        if mark is HIDDEN:
            return hide("", value)
        if name == KEYWORDS:
            said = cast("dict[str, dict[str, object]]", value)[KEYWORDS]
            marks = cast("dict[str, dict[str, object]]", mark)[KEYWORDS]
            return {KEYWORDS: {key: self._arg(key, item, marks[key], hide) for key, item in said.items()}}
        return self.masks.named(name.partition("[")[0], value, hide)


class _Secrets:
    """What was hidden, to be taken out of texts that may quote it."""

    def __init__(self) -> None:
        self._found: set[str] = set()
        self._forms: list[str] | None = None

    def hide(self, rule: str, value: object) -> str:
        """What stands for a value, which is remembered."""
        self._forms = None
        self._found.update(text for text in strings(value) if len(text) >= _LEAST)
        return hidden(rule, value)

    def taken_out(self, text: str) -> str:
        """The text without what was hidden, however it is quoted there."""
        if self._forms is None:
            forms = {form for secret in self._found for form in _forms(secret)}
            self._forms = sorted(forms, key=len, reverse=True)
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text

    def taken_out_of_each(self, texts: Sequence[str]) -> Sequence[str]:
        """The texts without it: all at once, for there may be thousands of secrets and hundreds of lines."""
        found = self.taken_out(_BETWEEN.join(texts)).split(_BETWEEN)
        return found if len(found) == len(texts) else [self.taken_out(text) for text in texts]


def _forms(secret: str) -> Iterator[str]:
    """How a text may quote it: as it is, as JSON and Python write it, in an address."""
    yield secret
    if secret.isascii() and secret.isalnum():
        return
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield ascii(secret)[1:-1]
    data = secret.encode("utf-8", "surrogatepass")
    yield repr(data)[2:-1]
    yield quote(data)
    yield quote(data, safe="")
    yield quote_plus(data)


def _check_call(definition: JobDefinition, args: tuple[object, ...]) -> None:
    last = args[-1] if args else None
    said = last.get(KEYWORDS) if isinstance(last, dict) and len(last) == 1 else None
    if isinstance(said, dict):
        definition.signature.bind(args[:-1], said)
    else:
        definition.signature.bind(args, {})


def _with_args(body: bytes, args: str) -> bytes:
    """A payload's bytes with this text for its arguments; where it has none, they come behind its class."""
    parts = members(body)
    texts = [f'"args":{args}' if part.key == "args" else part.text for part in parts]
    if not any(part.key == "args" for part in parts):
        texts.insert(1 + next(place for place, part in enumerate(parts) if part.key == "class"), f'"args":{args}')
    return join(texts)


def placeholder(value: object) -> str:
    """What in a value stands for something masked, `[secret: password]`, and is no value itself; empty if nothing."""
    left = [value]  # and no recursion: what was typed may be nested deeper than that goes
    while left:
        one = left.pop()
        if isinstance(one, str):
            if (found := _PLACEHOLDER.search(one)) is not None:
                return found[0]
        elif isinstance(one, Mapping):
            left += [part for each in one.items() for part in each]
        elif isinstance(one, (list, tuple)):
            left += one
    return ""


def _revealed(value: object, kept: Mapping[str, object]) -> object:
    """The value with every placeholder as what it stands for; within a longer text as text."""
    if not kept:
        return value
    if isinstance(value, dict):
        return {key: _revealed(item, kept) for key, item in value.items()}
    if isinstance(value, list):
        return [_revealed(item, kept) for item in value]
    if isinstance(value, str):
        if value in kept:
            item = kept[value]
            return item.value if isinstance(item, Quoted) else item
        return _PLACED.sub(lambda found: _put_back(found, kept), value)
    return value


def _put_back(found: re.Match[str], kept: Mapping[str, object]) -> str:
    """What a placeholder within a text stands for, as it stood in such a text."""
    if found["name"] not in kept:
        return found[0]
    item, quote = kept[found["name"]], found["quote"] or ""
    if not isinstance(item, Quoted):
        return f"{quote}{item}{quote}"
    if item.quote == quote:
        return item.text
    said = item.value  # somebody has put it elsewhere
    return f"{quote}{said}{quote}" if isinstance(said, str) else json.dumps(said)


def _json(value: object, *, indent: int | None = None) -> str:
    """JSON for people: what it cannot carry is shown by its `repr`."""
    separators = None if indent else (", ", ": ")

    def shown(other: Any) -> str:
        try:
            return repr(other)
        except Exception:  # whatever a stranger's repr raises
            return f"<{type(other).__name__}>"

    try:
        return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, default=shown)
    except (TypeError, ValueError, RecursionError):
        return "[cannot be shown as JSON]"
