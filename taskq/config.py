"""The configuration: one record, from the call or the command's options, the environment, a file, and the defaults.

The earlier wins, a setting at a time. All that is wrong is said at once, each mistake with the place it came from. This
module reads and checks; it connects to no broker and imports no application, and loads a backend only to say what is
wrong with its address where something else is wrong already.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from taskq import plugins, queue_lists
from taskq.errors import ConfigurationError, Problem, nearest
from taskq.spans import is_seconds
from taskq.urls import redacted

__all__ = ["DEFAULT", "ONE_FOR_ALL", "Config", "Count", "Table", "for_worker", "load", "parse_toml"]

DEFAULT: Final = "default"
"""The source of a setting that nobody set."""

ONE_FOR_ALL: Final = frozenset(
    {
        "broker", "namespace", "app", "serializer", "accept", "hooks", "failure_handlers", "max_payload", "failed_max",
        "mask", "inline", "debug", "pidfile", "graceful_term",
    }
)  # fmt: skip
"""What concerns the application, or the process that supervises: all groups of a pool have it in common."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many workers there are: between two numbers, by what waits in their queues, or always as many."""

    least: int = 1
    most: int = 1

    @property
    def is_range(self) -> bool:
        """Whether their number may change."""
        return self.least != self.most

    def __str__(self) -> str:
        return f"{self.least}-{self.most}" if self.is_range else str(self.least)


@dataclass(frozen=True, slots=True)
class Table:
    """What a pool's file says of one group, and the place where it does: `pool.toml [group.mail]`."""

    place: str
    settings: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that can be set. Durations are seconds, sizes bytes.

    Attributes:
        broker: the URL of the broker, one of Resque's short forms, a client object, or a `Broker`. It may hold a
            password, so it is left out of the representation.
        namespace: what sets this application's data apart in the broker.
        app: modules to import, or `module:name` of a `TaskQ` in one.
        queues: names, patterns and `!exclusions`, in order of priority (see `taskq.queue_lists.parse`); where the order
            is weighted, each may end with its weight: `mail=5`.
        order: at which queue a worker looks first: as the list has them, by their weights, at each in turn, or at any.
        count: how many workers one supervisor runs; given as a number, or as a text, `2-8`, between which they grow and
            shrink by what waits.
        interval: how long a worker waits between two looks at most, beneath the wake-up.
        burst: whether a worker stops when a reserve finds nothing; an interval of 0 says the same.
        verbose: 0 quiet, 1 Resque's `*** ` lines, 2 the `** [time] pid:` ones.
        execution: where a job is performed: in a child of its own; in the worker's process; in one of its threads; on
            its event loop; in a fresh interpreter. `threads=8` says two settings with one word, this one and `at_once`;
            and so does `async`, in a file.
        at_once: how many jobs one process performs at once, in threads or on an event loop; each is a worker of its
            own at the broker. 1 where jobs are performed otherwise.
        jobs_per_fork: how many jobs a child performs before the next one takes over.
        recycle_at_mib: the resident mebibytes past which a child is replaced after its job; None for any.
        prefetch: how many jobs a worker may hold at once; 1 is strict.
        on_crash: what becomes of jobs that do not say when their process dies: the failed list, or their queue again.
        unknown: what becomes of jobs that are not registered here: the failed list, or, for an hour at most, back to be
            taken later by a worker that knows them (`release`): while a deploy rolls.
        timeout_grace: what a job is given to end by itself once it went over its time limit, before it is killed.
        shutdown_timeout: what TERM and INT give the job in hand; 0 is Resque's way, which kills at once.
        beat: how long between two heartbeats.
        dead_after: the silence after which others may take a worker's jobs. Where it is not set, it follows from the
            execution model and the beat.
        host: the host part of a worker's id; None is the host's own name.
        health_file: what a worker touches at each turn that the broker answered.
        pidfile: where a worker writes its process id.
        retry: whether a worker waits for a broker that is away at its start.
        debug: whether commands show tracebacks.
        serializer: the name of the one that encodes arguments.
        accept: the names of those that a worker reads.
        hooks: their names, the outermost first; in a call also hooks themselves.
        failure_handlers: their names, in the order in which they are asked; in a call also handlers themselves.
        max_payload: the most bytes that a payload may have.
        failed_max: how many entries a failed list keeps; None keeps all.
        mask: names under which arguments are not shown, beside the usual ones (see `taskq.masks`); `!name` shows one.
        inline: whether `enqueue` performs the job at once instead.
        term_child: Resque's TERM_CHILD: TERM and INT are handed to the child as TERM, then KILL.
        graceful_term: Resque's GRACEFUL_TERM: TERM is QUIT.
        term_timeout: what TERM_CHILD gives the child between TERM and KILL.
        pre_shutdown_timeout: what TERM_CHILD waits before TERM.
        procline_prefix: what goes before a process title.
        run_at_exit_hooks: whether a child ends by way of the interpreter's `atexit` functions.
        notices: what a person should know and need not mend, a line each.
        sources: where each setting's value came from, as a person would find it: `--interval`, `INTERVAL`,
            `pyproject.toml [tool.taskq] interval`, `interval=...` of a call, or `default`.
    """

    broker: object = field(default="redis://localhost:6379/0", repr=False)
    namespace: str = "resque"
    app: tuple[str, ...] = ()
    queues: tuple[str, ...] = ("*",)
    order: Literal["strict", "weighted", "round-robin", "random"] = "strict"
    count: Count = Count()
    interval: float = 5.0
    burst: bool = False
    verbose: int = 0
    execution: Literal["fork", "inline", "threads", "async", "spawn"] = "fork"
    at_once: int = 1
    jobs_per_fork: int = 1
    recycle_at_mib: int | None = None
    prefetch: int = 1
    on_crash: Literal["fail", "requeue"] = "fail"
    unknown: Literal["fail", "release"] = "fail"
    timeout_grace: float = 5.0
    shutdown_timeout: float = 8.0
    beat: float = 5.0
    dead_after: float = 25.0
    host: str | None = None
    health_file: Path | None = None
    pidfile: Path | None = None
    retry: bool = True
    debug: bool = False
    serializer: str = "json"
    accept: tuple[str, ...] = ("json",)
    hooks: tuple[object, ...] = ()
    failure_handlers: tuple[object, ...] = ("broker",)
    max_payload: int = 1024 * 1024
    failed_max: int | None = None
    mask: tuple[str, ...] = ()
    inline: bool = False
    term_child: bool = False
    graceful_term: bool = False
    term_timeout: float = 4.0
    pre_shutdown_timeout: float = 0.0
    procline_prefix: str = ""
    run_at_exit_hooks: bool = False
    notices: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)

    def source(self, setting: str) -> str:
        """Where a setting's value came from, for a message that is about it."""
        return self.sources.get(setting, DEFAULT)


