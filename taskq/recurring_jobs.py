"""The recurring jobs of an application: those that its code says, those of a running scheduler, those in the store.

Of one name the stored one holds, as resque-scheduler's dynamic schedules do. What a scheduler has of a file only it
knows; so it publishes what it has, and other processes read that here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Literal, Protocol, TypeAlias, cast

from taskq import envelope
from taskq.broker import Broker, Capability
from taskq.errors import InvalidPayload, NotAJob, TaskqError, nearest
from taskq.hook import Enqueued
from taskq.in_force import applications
from taskq.job_options import CallOptions
from taskq.jobs import Call, make_call
from taskq.registry import Registry
from taskq.schedule_entry import Missed, Schedule, WrongSchedule, as_json, decode, encode, from_json, made
from taskq.showing import Showing

__all__ = [
    "ListedSchedule",
    "NoSuchSchedule",
    "Origin",
    "Published",
    "Schedules",
    "call_of",
    "check",
    "of_code",
    "publish",
    "published",
    "schedules",
]

Origin: TypeAlias = Literal["code", "scheduler", "stored"]
"""Whence a recurring job is: a decorator in this process; what a running scheduler has; the store."""

_KEY: Final = "scheduler:published"
_KEPT: Final = 30 * 86400.0  # seconds that what was published outlives its scheduler
_FRESH: Final = 90.0  # seconds after which a scheduler that published is not running any more


class NoSuchSchedule(TaskqError):
    """There is no recurring job of that name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        near = nearest(name, known)
        super().__init__(f'There is no schedule "{name}".' + (f" Did you mean {near}?" if near else ""))


@dataclass(frozen=True, slots=True)
class ListedSchedule:
    """A recurring job as it is listed.

    Attributes:
        name: what it is called by.
        schedule: what it says; None where that cannot be read here.
        problem: why it cannot; empty where it can.
        origin: whence it is.
        last: the last tick that was enqueued or skipped, unix seconds; None where none was.
        next: the next one; None where it is off, or there is none any more.
        shown: its arguments as they may be shown to people: secret ones as `[secret]`.
        entry: what it says, with resque-scheduler's keys.
    """

    name: str
    schedule: Schedule | None
    problem: str
    origin: Origin
    last: float | None
    next: float | None
    shown: tuple[object, ...]
    entry: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Published:
    """What a scheduler says of itself.

    Attributes:
        scheduler: which one.
        at: when it last said so, unix seconds.
        entries: the recurring jobs that it has of its code and of a file, by name.
        rules: of each of all, its rule, by which a changed one is known, and since when it has that, unix seconds.
    """

    scheduler: str
    at: float
    entries: Mapping[str, object]
    rules: Mapping[str, tuple[str, float]]


class Holder(Protocol):
    """What is asked of the application whose recurring jobs these are."""

    @property
    def broker(self) -> Broker:
        """Where they are kept."""

    @property
    def registry(self) -> Registry:
        """The jobs that are known by name."""

    @property
    def showing(self) -> Showing:
        """Shows arguments without what is secret."""

    def enqueue_call(self, call: Call, /) -> Enqueued:
        """Enqueue one call."""

    def bodies_of(self, call: Call, /) -> Sequence[bytes]:
        """The bytes that this call has under the job's name and under each alias."""


