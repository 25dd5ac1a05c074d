"""A recurring job as a record, and as the JSON or YAML object that resque-scheduler keeps (WIRE.md section 9).

Its keys are resque-scheduler's: `cron` or `every`, `class`, `queue`, `args`, `description`, `custom_job_class`,
`rails_env`, `persist`. Ours, which Ruby passes over: `missed`, `enabled`. A key that nobody here knows is kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final, Literal, TypeAlias, cast

from taskq import envelope
from taskq.errors import InvalidPayload, nearest
from taskq.recurring import Cron, Every, Rule, WrongRule, seconds_of

__all__ = [
    "MISSED",
    "Missed",
    "Schedule",
    "WrongSchedule",
    "as_json",
    "decode",
    "encode",
    "from_json",
    "made",
    "misspelt",
]

Missed: TypeAlias = Literal["once", "skip"]
MISSED: Final = ("once", "skip")

_KEYS: Final = (
    "cron", "every", "class", "queue", "args", "description", "custom_job_class", "rails_env", "env", "persist",
    "missed", "enabled", "tz",
)  # fmt: skip
_ALIKE: Final = 0.7  # of a key to a known one, from which on it is a slip: `clas`, `qeueu`, and not `class_name`


class WrongSchedule(ValueError):
    """A recurring job that cannot be as it was written; the message says why."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job that recurs.

    Attributes:
        name: what it is called by; unique.
        rule: when it is due.
        said: the rule as it was written: the value of `cron` or of `every`.
        job: the name on the wire of the job that is enqueued.
        queue: where it goes; None for the job's own.
        args: its arguments, as they travel.
        description: for people.
        missed: what becomes of a tick at which no scheduler ran: `once` makes up for the last of them, `skip` does not.
        enabled: whether it is enqueued.
        environment: where it is, if not everywhere: the words of `rails_env`.
        stored: whether it is kept in the store, and can be changed there; else it is of the code or of a file.
        persist: of one in a file: whether the scheduler that reads it keeps it in the store.
        further: keys that nobody here knows.
    """

    name: str
    rule: Rule
    said: object
    job: str
    queue: str | None = None
    args: tuple[object, ...] = ()
    description: str = ""
    missed: Missed = "once"
    enabled: bool = True
    environment: tuple[str, ...] = ()
    stored: bool = False
    persist: bool = False
    further: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_on(self) -> bool:
        """Whether it is enqueued here and now: it is enabled, and this is one of its environments, if it says any."""
        here = os.environ.get("RAILS_ENV") or os.environ.get("RACK_ENV")
        return self.enabled and (not self.environment or here in self.environment)

    @property
    def same_rule(self) -> str:
        """What is equal as long as its rule is: by this a changed one is known."""
        return repr(self.rule)


def made(
    name: str,
    job: str,
    *,
    cron: str | None = None,
    tz: str | None = None,
    every: object = None,
    queue: str | None = None,
    args: Sequence[object] = (),
    description: str = "",
    missed: str = "once",
) -> Schedule:
    """A recurring job of what was said in Python.

    Raises:
        WrongSchedule: it cannot be.
    """
    said = {"cron": cron, "tz": tz, "every": every, "queue": queue, "description": description, "missed": missed}
    return decode(name, {"class": job, "args": [*args], **{key: it for key, it in said.items() if it is not None}})


def decode(name: str, entry: object, *, stored: bool = False) -> Schedule:
    """What an entry of resque-scheduler's says, from JSON or YAML.

    Raises:
        WrongSchedule: it cannot be.
    """
    if not isinstance(name, str) or not name:
        raise WrongSchedule(f"{name!r} is no name of a schedule: it is a text that is not empty.")
    if not isinstance(entry, Mapping):
        raise WrongSchedule(
            f"it is of type {type(entry).__name__}, and no object with the keys cron or every, and class."
        )
    job = _text(entry, "custom_job_class") or _text(entry, "class") or name
    missed = entry.get("missed", "once")
    if missed not in MISSED:
        raise WrongSchedule(f'"missed" is once or skip, not {missed!r}.')
    rule, said = _rule(entry)
    return Schedule(
        name=name,
        rule=rule,
        said=said,
        job=job,
        queue=_text(entry, "queue"),
        args=_args(entry.get("args")),
        description=_text(entry, "description") or "",
        missed=cast("Missed", missed),
        enabled=_flag(entry, "enabled", default=True),
        environment=tuple((_text(entry, "rails_env") or _text(entry, "env") or "").replace(",", " ").split()),
        stored=stored,
        persist=_flag(entry, "persist", default=False),
        further={key: value for key, value in entry.items() if key not in _KEYS},
    )


def misspelt(schedule: Schedule) -> str:
    """What is wrong with a key that is likely meant to be another; empty where none is."""
    for key in schedule.further:
        near = nearest(str(key), _KEYS, cutoff=_ALIKE)
        if near is not None:
            return f'"{key}" is no key of a schedule. Did you mean "{near}"?'
    return ""


def from_json(name: str, body: bytes) -> Schedule:
    """What a stored entry says. Raises WrongSchedule."""
    try:
        entry = envelope.parse(body)
    except InvalidPayload as wrong:
        raise WrongSchedule(f"it is no JSON: {wrong}") from None
    return decode(name, entry, stored=True)


def encode(schedule: Schedule) -> dict[str, object]:
    """The entry with resque-scheduler's keys, those left out that say what is so anyway."""
    key = "every" if isinstance(schedule.rule, Every) else "cron"
    entry: dict[str, object] = {key: schedule.said, "class": schedule.job}
    if schedule.queue is not None:
        entry["queue"] = schedule.queue
    if schedule.args:
        entry["args"] = [*schedule.args]
    if schedule.description:
        entry["description"] = schedule.description
    if schedule.environment:
        entry["rails_env"] = ", ".join(schedule.environment)
    if schedule.missed != "once":
        entry["missed"] = schedule.missed
    if not schedule.enabled:
        entry["enabled"] = False
    if schedule.persist:
        entry["persist"] = True
    return {**entry, **schedule.further}