def load(
    *,
    call: Mapping[str, object] | None = None,
    options: Mapping[str, object] | None = None,
    worker: bool = False,
    group: Table | None = None,
    environ: Mapping[str, str] | None = None,
    start: Path | None = None,
) -> Config:
    """The configuration, from everywhere. What is None is not given, in a call and in an option alike.

    Args:
        call: settings given in code, by name.
        options: settings given on the command line, by name; they win over the call. Only those that were given: an
            empty tuple too counts as not given, a False does not.
        worker: whether to read Resque's variables of a worker (QUEUE, COUNT, VERBOSE, ...). Only a worker does: other
            programs have a COUNT of their own.
        group: what a pool's file says of the group that the worker is of; it wins over all others, and its queues and
            their number come from there alone.
        environ: the environment; None is the process's.
        start: the folder from which a file is looked for, upwards; None is the working directory.

    Raises:
        ConfigurationError: all that is wrong, with its places.
    """
    environ = os.environ if environ is None else environ
    reading = _Reading()
    # The last to be read wins, so the weakest comes first.
    _read_file(reading, Path.cwd() if start is None else start)
    _read_environment(reading, environ, worker=worker)
    _read_given(reading, call or {}, lambda name: f"{name}=...", options=False)
    _read_given(reading, options or {}, _option, options=True)
    if group is not None:
        _read_group(reading, group)
    if "queues" in reading.values:  # an empty variable that somebody overruled is nobody's mistake
        empty = {variable for variable in ("QUEUE", "QUEUES") if not environ.get(variable)}
        reading.problems = [one for one in reading.problems if one.source not in empty]
    values = _completed(reading)
    if reading.problems:
        _check_broker(reading)
        _check_plugins(reading)
        raise ConfigurationError(reading.problems)
    sources = {name: reading.sources.get(name, DEFAULT) for name in _SETTINGS}
    return Config(**values, notices=tuple(reading.notices), sources=MappingProxyType(sources))


