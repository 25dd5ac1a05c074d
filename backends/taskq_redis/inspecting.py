"""What Redis tells of itself and of the keys of one namespace: each look bounded, none of them a write.

It knows no queue and no worker: keys are what the server says they are. What the server refuses (a managed one has no
CONFIG, an old one no MEMORY) is left out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from taskq.inspection import Finding, KeyInfo, KeyPage, KeyValue, Section
from taskq_redis.errors import Answered
from taskq_redis.keys import from_bytes, to_bytes

__all__ = ["Ask", "diagnose", "key", "keys", "server"]

_LEAST: Final = (6, 2)
_SCANS: Final = 50  # of one page, at most: among many keys of others few of ours may lie
_SECONDS: Final = 0.02  # that one page may scan
_STRING: Final = 2 * 1024 * 1024  # bytes of a string that is shown; a part of one could not be masked
_FULL: Final = 0.9
_IMPORTANT: Final = (
    "redis_version", "valkey_version", "uptime_in_seconds", "connected_clients", "used_memory_human",
    "maxmemory_human", "maxmemory_policy", "instantaneous_ops_per_sec", "evicted_keys", "role", "aof_enabled",
    "rdb_last_bgsave_status",
)  # fmt: skip
_SIZES: Final = {"list": b"LLEN", "set": b"SCARD", "hash": b"HLEN", "zset": b"ZCARD", "string": b"STRLEN"}
_GLOB: Final = re.compile(rb"[*?\[\]\\^-]")


class Ask(Protocol):
    """Sends commands, which change nothing, and gives the answers, errors among them."""

    def __call__(self, *commands: Sequence[bytes]) -> Sequence[Any]: ...


# ---- the server


def server(ask: Ask) -> Sequence[Section]:
    """The sections of INFO, and before them the figures that matter first."""
    sections = _info(ask)
    facts = {name: value for section in sections.values() for name, value in section.items()}
    important = tuple((name, facts[name]) for name in _IMPORTANT if name in facts)
    if not important:
        return ()
    return (Section("important", important), *(Section(name, tuple(of.items())) for name, of in sections.items()))


def _info(ask: Ask) -> Mapping[str, Mapping[str, str]]:
    (answer,) = ask((b"INFO",))
    sections: dict[str, dict[str, str]] = {}
    if isinstance(answer, bytes):
        current: dict[str, str] = {}
        for line in answer.decode(errors="backslashreplace").splitlines():
            if line.startswith("#"):
                current = sections.setdefault(line.strip("# ").casefold(), {})
            elif ":" in line:
                name, _, value = line.partition(":")
                current[name] = value
    return {name: facts for name, facts in sections.items() if facts}


def diagnose(ask: Ask) -> Sequence[Finding]:
    """Whether the server is new enough, keeps what it has, and throws nothing away."""
    sections = _info(ask)
    facts = {name: value for section in sections.values() for name, value in section.items()}
    if not facts:
        return (Finding("warning", "redis", "Redis does not tell its figures (INFO is refused).", "Allow INFO."),)
    answers = ask((b"CONFIG", b"GET", b"save"))
    save = answers[0][1].decode() if isinstance(answers[0], list) and len(answers[0]) > 1 else None
    return (_version(facts), _eviction(facts), *_memory(facts), *_persistence(facts, save), *_role(facts))


def _version(facts: Mapping[str, str]) -> Finding:
    name = "Valkey" if "valkey_version" in facts else "Redis"
    version = facts.get("valkey_version", facts.get("redis_version", "?"))
    numbers = tuple(int(part) for part in re.findall(r"\d+", facts.get("redis_version", "0"))[:2])
    if numbers < _LEAST:
        return Finding("error", "version", f"{name} {version} is too old: taskq needs 6.2.", "Upgrade it.")
    return Finding("ok", "version", f"{name} {version}.")


def _eviction(facts: Mapping[str, str]) -> Finding:
    policy, bound = facts.get("maxmemory_policy", "noeviction"), facts.get("maxmemory", "0") != "0"
    if policy == "noeviction":
        return Finding("ok", "eviction", "Redis throws no keys away when it is full (noeviction).")
    advice = "CONFIG SET maxmemory-policy noeviction, and in redis.conf too. A cache wants a Redis of its own."
    if bound:
        return Finding("error", "eviction", f"When it is full, Redis throws queues and jobs away ({policy}).", advice)
    said = f"Were its memory bounded, Redis would throw queues and jobs away ({policy}); it is not bounded."
    return Finding("warning", "eviction", said, advice)


def _memory(facts: Mapping[str, str]) -> Sequence[Finding]:
    used, most = _number(facts.get("used_memory")), _number(facts.get("maxmemory"))
    if not most:
        return ()
    share = f"{used / most:.0%} of {facts.get('maxmemory_human', most)}"
    if used < _FULL * most:
        return (Finding("ok", "memory", f"Redis uses {share}."),)
    return (
        Finding("error", "memory", f"Redis is nearly full: {share}.", "Raise maxmemory, or see which keys are large."),
    )


def _persistence(facts: Mapping[str, str], save: str | None) -> Sequence[Finding]:
    found: list[Finding] = []
    for name, what in (("rdb_last_bgsave_status", "snapshot"), ("aof_last_write_status", "write to its log")):
        if facts.get(name, "ok") != "ok":
            advice = "Is its disk full? Its own log says why."
            found.append(Finding("error", "persistence", f"The last {what} of Redis failed.", advice))
    advice = "CONFIG SET appendonly yes, and in redis.conf too: then a second is lost at most."
    if facts.get("aof_enabled") == "1":
        found.append(Finding("ok", "persistence", "Redis keeps a log (appendonly): a second is lost at most."))
    elif save:
        said = f"Redis keeps snapshots alone (save {save}): where it dies, all since the last one is lost."
        found.append(Finding("warning", "persistence", said, advice))
    elif save is None:
        said = "Redis keeps no log (appendonly); whether it keeps snapshots it does not say."
        found.append(Finding("warning", "persistence", said, advice))
    else:
        found.append(Finding("error", "persistence", "Redis keeps nothing: where it dies, every job is lost.", advice))
    return found


def _role(facts: Mapping[str, str]) -> Sequence[Finding]:
    if facts.get("role", "master") == "master":
        return ()
    advice = f"Connect to its master, {facts.get('master_host', '?')}:{facts.get('master_port', '?')}."
    return (Finding("error", "role", "This Redis is a replica, which takes no jobs.", advice),)


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else 0


# ---- its keys


def keys(ask: Ask, prefix: bytes, cursor: str, count: int) -> KeyPage:
    """About so many keys that begin with a prefix, and where to go on; see `Broker.keys`."""
    at = _cursor(cursor)
    pattern = _GLOB.sub(lambda found: b"\\" + found[0], prefix) + b"*"
    found: dict[bytes, None] = {}
    ends = time.monotonic() + _SECONDS
    for _ in range(_SCANS):
        (answer,) = ask((b"SCAN", b"%d" % at, b"MATCH", pattern, b"COUNT", b"%d" % max(count, 10)))
        if isinstance(answer, Answered):
            raise answer
        at = int(answer[0])
        found.update(dict.fromkeys(answer[1]))
        if at == 0 or len(found) >= count or time.monotonic() > ends:
            break
    return KeyPage(tuple(_described(ask, list(found))), str(at) if at else "")


def _described(ask: Ask, names: Sequence[bytes]) -> Sequence[KeyInfo]:
    if not names:
        return ()
    types = [_type(answer) for answer in ask(*((b"TYPE", name) for name in names))]
    there = [(name, type_) for name, type_ in zip(names, types, strict=True) if type_ != "none"]
    commands: list[Sequence[bytes]] = []
    for name, type_ in there:
        size = _SIZES.get(type_)
        commands += [(size, name) if size else (b"TYPE", name), (b"MEMORY", b"USAGE", name), (b"PTTL", name)]
    answers = ask(*commands) if commands else ()
    return [
        KeyInfo(
            from_bytes(name),
            type_,
            _integer(answers[3 * place]),
            _integer(answers[3 * place + 1]),
            _expiry(answers[3 * place + 2]),
        )
        for place, (name, type_) in enumerate(there)
    ]


def key(ask: Ask, prefix: bytes, name: str, cursor: str, count: int) -> KeyValue | None:
    """A part of what a key holds; see `Broker.key`."""
    whole, at = to_bytes(name), _cursor(cursor)
    if not whole.startswith(prefix):
        return None
    described = _described(ask, [whole])
    if not described:
        return None
    (info,) = described
    first, last = b"%d" % at, b"%d" % (at + count - 1)
    match info.type:
        case "list":
            (answer,) = ask((b"LRANGE", whole, first, last))
            return _by_place(info, [(one,) for one in _values(answer)], at, count)
        case "zset":
            (answer,) = ask((b"ZRANGE", whole, first, last, b"WITHSCORES"))
            return _by_place(info, _pairs(_values(answer)), at, count)
        case "set" | "hash":
            command = b"SSCAN" if info.type == "set" else b"HSCAN"
            (answer,) = ask((command, whole, first, b"COUNT", b"%d" % count))
            if not isinstance(answer, list):  # it has changed its type meanwhile
                return KeyValue(info, (), "")
            further, members = int(answer[0]), answer[1]
            items = [(one,) for one in members] if info.type == "set" else _pairs(members)
            return KeyValue(info, tuple(items), str(further) if further else "")
        case "string":
            if (info.size or 0) > _STRING:
                return KeyValue(info, ((b"[%d bytes: too long to be shown]" % (info.size or 0),),), "")
            (answer,) = ask((b"GET", whole))
            return KeyValue(info, ((answer,),) if isinstance(answer, bytes) else (), "")
        case _:
            return KeyValue(info, (), "")


def _by_place(info: KeyInfo, items: Sequence[tuple[bytes, ...]], at: int, count: int) -> KeyValue:
    more = len(items) == count and (info.size or 0) > at + count
    return KeyValue(info, tuple(items), str(at + count) if more else "")


def _values(answer: Any) -> list[bytes]:
    return list(answer) if isinstance(answer, list) else []


def _pairs(flat: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _cursor(text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise ValueError(f'"{text[:60]}" is no cursor of keys.')
    return int(text or 0)


def _type(answer: Any) -> str:
    # A RESP3 connection and a fake give text where others give bytes.
    return answer.decode() if isinstance(answer, bytes) else str(answer)


def _integer(answer: Any) -> int | None:
    return answer if isinstance(answer, int) else None


def _expiry(answer: Any) -> float | None:
    return answer / 1000 if isinstance(answer, int) and answer >= 0 else None
