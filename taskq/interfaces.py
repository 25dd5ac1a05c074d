"""Whether a plugin keeps its interface: that its methods take what they will be called with, and are async or not.

A type checker says it to who runs one. To the others a wrong signature would be a bare TypeError out of `enqueue`, or
out of a worker hours later; here it is said when the plugin is loaded, and of which method. What no checker says: a
method whose name is a letter off is nobody's, and would never be called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import lru_cache
from inspect import Parameter, Signature
from types import CodeType, FunctionType
from typing import Final, TypeAlias

from taskq.errors import nearest

__all__ = ["misfits", "misspelt", "refusal"]

_Call: TypeAlias = tuple[int, tuple[str, ...]]
"""How a method is called: how many arguments by position, and which by keyword."""

_OF_A_CALL: Final = (
    inspect.CO_VARARGS
    | inspect.CO_VARKEYWORDS
    | inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
    | inspect.CO_ITERABLE_COROUTINE
)
_UNKNOWN: Final = object()
"""A method of which only an instance knows what it is."""
_OF_A_CLASS: Final = (staticmethod, classmethod)
_NEAR: Final = 0.85
"""How alike two names are of which one is taken for the other misspelt: `wrap_enque` is, and `flushed` no `flush`."""


def misfits(made: object, interface: type) -> list[str]:
    """All that does not fit of what it defines of an interface, one sentence each without its stop.

    Args:
        made: the plugin; or the class of one, which is then not made.
        interface: what it has to keep: its functions say how they are called.
    """
    who = made.__qualname__ if isinstance(made, type) else type(made).__qualname__
    wrong = []
    for name, promised in vars(interface).items():
        given = getattr(made, name, None)
        if isinstance(promised, tuple) and isinstance(given, str):
            wrong.append(f'{who}.{name} is a text, and has to be a tuple: ("{given}",)')
        elif inspect.isfunction(promised) and not name.startswith("_") and _defines(made, name, interface):
            method = _of_instances(made, name) if isinstance(made, type) else given
            misfit = refusal(method, promised, method=True) if method is not _UNKNOWN else None
            if misfit is not None:
                wrong.append(f"{who}.{name} {misfit}")
    return wrong + misspelt(made, interface)


def misspelt(made: object, interface: type) -> list[str]:
    """What it defines that is nobody's and nearly the interface's own, as `misfits` says it.

    A helper is left alone: its name begins with an underscore, or its own class uses it, or it takes other things than
    what it would be taken for, or what that is is there too.

    Args:
        made: see `misfits`.
        interface: see `misfits`.
    """
    kind = made if isinstance(made, type) else type(made)
    missing = [name for name in vars(interface) if not name.startswith("_") and not _defines(made, name, interface)]
    strange = [name for name in dir(kind) if not name.startswith("_") and not hasattr(interface, name)]
    wrong = []
    for name in strange:
        given = inspect.getattr_static(kind, name, None)
        could_be = [each for each in missing if _could_be(given, getattr(interface, each))]
        near = nearest(name.removeprefix("on_"), could_be, cutoff=_NEAR) if could_be else None
        if near is not None and name not in _used_by(kind, interface):
            wrong.append(
                f"{kind.__qualname__}.{name} would never be used: call it {near}, or _{name} where it is a helper"
            )
    return wrong


def refusal(given: object, promised: Callable[..., object], *, method: bool) -> str | None:
    """Why this cannot be called as the interface says, as the end of a sentence; None where it can, or nobody knows.

    Args:
        given: what will be called: of a method the bound one.
        promised: the interface's function.
        method: whether the first parameter of `promised` is `self`.
    """
    if not callable(given):
        return f"is a {type(given).__name__}, and no method" if method else f"is a {type(given).__name__}"
    if _alike(given, promised):
        return None
    awaited = inspect.iscoroutinefunction(promised)
    plain = inspect.unwrap(given)
    if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        return "has a yield: when it is called, nothing in it is run"
    if inspect.iscoroutinefunction(plain) and not awaited:
        return "is an async def, and is called as a plain function"
    if awaited and inspect.isroutine(plain) and not inspect.iscoroutinefunction(plain):
        return "is awaited, and has to be an async def"
    asked, calls = _asked(promised, method)
    try:
        signature = inspect.signature(given)
    except (TypeError, ValueError):
        # One written in C may tell nobody; one written in Python has no place for `self`.
        return f"has no self, and is called with {asked}" if hasattr(given, "__func__") else None
    return None if _takes(signature, calls) else f"takes {_bare(signature)}, and is called with {asked}"


def _takes(signature: Signature, calls: tuple[_Call, ...]) -> bool:
    try:
        for count, keywords in calls:
            signature.bind(*[None] * count, **dict.fromkeys(keywords))
    except TypeError:
        return False
    return True


def _could_be(given: object, promised: object) -> bool:
    """Whether what a class has could be the interface's under another name: a method of what it takes, a like value."""
    if not inspect.isfunction(promised):
        return isinstance(given, type if promised is None else type(promised))
    plain = inspect.unwrap(given.__func__ if isinstance(given, _OF_A_CLASS) else given)  # type: ignore[arg-type]
    if not inspect.isfunction(plain):
        return False
    parameters = list(inspect.signature(plain).parameters.values())
    if not isinstance(given, staticmethod):
        parameters = parameters[1:]
    return _takes(Signature(parameters), _asked(promised, True)[1])