class Schedules:
    """What recurs.

    Args:
        holder: gives the application; asked at each call.
    """

    __slots__ = ("_holder",)

    def __init__(self, holder: Callable[[], Holder]) -> None:
        self._holder = holder

    # ---- looking

    def list(self) -> Sequence[ListedSchedule]:
        """All of them, by name."""
        holder = self._holder()
        broker = holder.broker
        found = {name: (origin, entry) for name, origin, entry in self._entries()}
        last = broker.last_fired(list(found))
        now = broker.now()
        return [_listed(holder, name, *found[name], last.get(name), now) for name in sorted(found, key=str.encode)]

    def get(self, name: str) -> ListedSchedule:
        """One of them. Raises NoSuchSchedule."""
        listed = self.list()
        for each in listed:
            if each.name == name:
                return each
        raise NoSuchSchedule(name, [each.name for each in listed])

    def scheduler(self) -> Published | None:
        """The scheduler that runs now, as far as can be seen; None where none of taskq's does."""
        broker = self._holder().broker
        found = published(broker)
        return found if found is not None and broker.now() - found.at < _FRESH else None

    # ---- changing

    def set(
        self,
        name: str,
        call: Call,
        *,
        cron: str | None = None,
        tz: str | None = None,
        every: timedelta | float | str | None = None,
        description: str = "",
        missed: Missed = "once",
    ) -> bool:
        """Keep a recurring job in the store: `set("nightly", Report.call(7), cron="0 3 * * *", tz="Europe/Berlin")`.

        Running schedulers take it over at once. One of the code or of a file that has the name gives way to it.

        Args:
            name: what it is called by.
            call: what is enqueued: `send_email.call(...)`, `app.call("name", ...)`; its queue may be said by `options`.
            cron: when; see `taskq.job`.
            tz: the time zone of `cron`.
            every: or how often: a `timedelta`, seconds, or a text such as `5m`.
            description: for people.
            missed: what becomes of a tick at which no scheduler ran.

        Returns:
            Whether one of that name was in the store.

        Raises:
            WrongSchedule: it cannot be.
        """
        if call.front or call.declared or call.connection is not None or call.at is not None:
            raise WrongSchedule(
                "of a call that recurs only the queue can be said: front, at and the like mean nothing."
            )
        schedule = made(
            name,
            call.job,
            cron=cron,
            tz=tz,
            every=every,
            # The job's own too: who fires it may not know the job, a scheduler of Ruby's or of another application.
            queue=call.queue,
            args=call.args,
            description=description,
            missed=missed,
        )
        return self._keep(schedule)

    def remove(self, name: str) -> bool:
        """Remove one from the store. False where none of that name was there; one of the code or a file then holds."""
        return self._holder().broker.put_schedule(name, None)

    def disable(self, name: str) -> bool:
        """Enqueue it no more, until it is enabled. False where it was disabled already.

        One of the code or of a file is kept in the store for this, as it is now. Ruby's scheduler knows nothing of it.

        Raises:
            NoSuchSchedule: there is none of that name.
            WrongSchedule: what it says cannot be read.
        """
        schedule = self._readable(name)
        if not schedule.enabled:
            return False
        self._keep(replace(schedule, enabled=False))
        return True

    def enable(self, name: str) -> bool:
        """Undo `disable`. False where it was enabled already. Raises as `disable` does."""
        schedule = self._readable(name)
        if schedule.enabled:
            return False
        others = {other: entry for other, _, entry in self._entries(stored=False)}
        there = others.get(name)
        if isinstance(there, Mapping) and not there.get("persist"):
            self.remove(name)  # it was only put there to be disabled
        else:
            self._keep(replace(schedule, enabled=True))
        return True

    def run_now(self, name: str) -> Enqueued:
        """Enqueue it once, now. Its ticks go on as if nothing had been.

        Raises:
            NoSuchSchedule: there is none of that name.
            WrongSchedule: it cannot be enqueued here.
        """
        holder = self._holder()
        return holder.enqueue_call(call_of(holder.registry, self._readable(name)))

    # ---- what these are made of

    def _keep(self, schedule: Schedule) -> bool:
        return self._holder().broker.put_schedule(schedule.name, as_json(schedule))

    def _readable(self, name: str) -> Schedule:
        found = self.get(name)
        if found.schedule is None:
            raise WrongSchedule(f'The schedule "{name}" cannot be read: {found.problem}')
        return found.schedule

    def _entries(self, *, stored: bool = True) -> Iterable[tuple[str, Origin, object]]:
        """Name, origin, entry; of one name the last holds."""
        holder = self._holder()
        for name, entry in _entries_of_code(holder.registry).items():
            yield name, "code", entry
        running = published(holder.broker)
        for name, said in (running.entries if running is not None else {}).items():
            yield name, "scheduler", said
        for name, body in (holder.broker.schedules() if stored else {}).items():
            yield name, "stored", body


