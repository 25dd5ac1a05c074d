"""Which arguments a serializer gives back as they were sent, and what to say of one that it does not.

For serializers, built in or a stranger's: each states what it carries, and this module finds the first value that is
something else, says where it is, and what to send instead. It encodes nothing and knows no serializer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import cast

from taskq.envelope import MAX_DEPTH
from taskq.errors import UnserializableArgument

__all__ = ["MAX_NESTING", "Carries", "carried", "lone_surrogate", "refusal"]

MAX_NESTING = MAX_DEPTH - 2
"""How deep lists and dicts may nest in one argument: the payload and the list of arguments stand around it."""


@dataclass(frozen=True, slots=True)
class Carries:
    """What a serializer gives back equal, of the same type.

    Lists and dicts of it are carried too. Types count exactly: a subclass would come back as its base.

    Attributes:
        serializer: its name as a sentence says it: `JSON`.
        leaves: the types of single values.
        keys: the types of a dict's keys.
        flaw: what is wrong with a value of one of these types, as `(what it is, advice)`; None where nothing is.
        elsewhere: the serializer that carries a type which this one does not, to be named in the advice.
    """

    serializer: str
    leaves: frozenset[type]
    keys: frozenset[type]
    flaw: Callable[[object, str], tuple[str, str] | None]
    elsewhere: Mapping[type, str] = field(default_factory=dict)


def carried(args: Sequence[object], carries: Carries) -> bool:
    """Whether these arguments have only types that are carried, and nest no deeper than they may.

    Quick, for it is asked of every call; it does not look for a flaw in a single value.
    """
    return _carried(args, carries.leaves, carries.keys, MAX_NESTING)


def _carried(values: Sequence[object], leaves: frozenset[type], keys: frozenset[type], depth: int) -> bool:
    for value in values:
        kind = type(value)
        if kind in leaves:
            continue
        if depth == 0:
            return False
        if kind is list:
            inner = cast("list[object]", value)
        elif kind is dict:
            mapping = cast("dict[object, object]", value)
            if not keys.issuperset(map(type, mapping)):
                return False
            inner = list(mapping.values())
        else:
            return False
        if not leaves.issuperset(map(type, inner)) and not _carried(inner, leaves, keys, depth - 1):
            return False
    return True


def refusal(
    job: str, names: Sequence[str], args: Sequence[object], carries: Carries, reason: str = ""
) -> UnserializableArgument:
    """The error that names the first value in these arguments that would not come back, and what to send instead.

    Args:
        job: the job's name.
        names: a name for each argument; those behind the last name are `args[3]`.
        args: the arguments; in a last `{"taskq:kw": {...}}` the keywords are the names.
        carries: what is carried.
        reason: what the encoder said, for the case that no value can be blamed.
    """
    for place, value in enumerate(args):
        name = names[place] if place < len(names) else f"args[{place}]"
        found = None
        if place == len(args) - 1 and type(value) is dict and list(value) == ["taskq:kw"]:
            keywords = value["taskq:kw"]
            if type(keywords) is dict:
                each = (_first_wrong(item, str(key), MAX_NESTING - 1, carries, ()) for key, item in keywords.items())
                found = next((wrong for wrong in each if wrong is not None), None)
        found = found or _first_wrong(value, name, MAX_NESTING, carries, ())
        if found is not None:
            return UnserializableArgument(job, found.path, found.kind, carries.serializer, found.advice)
    return UnserializableArgument(job, ", ".join(names), "value", carries.serializer, f"It says: {reason}.")


@dataclass(frozen=True, slots=True)
class _Wrong:
    path: str
    kind: str
    advice: str


def _first_wrong(value: object, path: str, depth: int, carries: Carries, around: tuple[int, ...]) -> _Wrong | None:
    kind = type(value)
    if kind in carries.leaves:
        flaw = carries.flaw(value, path)
        return _Wrong(path, *flaw) if flaw else None
    if kind is not list and kind is not dict:
        return _Wrong(path, kind.__name__, advice(value, path, carries))
    if id(value) in around:
        return _Wrong(path, f"{kind.__name__} that contains itself", "Send a copy without the circle.")
    if depth == 0:
        said = f"{kind.__name__} more than {MAX_NESTING} levels deep"
        return _Wrong(_short(path), said, "Send flatter data, or store it and send its key.")
    around = (*around, id(value))
    if kind is list:
        items = ((f"{path}[{place}]", item) for place, item in enumerate(cast("list[object]", value)))
    else:
        mapping = cast("dict[object, object]", value)
        for key in mapping:
            wrong = _wrong_key(key, path, carries)
            if wrong is not None:
                return wrong
        items = ((path + _step(key), item) for key, item in mapping.items())
    return next(
        (wrong for where, item in items if (wrong := _first_wrong(item, where, depth - 1, carries, around))), None
    )


def _wrong_key(key: object, path: str, carries: Carries) -> _Wrong | None:
    if type(key) not in carries.keys:
        kind = type(key).__name__
        article = "an" if kind[0] in "aeiouAEIOU" else "a"
        strings = "strings or integers" if int in carries.keys else "strings"
        return _Wrong(path, f"dict with {article} {kind} for a key", f"Make all its keys {strings}.")
    flaw = carries.flaw(key, "key")
    return _Wrong(path, f"dict with a key that is a {flaw[0]}", flaw[1]) if flaw else None


def _step(key: object) -> str:
    if isinstance(key, str) and key.isidentifier():
        return f".{_short(key)}"
    return f"[{_short(json.dumps(key, ensure_ascii=False) if isinstance(key, str) else repr(key))}]"


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most * 2 // 3]}...{text[-most // 6 :]}"


def lone_surrogate(text: str) -> bool:
    """Whether a string has half of a surrogate pair: no text, so that UTF-8 refuses it."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


