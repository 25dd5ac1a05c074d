"""How the arguments of a call become the list that travels, and how that list becomes arguments again.

Keywords become positions where the signature allows. What can only be said by keyword travels as one last element,
`{"taskq:kw": {...}}`, for Ruby's requeue and Ruby's scheduler keep nothing of a payload but `class` and `args`.
This module knows signatures only: neither serializers, nor queues, nor how a job is called.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from taskq.errors import JobDefinitionError, WrongCall, nearest

__all__ = ["HIDDEN", "KEYWORDS", "Signature", "apart"]

KEYWORDS: Final = "taskq:kw"
"""The only key of the last element, where arguments travel by keyword."""

HIDDEN: Final = "[secret]"
"""What is shown in place of a secret argument."""

_PLAIN: Final = frozenset({type(None), bool, int, float, str})


class _Misfit(Exception):
    """The arguments do not fit; the message continues a sentence that begins with the job's name."""


class Signature:
    """What a job's function takes. Made once, when the job is defined; has no state.

    Args:
        job: the job's name, for errors.
        function: what is called.
        skip: how many leading parameters are not the caller's (`self` of a method looked up on its class).
    """

    __slots__ = (
        "_defaults",
        "_job",
        "_keyword_only",
        "_keyword_required",
        "_least",
        "_most",
        "_positional",
        "_positional_only",
        "_signature",
        "_var_keyword",
        "_var_positional",
    )

    def __init__(self, job: str, function: Callable[..., object], *, skip: int = 0) -> None:
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError) as error:
            raise JobDefinitionError(f"{job}: Python cannot tell the signature of {function!r} ({error}).") from error
        parameters = list(signature.parameters.values())[skip:]
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self._job = job
        self._signature = signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
        self._positional = tuple(p.name for p in positional)
        self._positional_only = sum(p.kind is p.POSITIONAL_ONLY for p in positional)
        self._defaults = {p.name: p.default for p in positional if p.default is not p.empty}
        self._keyword_only = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        self._keyword_required = frozenset(
            p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty
        )
        self._var_positional = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
        self._var_keyword = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
        # A call without keywords fits when its count lies between these two; where a keyword is required, none does.
        self._least = sys.maxsize if self._keyword_required else len(positional) - len(self._defaults)
        self._most = sys.maxsize if self._var_positional else len(positional)

    def __str__(self) -> str:
        """As it is shown to people: `(to: str, subject: str, body: str = '')`."""
        shown = [
            p.replace(annotation=_Bare(p.annotation)) if isinstance(p.annotation, str) else p
            for p in self._signature.parameters.values()
        ]
        return str(self._signature.replace(parameters=shown))

    @property
    def parameters(self) -> Sequence[inspect.Parameter]:
        """What it takes, in order, for a form that asks for it."""
        return tuple(self._signature.parameters.values())

    def bind(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> tuple[object, ...]:
        """The list that travels for this call.

        Raises:
            WrongCall: the arguments do not fit.
        """
        # 0.15 us against 1.7 us of inspect.Signature.bind: nearly every call goes this way.
        if not kwargs and self._least <= len(args) <= self._most:
            # Who really passes such a dict last gets it through as an argument, for an empty one follows it.
            marked = args and type(args[-1]) is dict and _keywords(args[-1]) is not None
            return (*args, {KEYWORDS: {}}) if marked else args
        try:
            return self._fit(args, kwargs)
        except _Misfit as misfit:
            raise WrongCall(self._job, str(misfit), str(self)) from None

    def unbind(self, args: tuple[object, ...]) -> tuple[tuple[object, ...], dict[str, object]]:
        """Positional and keyword arguments to call the function with, of a list that travelled.

        Raises:
            TypeError: they do not fit; whoever enqueued them knew another signature.
        """
        kwargs = _keywords(args[-1]) if args else None
        if kwargs is None:
            kwargs = {}
        else:
            args = args[:-1]
        if not kwargs and self._least <= len(args) <= self._most:
            return args, kwargs
        try:
            self._fit(args, kwargs)
        except _Misfit as misfit:
            raise TypeError(
                f"{self._job}() {misfit}. Signature here: {self._job}{self}. The payload was made for another one."
            ) from None
        return args, kwargs

    def _fit(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> tuple[object, ...]:
        if len(args) > self._most:
            raise _Misfit(f"takes {_counted(self._most)}, and was given {len(args)}")
        rest = dict(kwargs)
        for name in self._positional[self._positional_only : len(args)]:
            if name in rest:
                raise _Misfit(f'was given "{name}" twice, by position and by keyword')
        values = list(args)
        named: dict[str, object] = {}
        missing: list[str] = []
        skipped: list[object] | None = []  # defaults between the last value and here; None once one cannot be sent
        for place, name in enumerate(self._positional[len(args) :], start=len(args)):
            if place >= self._positional_only and name in rest:
                value = rest.pop(name)
                if skipped is None:
                    named[name] = value
                else:
                    values += [*skipped, value]
                    skipped = []
            elif name not in self._defaults:
                missing.append(name)
            elif skipped is not None:
                # A default is sent in its place so that what follows keeps its position, which is all that Ruby knows.
                # One that is no plain value (a sentinel, say) stays at home: what follows travels by keyword.
                default = self._defaults[name]
                skipped = [*skipped, default] if type(default) in _PLAIN else None
        for name in self._keyword_only:
            if name in rest:
                named[name] = rest.pop(name)
            elif name in self._keyword_required:
                missing.append(name)
        if rest and self._var_keyword is None:
            raise _Misfit(self._unknown(next(iter(rest))))
        if missing:
            raise _Misfit(f"misses the argument{'s' if len(missing) > 1 else ''} {_quoted(missing)}")
        named.update(rest)
        if named or (values and _keywords(values[-1]) is not None):
            values.append({KEYWORDS: named})
        return tuple(values)

    def _unknown(self, name: str) -> str:
        near = nearest(name, self._by_keyword)
        return f'has no argument "{name}"' + (f' (did you mean "{near}"?)' if near else "")

    @property
    def _by_keyword(self) -> tuple[str, ...]:
        return self._positional[self._positional_only :] + self._keyword_only

    def names(self, args: tuple[object, ...]) -> tuple[str, ...]:
        """A name for each element of a list that travels: the parameter's, or `args[3]` where there is none."""
        count = len(args)
        names = self._places(count)
        return (*names[:-1], KEYWORDS) if args and _keywords(args[-1]) is not None else names

    def _places(self, count: int) -> tuple[str, ...]:
        if count <= len(self._positional):
            return self._positional[:count]
        star = self._var_positional or "args"
        first = len(self._positional) if self._var_positional else 0
        return self._positional + tuple(f"{star}[{i - first}]" for i in range(len(self._positional), count))

    def named(self, args: tuple[object, ...]) -> dict[str, object]:
        """What a list that travelled gives each parameter, by name, and what it leaves out to a default.

        An element that has no parameter here is called as `names` calls it.
        """
        keywords = _keywords(args[-1]) if args else None
        placed = args if keywords is None else args[:-1]
        given = {**dict(zip(self._places(len(placed)), placed, strict=True)), **(keywords or {})}
        defaults = {p.name: p.default for p in self._signature.parameters.values() if p.default is not p.empty}
        ordered = [name for name in self._signature.parameters if name in given or name in defaults]
        return {name: given[name] if name in given else defaults[name] for name in dict.fromkeys([*ordered, *given])}

    def said(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, object]:
        """What a call says of each parameter, by name as in `named`; it need not be whole.

        Raises:
            WrongCall: no call can say that.
        """
        names = self._places(len(args))
        twice = [name for name in names if name in kwargs]
        unknown = [] if self._var_keyword is not None else [name for name in kwargs if name not in self._by_keyword]
        if len(args) > self._most:
            raise WrongCall(self._job, f"takes {_counted(self._most)}, and was given {len(args)}", str(self))
        if twice:
            raise WrongCall(self._job, f'was given "{twice[0]}" twice, by position and by keyword', str(self))
        if unknown:
            raise WrongCall(self._job, self._unknown(unknown[0]), str(self))
        return {**dict(zip(names, args, strict=True)), **kwargs}

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Those of the names that are no parameter of this signature."""
        known = {*self._positional, *self._keyword_only, self._var_positional, self._var_keyword}
        return [name for name in names if name not in known and self._var_keyword is None]

    def shown(self, args: tuple[object, ...], secret: frozenset[str]) -> tuple[object, ...]:
        """The list as it may be shown: each argument that is named in `secret` is `[secret]`."""
        if not secret:
            return args
        starred = self._var_positional in secret
        shown: list[object] = [
            HIDDEN if (self._positional[i] in secret if i < len(self._positional) else starred) else value
            for i, value in enumerate(args)
        ]
        keywords = _keywords(args[-1]) if args else None
        if keywords is not None:
            all_secret = self._var_keyword in secret
            shown[-1] = {
                KEYWORDS: {
                    name: HIDDEN if name in secret or (all_secret and name not in self._by_keyword) else value
                    for name, value in keywords.items()
                }
            }
        return tuple(shown)


class _Bare:
    """Shows the text of a postponed annotation without the quotes of a string."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def apart(args: tuple[object, ...]) -> tuple[tuple[object, ...], Mapping[str, object]]:
    """The list that travels, taken apart into what goes by position and what goes by keyword; nothing is checked."""
    keywords = _keywords(args[-1]) if args else None
    return (args, {}) if keywords is None else (args[:-1], keywords)


def _keywords(value: object) -> dict[str, object] | None:
    """What travels by keyword, where this is the last element that carries it."""
    if type(value) is dict and len(value) == 1:
        keywords = value.get(KEYWORDS)
        if type(keywords) is dict:
            return keywords
    return None


def _quoted(names: list[str]) -> str:
    quoted = [f'"{name}"' for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _counted(most: int) -> str:
    return "no arguments" if most == 0 else "1 argument" if most == 1 else f"at most {most} arguments"