def for_worker(
    config: Config,
    options: Mapping[str, object] | None = None,
    *,
    group: Table | None = None,
    environ: Mapping[str, str] | None = None,
    start: Path | None = None,
) -> Config:
    """The configuration of a worker for an application that has one: what its calls set, and the command's options.

    Raises:
        ConfigurationError: all that is wrong, with its places.
    """
    if config.sources:
        said = [name for name, source in config.sources.items() if source.endswith("=...")]
    else:  # made by hand, so that nobody noted what was said: all that is not the default
        default = Config()
        said = [name for name in _SETTINGS if getattr(config, name) != getattr(default, name)]
    call = {name: getattr(config, name) for name in said}
    return load(call=call, options=options, worker=True, group=group, environ=environ, start=start)


class _Wrong(Exception):
    """A value that cannot be; the message says what it must be."""


@dataclass(frozen=True, slots=True)
class _Setting:
    """How a setting is read.

    Attributes:
        read: makes a value of what was given, the flag telling whether that is text (environment, command line).
            Raises `_Wrong`.
        option: what the command line calls it; empty where it is `--` and its name.
        variable: what the environment calls it; empty where it is `TASKQ_` and its name, or Resque's variables say it.
    """

    read: Callable[[object, bool], object]
    option: str = ""
    variable: str | None = None


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def take(self, name: str, value: object, source: str, *, text: bool) -> None:
        try:
            self.values[name] = _SETTINGS[name].read(value, text)
        except _Wrong as wrong:
            self.problems.append(Problem(name, source, str(wrong)))
            self.values.pop(name, None)
        self.sources[name] = source

    def unknown(self, name: str, source: str, among: Collection[str] | None = None) -> None:
        among = {*_SETTINGS, *_MODELS} if among is None else among
        near = f'execution = "{name}"' if name in ("fork", "spawn") else nearest(name, among)
        meant = f" Did you mean {near}?" if near else ""
        known = "" if near else f" Known: {', '.join(sorted(among))}."
        self.problems.append(Problem(name, source, f'there is no setting "{name}".{meant}{known}'))


# ---- reading one value


def _shown(value: object) -> str:
    """A value for a message. Even one that went into the wrong setting shows no password."""
    text = repr(redacted(value)) if isinstance(value, str) and "://" in value else repr(value)
    if not isinstance(value, str) and "://" in text:
        return f"this {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _truth(value: object, text: bool) -> bool:
    if isinstance(value, bool):
        return value
    if text and isinstance(value, str):
        folded = value.strip().casefold()
        if folded in {"1", "true", "yes", "on"}:
            return True
        if folded in {"0", "false", "no", "off"}:
            return False
    raise _Wrong(
        f"must be {'true or false (also 1, 0, yes, no, on, off)' if text else 'true or false'}, not {_shown(value)}."
    )


def _whole(least: int, unit: str, most: int | None = None) -> Callable[[object, bool], int]:
    def read(value: object, text: bool) -> int:
        number: object = value
        if text and isinstance(value, str):
            number = int(value) if re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", value) else None
        if (
            not isinstance(number, int)
            or isinstance(number, bool)
            or number < least
            or (most is not None and number > most)
        ):
            range_ = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise _Wrong(f"must be a whole number {unit}{range_}, not {_shown(value)}.")
        return number

    return read


def _count(value: object, text: bool) -> Count:
    if isinstance(value, Count):
        return value
    if isinstance(value, str) and (ends := re.fullmatch(r"\s*([0-9]{1,18})\s*-\s*([0-9]{1,18})\s*", value)):
        least, most = int(ends[1]), int(ends[2])
        if not 1 <= least <= most:
            raise _Wrong(f"must be a range from 1 or more to as many or more, such as 2-8, not {_shown(value)}.")
        return Count(least, most)
    try:
        number = _whole(1, "")(value, text)
    except _Wrong:
        raise _Wrong(f"must be a whole number of at least 1, or a range such as 2-8, not {_shown(value)}.") from None
    return Count(number, number)


def _seconds(*, zero: bool) -> Callable[[object, bool], float]:
    def read(value: object, text: bool) -> float:
        number = value
        if text and isinstance(value, str):
            with contextlib.suppress(ValueError):
                number = float(value)
        if not is_seconds(number, zero=zero):
            from_ = ", 0 or more" if zero else " above 0"
            raise _Wrong(f"must be a number of seconds{from_}, a century at most, not {_shown(value)}.")
        return float(number)

    return read


def _string(value: object, text: bool) -> str:
    if not isinstance(value, str):
        raise _Wrong(f"must be a text, not {_shown(value)}.")
    return value