# What to send in place of a type, the special before the general: an IntEnum is an int too, a datetime a date.
_INSTEAD = {
    "enum.Enum": "{}.value",
    "datetime.datetime": "{}.isoformat()",
    "datetime.date": "{}.isoformat()",
    "datetime.time": "{}.isoformat()",
    "datetime.timedelta": "{}.total_seconds()",
    "decimal.Decimal": "str({})",
    "fractions.Fraction": "str({})",
    "uuid.UUID": "str({})",
    "pathlib.PurePath": "str({})",
    "builtins.bytes": "base64.b64encode({}).decode()",
    "builtins.bytearray": "base64.b64encode({}).decode()",
    "builtins.tuple": "list({})",
    "builtins.set": "list({})",
    "builtins.frozenset": "list({})",
    "builtins.range": "list({})",
    "builtins.str": "str({})",
    "builtins.int": "int({})",
    "builtins.float": "float({})",
    "builtins.list": "list({})",
    "builtins.dict": "dict({})",
    "numpy.ndarray": "{}.tolist()",
    "numpy.generic": "{}.item()",
}


def advice(value: object, path: str, carries: Carries) -> str:
    """What to send in place of a value whose type is not carried, in a sentence."""
    names = {f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}" for kind in type(value).__mro__}
    form = next((form for name, form in _INSTEAD.items() if name in names), None)
    other = carries.elsewhere.get(type(value))
    another = f", or use the serializer {other}" if other else ""
    if form is not None:
        return f"Send {form.format(path)}{another}."
    if other:
        return f"Use the serializer {other}."
    # What has a key in some database is looked up again by the job, and is then as fresh as it can be.
    key = next((key for key in chain(("pk", "id")) if key in dir(type(value)) or key in _own(value)), None)
    if key is not None and not isinstance(value, type):
        return f"Send {path}.{key}, and look it up in the job."
    if hasattr(type(value), "__dataclass_fields__"):
        return f"Send dataclasses.asdict({path})."
    return "Send what it is made of: strings, numbers, booleans, None, and lists and dicts of these."


def _own(value: object) -> Sequence[str]:
    own = getattr(value, "__dict__", None)
    return tuple(own) if isinstance(own, dict) else ()