def _used_by(kind: type, interface: type) -> frozenset[str]:
    """The names that the functions of a class use, its bases' too but for the interface's."""
    functions = [
        member.__func__ if isinstance(member, _OF_A_CLASS) else member
        for base in kind.__mro__
        if base is not interface
        for member in vars(base).values()
    ]
    return frozenset(
        name
        for function in functions
        if inspect.isfunction(plain := inspect.unwrap(function))
        for name in _names_in(plain.__code__)
    )


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names_in(inner)


def _alike(given: object, promised: object) -> bool:
    """Whether these are a method and a function of the same parameters: the rule, in a tenth of `inspect`'s time."""
    function = getattr(given, "__func__", None) if inspect.ismethod(given) else None
    if not (inspect.isfunction(function) and inspect.isfunction(promised)):
        return False
    return not hasattr(function, "__wrapped__") and _shape(function) == _shape(promised)


def _shape(function: FunctionType) -> tuple[object, ...]:
    code = function.__code__
    return (
        code.co_flags & _OF_A_CALL,
        code.co_posonlyargcount,
        code.co_argcount,
        code.co_kwonlyargcount,
        code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount],
        len(function.__defaults__ or ()),
        set(function.__kwdefaults__ or ()),
    )


def _of_instances(made: type, name: str) -> object:
    """The method as an instance would have it, of a class of which there is none."""
    found = inspect.getattr_static(made, name)
    if inspect.isfunction(found):
        return found.__get__(object(), made)
    if isinstance(found, _OF_A_CLASS):
        return getattr(made, name)
    return _UNKNOWN


def _defines(made: object, method: str, interface: type) -> bool:
    """Whether it has this method, and not by having inherited what the interface itself does."""
    own = getattr(made if isinstance(made, type) else type(made), method, None)
    return (own is not None and own is not getattr(interface, method)) or method in getattr(made, "__dict__", ())


@lru_cache(maxsize=256)
def _asked(promised: Callable[..., object], method: bool) -> tuple[str, tuple[_Call, ...]]:
    """The parameters of an interface's function for people, and the ways in which it is called."""
    signature = inspect.signature(promised)
    if method:
        signature = signature.replace(parameters=[*signature.parameters.values()][1:])
    return _bare(signature), tuple(dict.fromkeys(_calls(signature)))


def _calls(signature: Signature) -> Iterator[_Call]:
    parameters = signature.parameters.values()
    by_place = [p for p in parameters if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    needed = sum(p.default is Parameter.empty for p in by_place)
    optional = tuple(p.name for p in by_place[needed:] if p.kind is Parameter.POSITIONAL_OR_KEYWORD)
    named = [p for p in parameters if p.kind is Parameter.KEYWORD_ONLY]
    keywords = tuple(p.name for p in named)
    yield needed, tuple(p.name for p in named if p.default is Parameter.empty)
    yield len(by_place), keywords
    yield needed, (*optional, *keywords)


def _bare(signature: Signature) -> str:
    """A signature without its types."""
    parameters = [parameter.replace(annotation=Parameter.empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=parameters, return_annotation=Signature.empty))