def _name(value: object, text: bool) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _Wrong(f"must be a name, not {_shown(value)}.")
    return value.strip()


def _path(value: object, text: bool) -> Path:
    if not isinstance(value, (str, os.PathLike)) or not (path := os.fspath(value)) or not isinstance(path, str):
        raise _Wrong(f"must be the path of a file, not {_shown(value)}.")
    return Path(path)


def _listed(value: object) -> list[object]:
    """The entries of a list, which may be a text with commas between them."""
    if isinstance(value, str):
        return [entry for part in value.split(",") if (entry := part.strip())]
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return list(value)
    raise _Wrong(f"must be a list, or a text with commas between its entries, not {_shown(value)}.")


def _names(value: object, text: bool) -> tuple[str, ...]:
    entries = _listed(value)
    for entry in entries:
        if not isinstance(entry, str) or not entry.strip():
            raise _Wrong(f"must be a list of names; {_shown(entry)} is none.")
    return tuple(dict.fromkeys(str(entry).strip() for entry in entries))


def _some_names(value: object, text: bool) -> tuple[str, ...]:
    found = _names(value, text)
    if not found:
        raise _Wrong("must have at least one entry; it is empty.")
    return found


def _plugins(value: object, text: bool) -> tuple[object, ...]:
    """Names of plugins; in a call, which is the only place that can, plugins themselves too."""
    entries = _listed(value)
    found: list[object] = []
    for entry in entries:
        if isinstance(entry, type):
            raise _Wrong(f"must be a list of names of plugins, or plugins: give {entry.__name__}(), not the class.")
        if entry == "" or (not isinstance(entry, str) and type(entry).__module__ in {"builtins", "datetime"}):
            raise _Wrong(f"must be a list of names of plugins; {_shown(entry)} is none.")
        if any(entry is known or (isinstance(entry, str) and entry == known) for known in found):
            raise _Wrong(f"must name each plugin once; {_shown(entry)} is there twice.")
        found.append(entry)
    return tuple(found)


def _one_of(*choices: str) -> Callable[[object, bool], str]:
    def read(value: object, text: bool) -> str:
        if value not in choices:
            near = nearest(value, choices) if isinstance(value, str) else None
            meant = f" Did you mean {near}?" if near else ""
            raise _Wrong(f"must be {', '.join(choices[:-1])} or {choices[-1]}, not {_shown(value)}.{meant}")
        return str(value)

    return read


def _verbosity(value: object, text: bool) -> int:
    return int(value) if isinstance(value, bool) else _whole(0, "", 2)(value, text)


def _broker(value: object, text: bool) -> object:
    # The value stays out of the message: it may hold a password.
    if isinstance(value, str) and not value.strip():
        raise _Wrong("must be the address of a broker, such as redis://localhost:6379/0; it is empty.")
    if isinstance(value, (bool, int, float, bytes, bytearray, list, tuple, dict)):
        raise _Wrong(
            "must be the address of a broker, such as redis://localhost:6379/0, a client object, or a Broker, "
            f"not of type {type(value).__name__}."
        )
    return value.strip() if isinstance(value, str) else value


def _apps(value: object, text: bool) -> tuple[str, ...]:
    found = _names(value, text)
    for entry in found:
        module, colon, name = entry.partition(":")
        if not all(part.isidentifier() for part in module.split(".")) or (colon and not name.isidentifier()):
            path = posixpath.normpath(entry.removesuffix(".py")).strip("/").replace("/", ".")
            fits = all(part.isidentifier() for part in path.split("."))
            better = f" Did you mean {path}?" if fits and path != entry else ""
            raise _Wrong(
                f"must be a module such as shop.jobs, or module:name of a TaskQ in it, not {_shown(entry)}.{better}"
            )
    return found


def _queue_list(value: object, text: bool) -> tuple[str, ...]:
    if not (entries := _listed(value)) or any(entry == "" for entry in entries):
        raise _Wrong("Please give each worker at least one queue. To serve all that there are: *")
    found = _names(value, text)
    try:
        queue_lists.parse(found)
    except ConfigurationError as error:
        raise _Wrong(error.problems[0].message) from None
    return found


def _host(value: object, text: bool) -> str:
    host = _name(value, text)
    if re.search(r"[:,\s]", host):
        raise _Wrong(
            f"must be a host name without colon, comma or space, being part of the worker's id; not {_shown(value)}."
        )
    return host


_AT_ONCE_MOST: Final = 1000  # each is a thread and a registered worker

