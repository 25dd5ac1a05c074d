"""What real Ruby left in Redis, and what is there now: loaded, read, made comparable, and compared key by key.

A recording differs from run to run in process ids, times, and the source lines of a backtrace; each is made the same by
a small function below. Whatever else differs must be stated by the test, as a value with its reason: `Differs`.
"""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, TypeVar

import redis

from tests.support.vectors import vector

Test = TypeVar("Test", bound=Callable[..., object])

REPLAYED: Final[dict[str, list[str]]] = {}
"""The tests that replay each vector, by its number; `replays` fills it."""


def replays(*numbers: str) -> Callable[[Test], Test]:
    """Say which vectors a test replays, so that none is forgotten (test_coverage.py)."""

    def keep(test: Test) -> Test:
        for number in numbers:
            REPLAYED.setdefault(number, []).append(test.__qualname__)
        return test

    return keep


# ---- states


@dataclass(frozen=True)
class Value:
    """What lies under a key. `data` is a tuple (list), a frozenset (set), a dict (hash, or sorted set) or a text."""

    kind: str
    data: Any
    expires: int | None = None


State: TypeAlias = dict[str, Value]


@dataclass(frozen=True)
class Differs:
    """What taskq leaves instead of what Ruby left, and why. `value` None: nothing."""

    value: Value | None
    why: str


def text_of(data: bytes | str) -> str:
    assert isinstance(data, bytes)  # the client decodes nothing
    return data.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def string(text: str, expires: int | None = None) -> Value:
    return Value("string", text, expires)


def listed(*items: str) -> Value:
    return Value("list", items)


def members(*items: str) -> Value:
    return Value("set", frozenset(items))


def table(**items: str) -> Value:
    return Value("hash", items)


def times(*seconds: int) -> Value:
    """The sorted set of the times for which jobs wait."""
    return Value("zset", {str(each): str(each) for each in seconds})


@dataclass(frozen=True)
class Recording:
    """A vector, its states as `State`s."""

    number: str
    raw: Mapping[str, Any]

    @property
    def before(self) -> State:
        return _state(self.raw["state_before"])

    @property
    def after(self) -> State:
        return _state(self.raw["state_after"])

    @property
    def states(self) -> dict[str, State]:
        """Every state by its name; the first and the last one as `before` and `after`, where none is called so."""
        between = {each["at"]: _state(each["keys"]) for each in self.raw.get("states") or ()}
        return {"before": self.before, "after": self.after, **between}

    @property
    def returned(self) -> dict[str, Any]:
        """What each call gave back, by its text; of several equal texts the last."""
        return {each["call"]: each["returned"] for each in self.raw["returns"]}

    @property
    def output(self) -> list[str]:
        """The lines that the processes printed."""
        output: str = self.raw["output"]
        return output.splitlines()

    def pushed(self, key: str) -> list[str]:
        """What was pushed to a list, in order."""
        return [
            _data(item) for command in self.raw["commands"] if command[:2] == ["rpush", key] for item in command[2:]
        ]


@functools.cache
def recording(number: str) -> Recording:
    return Recording(number, vector(number))


def _state(keys: Mapping[str, Mapping[str, Any]]) -> State:
    return {
        _key(name): Value(
            each["type"],
            {member: f"{float(score):.0f}" for member, score in each["value"]}
            if each["type"] == "zset"
            else _data(each["value"]),
            each.get("ttl"),
        )
        for name, each in keys.items()
    }


def _key(name: str) -> str:
    # A key that is no UTF-8 is recorded as the text of {'hex': ...}.
    return text_of(bytes.fromhex(ast.literal_eval(name)["hex"])) if name.startswith("{'hex'") else name


def _data(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"hex"}:
        return text_of(bytes.fromhex(value["hex"]))
    if isinstance(value, dict):
        return {_data(name): _data(one) for name, one in value.items()}
    if isinstance(value, list):
        return tuple(_data(one) for one in value)
    return value


# ---- Redis


def load(client: redis.Redis, state: State) -> None:
    """Make Redis hold exactly this."""
    client.flushall()
    for name, value in state.items():
        key = bytes_of(name)
        match value.kind:
            case "string":
                client.set(key, bytes_of(value.data), ex=value.expires)
            case "list":
                client.rpush(key, *map(bytes_of, value.data))
            case "set":
                client.sadd(key, *map(bytes_of, value.data))
            case "hash":
                client.hset(key, mapping={bytes_of(field): bytes_of(text) for field, text in value.data.items()})
            case "zset":
                client.zadd(key, {bytes_of(member): float(score) for member, score in value.data.items()})


def read(client: redis.Redis) -> State:
    """All that Redis holds."""
    state: State = {}
    for key in client.keys("*"):
        kind = text_of(client.type(key))
        seconds = int(client.ttl(key))
        state[text_of(key)] = Value(kind, _read(client, kind, key), seconds if seconds >= 0 else None)
    return state


def _read(client: redis.Redis, kind: str, key: bytes | str) -> Any:
    match kind:
        case "string":
            return text_of(client.get(key) or b"")
        case "list":
            return tuple(map(text_of, client.lrange(key, 0, -1)))
        case "set":
            return tuple(map(text_of, client.smembers(key)))
        case "hash":
            return {text_of(field): text_of(text) for field, text in client.hgetall(key).items()}
        case "zset":
            scored: Any = client.zrange(key, 0, -1, withscores=True)
            return {text_of(member): f"{score:.0f}" for member, score in scored}
    raise AssertionError(f"{key!r} is a {kind}")


# ---- what differs from run to run