def _listed(holder: Holder, name: str, origin: Origin, entry: object, last: float | None, now: float) -> ListedSchedule:
    try:
        schedule = from_json(name, entry) if isinstance(entry, bytes) else decode(name, entry)
    except WrongSchedule as wrong:
        try:
            raw = envelope.parse(entry) if isinstance(entry, bytes) else entry
        except InvalidPayload:
            raw = {}
        return ListedSchedule(
            name,
            None,
            str(wrong),
            origin,
            last,
            None,
            (),
            {str(k): v for k, v in raw.items()} if isinstance(raw, dict) else {},
        )
    shown = holder.showing.args(tuple(schedule.args), holder.registry.find(schedule.job))
    following = schedule.rule.after(now) if schedule.is_on else None
    return ListedSchedule(name, schedule, "", origin, last, following, shown, encode(schedule))


def call_of(registry: Registry, schedule: Schedule) -> Call:
    """What is enqueued at a tick.

    Raises:
        WrongSchedule: its arguments do not fit its job, or nobody here knows its queue.
    """
    definition = registry.find(schedule.job)
    try:
        if definition is None:
            return make_call(registry, schedule.job, schedule.args, {}, CallOptions(schedule.queue))
        try:
            args, kwargs = definition.signature.unbind(schedule.args)
        except TypeError as wrong:
            raise WrongSchedule(f'The schedule "{schedule.name}": {wrong}') from None
        return make_call(registry, schedule.job, tuple(args), kwargs, CallOptions(schedule.queue))
    except NotAJob:
        raise WrongSchedule(
            f'The schedule "{schedule.name}": it says no queue, and {schedule.job} is not registered here.'
        ) from None
    except TaskqError as wrong:
        raise WrongSchedule(f'The schedule "{schedule.name}": {wrong}') from None


def check(holder: Holder, schedule: Schedule) -> None:
    """Return where it can be enqueued here, as far as can be told before its tick.

    Raises:
        WrongSchedule: nobody here knows its queue, or its arguments do not fit its job, or the serializer not them.
    """
    try:
        holder.bodies_of(call_of(holder.registry, schedule))
    except (TaskqError, WrongSchedule) as wrong:
        said = str(wrong).removeprefix(f'The schedule "{schedule.name}": ').removesuffix(" Nothing was enqueued.")
        raise WrongSchedule(f"it can never be enqueued: {said}") from None


def _in_force() -> Holder:
    return cast("Holder", applications.current())


schedules: Final = Schedules(_in_force)
"""The recurring jobs of the application in force."""


# ---- those of the code


def of_code(registry: Registry) -> Sequence[Schedule]:
    """The recurring jobs that decorators said. Raises WrongSchedule where what reads their rules is not installed."""
    return [decode(name, entry) for name, entry in _entries_of_code(registry).items()]


def _entries_of_code(registry: Registry) -> Mapping[str, Mapping[str, object]]:
    found: dict[str, Mapping[str, object]] = {}
    for definition in registry:
        said = definition.recurs
        if said is not None:
            entry = {"cron": said.cron, "tz": said.tz, "every": said.every, "missed": said.missed, "args": [*said.args]}
            found[definition.name] = {
                "class": definition.name,
                "queue": definition.queue,
                **{key: value for key, value in entry.items() if value is not None},
            }
    return found


# ---- what a scheduler says of itself


def publish(broker: Broker, what: Published) -> None:
    """Have other processes see what a scheduler has, where the broker can."""
    if Capability.KEYS in broker.capabilities:
        said = {"scheduler": what.scheduler, "at": what.at, "entries": what.entries, "rules": what.rules}
        broker.put_key(_KEY, json.dumps(said, default=repr).encode(), _KEPT)


def published(broker: Broker) -> Published | None:
    """What a scheduler last said of itself; None where none ever did, or not in a way that is understood."""
    body = broker.get_key(_KEY) if Capability.KEYS in broker.capabilities else None
    if body is None:
        return None
    try:
        said = json.loads(body)
        rules = {name: (str(rule), float(since)) for name, (rule, since) in said["rules"].items()}
        return Published(str(said["scheduler"]), float(said["at"]), dict(said["entries"]), rules)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