_SETTINGS: Final[Mapping[str, _Setting]] = {
    "broker": _Setting(_broker),
    "namespace": _Setting(_string),
    "app": _Setting(_apps),
    "queues": _Setting(_queue_list, option="--queue", variable=""),
    "order": _Setting(_one_of("strict", "weighted", "round-robin", "random")),
    "count": _Setting(_count, variable=""),
    "interval": _Setting(_seconds(zero=True), variable=""),
    "burst": _Setting(_truth),
    "verbose": _Setting(_verbosity, variable=""),
    "execution": _Setting(_one_of("fork", "inline", "threads", "async", "spawn"), option="--inline", variable=""),
    "at_once": _Setting(_whole(1, "", _AT_ONCE_MOST), variable=""),
    "jobs_per_fork": _Setting(_whole(1, "of jobs, ")),
    "recycle_at_mib": _Setting(_whole(1, "of mebibytes, ")),
    "prefetch": _Setting(_whole(1, "of jobs, ", most=1000)),
    "on_crash": _Setting(_one_of("fail", "requeue")),
    "unknown": _Setting(_one_of("fail", "release")),
    "timeout_grace": _Setting(_seconds(zero=False)),
    "shutdown_timeout": _Setting(_seconds(zero=True)),
    "beat": _Setting(_seconds(zero=False)),
    "dead_after": _Setting(_seconds(zero=False)),
    "host": _Setting(_host),
    "health_file": _Setting(_path),
    "pidfile": _Setting(_path, variable=""),
    "retry": _Setting(_truth, option="--no-retry"),
    "debug": _Setting(_truth),
    "serializer": _Setting(_name),
    "accept": _Setting(_some_names),
    "hooks": _Setting(_plugins),
    "failure_handlers": _Setting(_plugins),
    "max_payload": _Setting(_whole(1, "of bytes, ")),
    "failed_max": _Setting(_whole(1, "of entries, ")),
    "mask": _Setting(_names),
    "inline": _Setting(_truth),
    "term_child": _Setting(_truth, variable=""),
    "graceful_term": _Setting(_truth, variable=""),
    "term_timeout": _Setting(_seconds(zero=True), variable="RESQUE_TERM_TIMEOUT"),
    "pre_shutdown_timeout": _Setting(_seconds(zero=True), variable="RESQUE_PRE_SHUTDOWN_TIMEOUT"),
    "procline_prefix": _Setting(_string, variable="RESQUE_PROCLINE_PREFIX"),
    "run_at_exit_hooks": _Setting(_truth, variable=""),
}

_VARIABLES: Final[Mapping[str, str]] = {
    variable: name
    for name, setting in _SETTINGS.items()
    if (variable := f"TASKQ_{name.upper()}" if setting.variable is None else setting.variable)
} | {"TASKQ_THREADS": "threads", "TASKQ_ASYNC": "async"}

_MODELS: Final = ("threads", "async")
"""What says `execution` and `at_once` with one word, wherever settings are said: `--threads 8`, `threads = 8`."""

_SAY_MODEL: Final = (*_MODELS, "execution")

# Resque's variables of a worker that say one setting in their own words. Of one setting the last that is set wins.
_WORKER_TEXTS: Final = {
    "QUEUE": "queues",
    "QUEUES": "queues",
    "COUNT": "count",
    "INTERVAL": "interval",
    "PIDFILE": "pidfile",
}
# Those that count as set whatever they hold, even nothing (WIRE.md sections 13 and 14).
_WORKER_FLAGS: Final[Mapping[str, tuple[str, object]]] = {
    "LOGGING": ("verbose", 1),
    "VERBOSE": ("verbose", 1),
    "VVERBOSE": ("verbose", 2),
    "TERM_CHILD": ("term_child", True),
    "GRACEFUL_TERM": ("graceful_term", True),
    "RUN_AT_EXIT_HOOKS": ("run_at_exit_hooks", True),
}
_FAILURE_BACKENDS: Final = {"redis": "broker", "redis_multi_queue": "multi_queue"}
_PLUGINS: Final = {
    "serializer": plugins.SERIALIZERS,
    "accept": plugins.SERIALIZERS,
    "hooks": plugins.HOOKS,
    "failure_handlers": plugins.FAILURE_HANDLERS,
}
_NEEDLESS: Final = ("MIN_INTERVAL", "MAX_INTERVAL", "BACKOFF_INTERVAL")


def _option(name: str) -> str:
    setting = _SETTINGS.get(name)
    return setting.option if setting is not None and setting.option else f"--{name.replace('_', '-')}"


