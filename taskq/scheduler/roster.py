"""Which jobs recur, and when each is next: what the code says, what a file says, and over both what the store says.

A tick is due from the last one that was fired, or from when the rule was first seen: what was before is nobody's. That
moment is kept with what is published, so that a scheduler that takes over, or starts again, goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from taskq.broker import Broker
from taskq.recurring import Every
from taskq.recurring_jobs import Published, publish, published
from taskq.schedule_entry import Schedule, WrongSchedule, as_json, encode, from_json, misspelt

__all__ = ["Due", "Roster"]

_ON_TIME: Final = 60.0
"""Seconds after a tick in which it is not missed: so long another scheduler may take to notice that one is dead."""


@dataclass(frozen=True, slots=True)
class Due:
    """A tick whose time has come.

    Attributes:
        schedule: of which.
        tick: when it was due.
        missed: whether it is to be passed over, for it is late and its schedule skips what was missed.
    """

    schedule: Schedule
    tick: float
    missed: bool


@dataclass(slots=True)
class _Entry:
    schedule: Schedule
    same: str
    since: float
    next: float | None


class Roster:
    """The recurring jobs of one scheduler.

    Args:
        broker: where they are kept, and their ticks.
        read: gives those of the code and of a file; raises where they cannot be.
        check: raises WrongSchedule where one of the store can never be enqueued here.
    """

    def __init__(
        self,
        broker: Broker,
        read: Callable[[], Sequence[Schedule]],
        check: Callable[[Schedule], None] = lambda _: None,
    ) -> None:
        self._broker = broker
        self._read = read
        self._check = check
        self._unsaved: Sequence[Schedule] = ()
        self._static: Mapping[str, Schedule] = {}
        self._entries: dict[str, _Entry] = {}
        self._published = False
        self.problems: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self._entries)

    def read_own(self) -> None:
        """Read those of the code and of the file. Raises ConfigurationError; then all stays as it was."""
        self._static = {schedule.name: schedule for schedule in self._read()}
        self._unsaved = [schedule for schedule in self._static.values() if schedule.persist]

    def save(self) -> bool:
        """Keep in the store what a file says of which it wants that: once each time that the file is read.

        So it stays there when it has left the file, and Ruby's dynamic scheduler fires it too. One that was disabled in
        the store stays so. True where the store has changed.
        """
        if not self._unsaved:
            return False
        changed = False
        stored = self._broker.schedules()
        for schedule in self._unsaved:
            there = stored.get(schedule.name)
            try:
                enabled = schedule.enabled and (there is None or from_json(schedule.name, there).enabled)
            except WrongSchedule:
                enabled = schedule.enabled
            body = as_json(replace(schedule, enabled=enabled))
            if body != there:
                self._broker.put_schedule(schedule.name, body)
                changed = True
        self._unsaved = ()
        return changed

    def unknown_to(self, holder: str) -> Sequence[str] | None:
        """Which of those of the code and of the file the scheduler that has the lock has not, or otherwise.

        None where it has not said yet what it has.
        """
        said = published(self._broker)
        if said is None or said.scheduler != holder:
            return None
        stored = self._broker.schedules()
        return [
            name
            for name, schedule in self._static.items()
            if schedule.is_on and name not in stored and _plain(encode(schedule)) != said.entries.get(name)
        ]

    def load(self, now: float) -> bool:
        """Know what recurs, and when each is next. What has changed is due from now on. Whether anything has."""
        known, there = self._known(), self._entries
        schedules = dict(self._static)
        problems = []
        for name, body in self._broker.schedules().items():
            try:
                schedules[name] = schedule = from_json(name, body)
            except WrongSchedule as wrong:
                schedules.pop(name, None)
                problems.append(f'The schedule "{name}" in the store cannot be: {wrong}')
                continue
            try:
                self._check(schedule)
            except WrongSchedule as wrong:
                problems.append(f'The schedule "{name}" in the store: {wrong}')
            if slip := misspelt(schedule):
                problems.append(f'The schedule "{name}" in the store: {slip}')
        self.problems = problems
        new = [name for name, schedule in schedules.items() if name not in there or there[name].schedule != schedule]
        fired = self._broker.last_fired(new)
        self._entries = {name: there[name] for name in schedules if name in there}
        for name in new:
            schedule = schedules[name]
            same = f"{schedule.same_rule}, {'on' if schedule.is_on else 'off'}"
            before, since = known.get(name, ("", now))
            since = since if before == same else now
            self._entries[name] = _Entry(schedule, same, since, _next(schedule, fired.get(name), since))
        return bool(new) or self._entries.keys() != there.keys() or not self._published

    def _known(self) -> Mapping[str, tuple[str, float]]:
        if self._entries:
            return {name: (entry.same, entry.since) for name, entry in self._entries.items()}
        before = published(self._broker)
        return before.rules if before is not None else {}

    def forget(self) -> None:
        """Another scheduler has the lock: what it publishes is true, and what is known here is not."""
        self._entries = {}
        self._published = False

    def publish(self, scheduler: str, now: float) -> None:
        """Have other processes see what recurs."""
        entries = {name: encode(schedule) for name, schedule in self._static.items()}
        rules = {name: (entry.same, entry.since) for name, entry in self._entries.items()}
        self._published = True
        publish(self._broker, Published(scheduler, now, entries, rules))

    @property
    def next_tick(self) -> float | None:
        """When the next one is due; None where none is."""
        return min((entry.next for entry in self._entries.values() if entry.next is not None), default=None)

    def due(self, now: float) -> Sequence[Due]:
        """Those that are due now, each once, however many of its ticks have passed."""
        found = []
        for entry in self._entries.values():
            if entry.next is None or entry.next > now:
                continue
            latest = entry.schedule.rule.before(now)
            tick = entry.next if latest is None else max(entry.next, latest)
            missed = now - tick > _ON_TIME and entry.schedule.missed == "skip"
            found.append(Due(entry.schedule, tick, missed))
        return sorted(found, key=lambda due: due.tick)

    def passed(self, name: str, tick: float) -> None:
        """This tick is over: the next one is waited for."""
        entry = self._entries[name]
        entry.next = entry.schedule.rule.after(tick)


def _plain(entry: Mapping[str, object]) -> object:
    """An entry as who published it has it, once it went through JSON."""
    return json.loads(json.dumps(entry, default=repr))


def _next(schedule: Schedule, last: float | None, since: float) -> float | None:
    if not schedule.is_on:
        return None
    first = schedule.rule.first_in if isinstance(schedule.rule, Every) else None
    if first is not None and (last is None or last < since):
        return since + first
    return schedule.rule.after(since if last is None else max(last, since))