EXCEPTIONS: Final = {
    "Boom": "tests.wire.jobs.Boom",
    "App::Boom": "tests.wire.jobs.App.Boom",
}
"""The application's exception classes, named as each language names them."""

_LOCK: Final = "pruning_dead_workers_in_progress"
_FENCE: Final = re.compile(r',"fence":"[0-9a-f]{16}:\d{4}"}$')


def pids_in(state: State) -> set[int]:
    """The process ids in a recorded state's ids of living workers. Those of invented workers have six digits."""
    return {int(pid) for pid in re.findall(r"\bvm:(\d{4,5}):", repr(state))}


def same_pid(text: str, pids: Iterable[int]) -> str:
    """`vm:12092:jobs` is `vm:PID:jobs`, and a child is `pid PID`."""
    for pid in pids:
        text = text.replace(f"vm:{pid}:", "vm:PID:")
    return re.sub(r"\bpid \d+", "pid PID", text)


def same_times(text: str) -> str:
    """Each form of a time (WIRE.md section 11) is that form without the time, its zone kept."""
    text = re.sub(r'"run_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"', '"run_at":"TIME Z"', text)
    text = re.sub(r'_at":"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d( [A-Z]+)?"', r'_at":"TIME\1"', text)
    text = re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([+-]\d\d:\d\d|Z)$", r"TIME\1", text)
    return re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ([+-]\d{4})$", r"TIME \1", text)


def same_backtrace(text: str) -> str:
    """Of each frame `file:line:in 'Class.method'` only the method."""
    mark = '"backtrace":'
    start = text.find(mark) + len(mark)
    if not text.startswith('{"failed_at"') or start < len(mark):
        return text
    frames, end = json.JSONDecoder().raw_decode(text, start)
    names = [re.sub(r"^.*:\d+:in [`'](?:.*\.)?(.*)'$", r"\1", frame) for frame in frames]
    return text[:start] + json.dumps(names) + text[end:]


def same_classes(text: str) -> str:
    """The application's exception classes as Python names them."""
    for ruby, python in EXCEPTIONS.items():
        text = text.replace(f'"exception":"{ruby}"', f'"exception":"{python}"')
    return text


def comparable(state: State, pids: Iterable[int]) -> State:
    """The state with all that differs from run to run made the same; a set is a frozenset."""
    pids = set(pids)

    def same(text: str) -> str:
        return same_classes(same_backtrace(same_times(same_pid(text, pids))))

    def same_in(data: Any) -> Any:
        if isinstance(data, dict):
            return {same(field): same(text) for field, text in data.items()}
        return tuple(map(same, data)) if isinstance(data, tuple) else same(data)

    found: State = {}
    for name, value in state.items():
        data = same_in(value.data)
        if value.kind == "set":
            data = frozenset(data)
        expires = value.expires
        if name.endswith(_LOCK) and expires is not None:
            assert 0 < expires <= 60, f"{name} expires in {expires} s"
            expires = 60
        found[same(name)] = Value(value.kind, data, expires)
    return found


def recorded(state: State) -> State:
    """A recorded state, comparable."""
    return comparable(state, pids_in(state))


LOOKING = ("looking", "history:days", "history:hours")
"""taskq's own keys that may be there once a worker looked for the dead, who samples the totals as well."""


def left(client: redis.Redis, *pids: int, namespace: str = "resque", own: Iterable[str] = LOOKING) -> State:
    """What is in Redis, comparable: without the fence of a record in hand, and without taskq's own keys.

    Args:
        client: where.
        pids: the process ids of taskq's own workers, on the host `vm`.
        namespace: whose keys.
        own: which of taskq's own keys (`NAMESPACE:taskq:`) may be there.
    """
    state = read(client)
    prefix = f"{namespace}:taskq:"
    there = {name.removeprefix(prefix) for name in state if name.startswith(prefix)}
    assert there <= set(own), f"more of taskq's own keys than {set(own)}: {there}"
    kept: State = {}
    for name, value in state.items():
        if name.startswith(prefix):
            continue
        if any(name.startswith(f"{namespace}:worker:vm:{pid}:") for pid in pids) and value.data.startswith("{"):
            assert _FENCE.search(value.data), f"no fence at the end of {value.data}"
            value = replace(value, data=_FENCE.sub("}", value.data))
        kept[name] = value
    return comparable(kept, pids)


def while_registered(worker: str) -> tuple[str, ...]:
    """taskq's own keys that are there while a worker is registered."""
    return (*LOOKING, "workers", f"token:{worker}", f"registration:{worker}")


# ---- comparing


def assert_same(found: State, wanted: State, differs: Mapping[str, Differs] | None = None) -> None:
    """Every key, type, value and time to live is the recorded one, but for the differences, which must be there."""
    expected = dict(wanted)
    for name, difference in (differs or {}).items():
        assert expected.get(name) != difference.value, f"{name} does not differ any more ({difference.why})"
        if difference.value is None:
            del expected[name]
        else:
            expected[name] = difference.value
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        if isinstance(value.data, tuple) and isinstance(found[name].data, tuple):
            for place, pair in enumerate(zip(found[name].data, value.data, strict=False)):
                assert pair[0] == pair[1], f"{name}, item {place}"
        assert found[name] == value, name


def changed(value: Value, *changes: tuple[int, str, str]) -> Value:
    """A list in which some items have another text in one place: (index, what it was, what it is)."""
    items = list(value.data)
    for index, old, new in changes:
        assert items[index].count(old) == 1, f"{old!r} in {items[index]!r}"
        items[index] = items[index].replace(old, new)
    return replace(value, data=tuple(items))