# ---- reading one place


def _read_given(reading: _Reading, given: Mapping[str, object], place: Callable[[str], str], *, options: bool) -> None:
    def where(name: str, value: object) -> str:
        return "--spawn" if options and (name, value) == ("execution", "spawn") else place(name)

    places = {name: where(name, value) for name, value in given.items() if value is not None}
    _check_one_model(reading, places, given)
    for name, value in given.items():
        if name not in _SETTINGS and name not in _MODELS:
            reading.unknown(name, place(name))
        elif value is not None and not (options and value == ()):
            _take(reading, name, value, places[name], text=options)


def _take(reading: _Reading, name: str, value: object, source: str, *, text: bool) -> None:
    """Take a setting, or the two that one word says."""
    if name in _MODELS:
        reading.take("execution", name, source, text=text)
        reading.take("at_once", value, source, text=text)
    else:
        reading.take(name, value, source, text=text)


def _check_one_model(reading: _Reading, places: Mapping[str, str], values: Mapping[str, object]) -> None:
    """Of those who say the same thing in one place, none wins: it would be a guess."""
    named = {
        name if name in _MODELS else str(values[name]): place for name, place in places.items() if name in _SAY_MODEL
    }
    if len(named) > 1:
        both = " and ".join(named.values())
        reading.problems.append(
            Problem("execution", both, "these name two execution models. A worker has one: leave one of them out.")
        )


def _read_group(reading: _Reading, group: Table) -> None:
    for name in ("queues", "count"):
        reading.values.pop(name, None)
        reading.sources.pop(name, None)
    for key, value in group.settings.items():
        name, source = key.replace("-", "_"), f"{group.place} {key}"
        if name == "inline":
            better = 'A worker that performs in its own process: execution = "inline".'
            reading.problems.append(Problem(name, source, f"is about enqueue, not about workers. {better}"))
        elif name in ONE_FOR_ALL:
            message = "all groups have it in common. Say it by the command, the environment, or in taskq.toml."
            reading.problems.append(Problem(name, source, message))
        elif name not in _SETTINGS and name not in _MODELS:
            reading.unknown(name, source, {*_SETTINGS, *_MODELS} - ONE_FOR_ALL)
        else:
            _take(reading, name, value, source, text=False)
    named = {key.replace("-", "_"): value for key, value in group.settings.items()}
    _check_one_model(reading, {name: f"{group.place} {name}" for name in named}, named)
    if "queues" not in {key.replace("-", "_") for key in group.settings}:
        message = 'a group says which queues it serves: queues = ["mail", "*"].'
        reading.problems.append(Problem("queues", group.place, message))


def _read_environment(reading: _Reading, environ: Mapping[str, str], *, worker: bool) -> None:
    """An empty variable is one that is not set, but for QUEUE and those that count as set whatever they hold."""
    if environ.get("REDIS_URL"):
        reading.take("broker", environ["REDIS_URL"], "REDIS_URL", text=True)
    if worker:
        _read_worker_variables(reading, environ)
    given = {variable: name for variable, name in _VARIABLES.items() if environ.get(variable)}
    models = {name: variable for variable, name in given.items()}
    if reading.sources.get("execution") == "TASKQ_SPAWN":
        models["execution"] = "TASKQ_SPAWN"
    _check_one_model(reading, models, {"execution": "spawn"})
    for variable, name in given.items():
        _take(reading, name, environ[variable], variable, text=True)
    for variable in environ:
        # The dashboard's own begin with its name, and it reads them itself.
        elsewhere = variable == "TASKQ_SPAWN" or variable.startswith("TASKQ_WEB_")
        if variable.startswith("TASKQ_") and variable not in _VARIABLES and not elsewhere:
            near = nearest(variable.removeprefix("TASKQ_"), [known.removeprefix("TASKQ_") for known in _VARIABLES])
            if near is not None:
                reading.notices.append(f"{variable} is not a setting of taskq. Did you mean TASKQ_{near}?")