def as_json(schedule: Schedule) -> bytes:
    """The entry as it lies in the store, `persist` left out as Ruby does.

    Raises:
        WrongSchedule: its arguments are nothing that JSON can carry.
    """
    try:
        return envelope.dump(encode(replace(schedule, persist=False))).encode()
    except (TypeError, ValueError, RecursionError) as wrong:
        raise WrongSchedule(f"its arguments cannot be kept as JSON: {wrong}") from None


def _rule(entry: Mapping[str, object]) -> tuple[Rule, object]:
    cron, every, tz = entry.get("cron"), entry.get("every"), _text(entry, "tz")
    if (cron is None) == (every is None):
        near = nearest("cron", entry) or nearest("every", entry) if cron is None else None
        meant = f' Did you mean that by "{near}"?' if near else ""
        raise WrongSchedule(f"it says {'neither cron nor every' if cron is None else 'both cron and every'}.{meant}")
    try:
        if cron is not None:
            if isinstance(cron, list) and cron:  # resque-scheduler: the rule, then options that only rufus has
                cron = cron[0]
            if not isinstance(cron, str):
                raise WrongSchedule(f'"cron" is a text such as "0 6 * * 1-5", not {cron!r}.')
            rule = Cron.parsed(cron, tz)
            return rule, cron if tz is None or cron.split()[-1] == tz else f"{cron} {tz}"
        if tz is not None:
            raise WrongSchedule("tz is said with cron only: every so often is the same everywhere.")
        options: object = {}
        if isinstance(every, list) and every:
            options = every[1] if len(every) > 1 else {}
            every = every[0]
        if not isinstance(options, Mapping):
            raise WrongSchedule(f'the second of "every" is an object such as {{"first_in": "10s"}}, not {options!r}.')
        seconds = seconds_of(every)
        first = options.get("first_in")
        rule_every = Every(seconds, None if first is None else seconds_of(first))
        text = every if isinstance(every, str) else _span(seconds)
        return rule_every, text if first is None else [
            text,
            {"first_in": first if isinstance(first, str) else _span(seconds_of(first))},
        ]
    except WrongRule as wrong:
        raise WrongSchedule(str(wrong)) from wrong


def _span(seconds: float) -> str:
    """So many seconds, exactly: what is read again is the same number."""
    return f"{Decimal(repr(seconds)).normalize():f}s"


def _args(args: object) -> tuple[object, ...]:
    # A single object or text is one argument, nothing is none (WIRE.md section 9).
    if args is None:
        return ()
    return tuple(args) if isinstance(args, list | tuple) else (args,)


def _flag(entry: Mapping[str, object], key: str, *, default: bool) -> bool:
    value = entry.get(key, default)
    if not isinstance(value, bool):
        raise WrongSchedule(f'"{key}" is true or false, not {value!r}.')
    return value


def _text(entry: Mapping[str, object], key: str) -> str | None:
    value = entry.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise WrongSchedule(f'"{key}" is a text, not {json.dumps(value, default=repr)}.')
    return value