def _read_worker_variables(reading: _Reading, environ: Mapping[str, str]) -> None:
    for variable, name in _WORKER_TEXTS.items():
        # Resque's own workers refuse an empty QUEUE too: who sets it meant some queues, and would be given all.
        if environ.get(variable) or (name == "queues" and variable in environ and not _says_queues(environ)):
            reading.take(name, environ[variable], variable, text=True)
    for variable, (name, value) in _WORKER_FLAGS.items():
        if variable in environ:
            reading.take(name, value, variable, text=False)
    if environ.get("FORK_PER_JOB") == "false":
        reading.take("execution", "inline", "FORK_PER_JOB", text=True)
    if environ.get("TASKQ_SPAWN"):
        try:
            if _truth(environ["TASKQ_SPAWN"], True):
                reading.take("execution", "spawn", "TASKQ_SPAWN", text=True)
        except _Wrong as wrong:
            reading.problems.append(Problem("execution", "TASKQ_SPAWN", str(wrong)))
    if chosen := environ.get("FAILURE_BACKEND"):
        if chosen in _FAILURE_BACKENDS:
            reading.take("failure_handlers", (_FAILURE_BACKENDS[chosen],), "FAILURE_BACKEND", text=False)
        else:
            message = f"must be {' or '.join(_FAILURE_BACKENDS)}, not {_shown(chosen)}."
            reading.problems.append(Problem("failure_handlers", "FAILURE_BACKEND", message))
    if set_in_vain := [variable for variable in _NEEDLESS if environ.get(variable)]:
        verb = "has" if len(set_in_vain) == 1 else "have"
        reading.notices.append(
            f"{', '.join(set_in_vain)} {verb} no effect: a worker is woken when a job comes. "
            "INTERVAL says how long it waits between two looks at most."
        )
    if environ.get("BACKGROUND"):
        reading.problems.append(
            Problem(
                "background",
                "BACKGROUND",
                "taskq worker does not put itself into the background. Leave that to a service manager "
                "(systemd, supervisord, a container), which also restarts it, and unset BACKGROUND.",
            )
        )


def _says_queues(environ: Mapping[str, str]) -> bool:
    return any(environ.get(variable) for variable, name in _WORKER_TEXTS.items() if name == "queues")


def _read_file(reading: _Reading, start: Path) -> None:
    """The nearest folder upwards that has a taskq.toml, or a pyproject.toml with a table for taskq, says it all."""
    start = start.absolute()
    for folder in (start, *start.parents):
        own = _toml(reading, folder / "taskq.toml", start)
        shared = _toml(reading, folder / "pyproject.toml", start)
        tools = shared.get("tool") if shared is not None else None
        table = tools.get("taskq") if isinstance(tools, dict) else None
        if own is not None:
            if table is not None:
                place = _place(folder / "pyproject.toml", start)
                reading.notices.append(f"{place} [tool.taskq] is not read, for there is a taskq.toml beside it.")
            _read_table(reading, own, f"{_place(folder / 'taskq.toml', start)} ")
            return
        if table is not None:
            _read_table(reading, table, f"{_place(folder / 'pyproject.toml', start)} [tool.taskq] ")
            return


def _read_table(reading: _Reading, table: object, place: str) -> None:
    if not isinstance(table, dict):
        reading.problems.append(Problem("", place.strip(), f"must be a table, not {_shown(table)}."))
        return
    named = {key.replace("-", "_"): key for key in table}
    _check_one_model(
        reading, {name: place + key for name, key in named.items()}, {name: table[key] for name, key in named.items()}
    )
    for name, key in named.items():
        if name not in _SETTINGS and name not in _MODELS:
            reading.unknown(name, place + key)
        else:
            _take(reading, name, table[key], place + key, text=False)


def _toml(reading: _Reading, path: Path, start: Path) -> dict[str, Any] | None:
    """What a file says; None where it is not there, or cannot be read, which is noted as a problem."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        reading.problems.append(Problem("", _place(path, start), f"cannot be read: {error.strerror}."))
        return None
    if path.name == "pyproject.toml" and b"taskq" not in data:
        return None  # spares most projects a parse, and us their mistakes
    try:
        return parse_toml(data, _place(path, start))
    except ConfigurationError as error:
        reading.problems += error.problems
        return None


def parse_toml(data: bytes, place: str) -> dict[str, Any]:
    """What a file of TOML says.

    Raises:
        ConfigurationError: it is none.
    """
    import tomllib

    try:
        return tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError([Problem("", place, f"is no TOML: {error}.")]) from None


def _place(path: Path, start: Path) -> str:
    return path.name if path.parent == start else str(path)


# ---- what follows from several settings


def _check_broker(reading: _Reading) -> None:
    """Say what is wrong with the broker's address too, which otherwise shows when it is opened: all at once."""
    broker = reading.values.get("broker")
    if isinstance(broker, str):
        try:
            plugins.open_broker(broker, place=reading.sources.get("broker", DEFAULT)).close()
        except ConfigurationError as error:
            reading.problems += error.problems


def _check_plugins(reading: _Reading) -> None:
    """Say which plugins are not there, which otherwise shows when they are first needed: all at once."""
    for name, namespace in _PLUGINS.items():
        named = reading.values.get(name, ()) if name in reading.sources else ()
        wanted = [named] if isinstance(named, str) else [one for one in named if isinstance(one, str)]
        reading.problems += plugins.missing(namespace, wanted, source=reading.sources.get(name, DEFAULT))


def _check_weights(reading: _Reading) -> None:
    """Weights mean something in one order only."""
    queues: Sequence[str] = reading.values.get("queues", ())
    source = reading.sources.get("queues", DEFAULT)
    if reading.values.get("order") == "weighted":
        try:
            queue_lists.parse(queues, weighted=True, source=source)
        except ConfigurationError as error:
            reading.problems += error.problems
    elif forgotten := queue_lists.weighted_looking(queues):
        reading.notices.append(
            f"{source}: {', '.join(forgotten)}: taken as a queue's name. Weights are read with --order weighted only."
        )


def _check_children(reading: _Reading) -> None:
    """Say which settings of children mean nothing where there are none, or each performs one job.

    Who says both in one place wants what cannot be had, which is refused; else the model's place wins, as ever.
    """
    values = reading.values
    defaults = Config()
    needless = [
        name
        for name in ("jobs_per_fork", "recycle_at_mib")
        if values.get(name, getattr(defaults, name)) != getattr(defaults, name)
    ]
    if values.get("execution", defaults.execution) == "fork":
        if values.get("jobs_per_fork", 1) == 1 and "recycle_at_mib" in needless:
            reading.notices.append(
                f"{reading.sources['recycle_at_mib']}: every child performs one job and is replaced then; "
                "it means something with --jobs-per-fork."
            )
        return
    spawned = "each interpreter performs one job and is replaced then"
    why = spawned if values["execution"] == "spawn" else "there is no child to replace"
    for name in needless:
        source, model = reading.sources[name], reading.sources.get("execution", DEFAULT)
        if _said_together(source, model):
            message = f"cannot be had with {model}: {why}. Leave one of them out."
            reading.problems.append(Problem(name, source, message))
        else:
            reading.notices.append(f"{source}: means nothing, for {why} ({model}).")
        values[name] = getattr(defaults, name)


def _said_together(one: str, other: str) -> bool:
    """Whether two sources are one command, or one table of one file: whoever wrote one had the other in view."""
    if one.startswith("--"):
        return other.startswith("--")
    table = one.rpartition(" ")[0]
    return bool(table) and table == other.rpartition(" ")[0]


def _completed(reading: _Reading) -> dict[str, Any]:
    """The values, with those that follow from others. Notes the problems that several make together."""
    values = reading.values
    defaults = Config()
    beat: float = values.get("beat", defaults.beat)
    if "dead_after" not in values:
        # A parent that forked goes on beating while a job computes. In one interpreter a job can hold up the heartbeat.
        silence = 300.0 if values.get("execution") in {"inline", *_MODELS} else 25.0
        values["dead_after"] = max(silence, 5 * beat)
    elif values["dead_after"] <= 2 * beat:
        message = (
            f"must be more than two beats, or living workers are taken for dead: "
            f"it is {values['dead_after']:g} s, and a beat is {beat:g} s ({reading.sources.get('beat', DEFAULT)})."
        )
        reading.problems.append(Problem("dead_after", reading.sources["dead_after"], message))
    _check_weights(reading)
    if values.get("execution") in _MODELS:
        if "at_once" not in values and not any(problem.setting == "at_once" for problem in reading.problems):
            message = f"needs to know how many jobs at once: write {values['execution']} = 8 instead, say."
            reading.problems.append(Problem("execution", reading.sources["execution"], message))
    elif "at_once" in values:
        if "execution" not in values:
            message = "says how many jobs threads or an event loop perform at once; write threads = 8 instead, say."
            reading.problems.append(Problem("at_once", reading.sources["at_once"], message))
        values["at_once"] = defaults.at_once  # a weaker place named a model with many
    _check_children(reading)
    if values.get("interval") == 0 and "burst" not in values:
        values["burst"] = True
        reading.sources["burst"] = reading.sources["interval"]
    if "accept" not in values:
        serializer = values.get("serializer", defaults.serializer)
        values["accept"] = tuple(dict.fromkeys((serializer, *defaults.accept)))
    return values
