"""Which names mean a secret, and values shown without what lies under such a name.

What is hidden is hidden by the name that it bears: a key of an object at any depth, or a job's parameter. This module
knows neither jobs nor where something is shown; `taskq.showing` puts both together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias, cast

__all__ = ["DEFAULT", "Hide", "Masks", "Quoted", "hidden", "strings"]

DEFAULT: Final = (
    "password", "passwd", "pwd", "passphrase", "secret", "token", "api_key", "access_key", "private_key",
    "secret_key", "authorization", "credential", "cookie", "session_id", "otp", "card_number", "cvv", "cvc",
    "pass", "passcode", "auth", "bearer", "jwt", "ssn",
)  # fmt: skip
"""The names under which a value is never shown, unless the configuration takes one out."""

Hide: TypeAlias = Callable[[str, object], object]
"""What to show in place of a value that this rule hides."""

_SUFFIX_LEAST: Final = 5  # letters of a rule that also hides `accesstoken`; shorter ones end too many other words
_KEPT: Final = 4096  # keys whose rule is remembered
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BETWEEN: Final = re.compile(r"[\W_]+")
# A quotation mark with the backslashes before it. It is looked for where they begin: of many each would be tried else.
_QUOTE: Final = re.compile(r"""(?<!\\)\\*["']""")
_ESCAPED: Final = re.compile(r"\\{1,32}u([0-9a-fA-F]{4})")
# As JSON and Python write it, or Ruby; or bare, as in `:token => 1`, `token: "..."` and `--token=...`. A bare name with
# a colon is what prose has too, `token: expired`: it counts where a text or an object follows.
_MEMBER: Final = re.compile(
    rf"""(?P<quote>{_QUOTE.pattern})(?P<name>(?:[^"'\\\n]|{_ESCAPED.pattern}){{1,200}})(?P=quote)\s*(?::|=>)\s*"""
    r"""|(?<![\w?&])(?<!\w-)(?P<bare>[^\W\d][\w-]{0,199})(?:\\*["'])?"""
    r"""(?:(?P<pair>[ ]?=[ ]?)(?![=>~\s])|\s*=>\s*|\s*:\s*(?=\\*["'])|\s*:\s+(?=[\[{])"""
    r"""|\s*:\s*(?=(?:Bearer|Basic)\s))"""
)
_NOTHING: Final = ("null", "None", "nil", '""', "''", "[]", "{}")
_PLAIN: Final = re.compile(r"""[^\s,(){}\[\]"'\\]+""")
# Behind `name=` a comma, an ampersand or a bracket may be of the value, but where the next pair or the end follows.
_PAIRED: Final = re.compile(r"""(?:[^\s,;&(){}\[\]"'\\]|[,;&)}\]](?!\s|$|[\w.%-]{1,40}=|[,;&(){}\[\]"'\\]))+""")
_HEADER: Final = re.compile(r"""(?:Bearer|Basic)\s+[^\s,;"'\\]+""")  # as HTTP has it: Authorization: Bearer ...
_DEPTH: Final = {"[": 1, "{": 1, "(": 1, "]": -1, "}": -1, ")": -1}
_REPR: Final = 1_000  # characters of a `<Secret ...>`; many that no `>` ends are not each looked through to the end
_PREFIX: Final = re.compile(r"""[bBrRuUfF]{1,2}(?=["'])""")
_PARAMETER: Final = re.compile(r"([?&])([\w.\[\]-]{1,100})=([^&\s#\"'<>\\]+)")
_CREDENTIALS: Final = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)([^\s/@:\"'<>]*):([^\s/@\"'<>]+)@")


@dataclass(frozen=True, slots=True)
class Quoted:
    """A value that was hidden within a text: in a JSON text that is an argument, be it whole or cut off.

    Attributes:
        text: what stands there, with its quotation marks and whatever is escaped.
        quote: the quotation mark of its name, with the backslashes before it; what stands for it has the same.
    """

    text: str
    quote: str

    @property
    def value(self) -> object:
        """What it says; its text where it was cut off, or is no JSON."""
        text, slashes = self.text, len(self.quote) - 1
        try:
            while slashes > 0:  # 1, 3, 7: each text around it has doubled them, and put one before the mark
                text, slashes = json.loads(f'"{text}"'), slashes // 2
            return json.loads(text)
        except (ValueError, TypeError, RecursionError):
            return self.said

    @property
    def said(self) -> str:
        """Its text without the quotation marks around it, and without a letter that Python writes before them."""
        prefix = _PREFIX.match(self.text)
        return self.text[prefix.end() if prefix is not None else 0 :].strip("\\\"'")


def hidden(rule: str, value: object) -> str:
    """What stands for a hidden value: `[secret: password]`, the rule being the name; `[secret]` where there is none."""
    return f"[secret: {rule}]" if rule else "[secret]"


class Masks:
    """The names that mean a secret.

    A name is found in a key however that is spelled: `api_key` in `apiKey`, `X-Api-Key`, `stripe_api_keys`.

    Args:
        names: names beside the default ones; `!name` says that this one, or a key of exactly this name, is shown.
    """

    __slots__ = ("_known", "_rules", "_shown")

    def __init__(self, names: Iterable[str] = ()) -> None:
        names = tuple(names)
        self._shown: Final = frozenset(_words(name[1:]) for name in names if name.startswith("!"))
        wanted = (*DEFAULT, *(name for name in names if not name.startswith("!")))
        self._rules: Final = {words: name for name in wanted if (words := _words(name)) and words not in self._shown}
        self._known: dict[str, str] = {}

    def rule(self, key: str) -> str:
        """The name that hides what lies under this key; empty where it is shown."""
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _KEPT:  # keys are a stranger's: there may be any number of them
                self._known.clear()
            found = self._known[key] = self._find(key)
        return found

    def _find(self, key: str) -> str:
        words = _words(key[:200])
        if words in self._shown:
            return ""
        for rule, name in self._rules.items():
            size = len(rule)
            if any(words[place : place + size] == rule for place in range(len(words) - size + 1)):
                return name
            joined = "".join(rule)
            if len(joined) >= _SUFFIX_LEAST and any(word.endswith(joined) for word in words):
                return name
        return ""

    def shown(self, value: object, hide: Hide = hidden) -> object:
        """The value with all that a rule hides replaced, at any depth, in texts too that have JSON in them.

        None and what is empty are nothing to hide.

        Args:
            value: what JSON or another serializer made: lists and dicts of anything.
            hide: what to show instead.
        """
        kind = type(value)
        if kind is dict:
            return {key: self._under(key, item, hide) for key, item in cast("dict[object, object]", value).items()}
        if kind is list or kind is tuple:
            return [self.shown(item, hide) for item in cast("Sequence[object]", value)]
        if kind is str and (":" in cast("str", value) or "=" in cast("str", value)):
            return self.text(cast("str", value), hide)
        return value

    def _without_credentials(self, text: str, hide: Hide) -> str:
        """A text without the passwords of the addresses in it, and without their parameters that mean a secret."""
        if "://" in text:
            text = _CREDENTIALS.sub(partial(_without_password, hide), text)
        if "=" not in text:
            return text

        def parameter(found: re.Match[str]) -> str:
            rule = self.rule(found[2])
            return f"{found[1]}{found[2]}={hide(rule, found[3])}" if rule else found[0]

        return _PARAMETER.sub(parameter, text)

    def text(self, text: str, hide: Hide = hidden) -> str:
        """A text without what stands behind a name that means a secret: be it JSON, cut off, or none but in part.

        So is what Python and Ruby write, `name=value`, and the parameters and passwords of addresses. It is looked
        through once, whatever is in it, and what is not hidden stays as it is, byte for byte.

        Args:
            text: what somebody wrote.
            hide: what to show instead of a `Quoted` value, or of a part of an address.
        """
        parts: list[str] = []
        done = 0
        for found in _MEMBER.finditer(text):
            rule = self.rule(_name_of(found)) if found.start() >= done else ""
            if not rule:
                continue
            ends = _value_end(text, found.end(), _PLAIN if found["pair"] is None else _PAIRED)
            said = text[found.end() : ends]
            if said and said.replace("\\", "") not in _NOTHING:
                quote = found["quote"] or ""
                parts += [text[done : found.end()], f"{quote}{hide(rule, Quoted(said, quote))}{quote}"]
                done = ends
        text = "".join(parts) + text[done:]
        return self._without_credentials(text, hide)

    def named(self, name: str, value: object, hide: Hide = hidden) -> object:
        """The value as it may be shown under this name."""
        return self._under(name, value, hide)

    def _under(self, key: object, value: object, hide: Hide) -> object:
        rule = self.rule(key) if isinstance(key, str) else ""
        if rule and value is not None and value != "" and value != [] and value != {}:
            return hide(rule, value)
        return self.shown(value, hide)


def _name_of(found: re.Match[str]) -> str:
    """The name that was found, with the letters that are escaped in it."""
    return found["bare"] or _ESCAPED.sub(lambda escaped: chr(int(escaped[1], 16)), found["name"])


def _value_end(text: str, start: int, plain: re.Pattern[str]) -> int:
    """Where a value ends that begins there: at its closing quote or bracket, at the end where it was cut off.

    A letter before the quote is of it, and a name before a parenthesis: b'...', Secret('...'), <Secret '...'>.
    """
    header = _HEADER.match(text, start)
    if header is not None:
        return header.end()
    place = start
    found = plain.match(text, start)
    if found is not None:
        place = found.end()
        if found[0].startswith("<"):
            return max(place, text.find(">", start, start + _REPR) + 1)
        prefix = _PREFIX.match(text, start)
        if text[place : place + 1] != "(" and (prefix is None or prefix.end() != place):
            return place
    quote = _QUOTE.match(text, place)
    if quote is not None:
        return _quote_end(text, quote.end(), quote[0])
    return _bracket_end(text, place) if text[place : place + 1] in {"[", "{", "("} else place


def _bracket_end(text: str, place: int) -> int:
    """Behind the bracket that closes the one that is there."""
    depth = 0
    while place < len(text):
        quote = _QUOTE.match(text, place)
        if quote is not None:
            place = _quote_end(text, quote.end(), quote[0])
            continue
        depth += _DEPTH.get(text[place], 0)
        place += 1
        if depth == 0:
            return place
    return len(text)


def _quote_end(text: str, place: int, quote: str) -> int:
    """Behind the next quotation mark that has just as many backslashes before it."""
    while True:
        found = text.find(quote[-1], place)
        if found < 0:
            return len(text)
        before = found
        while before > place and text[before - 1] == "\\":
            before -= 1
        slashes = found - before
        # Within a text of a text every backslash is doubled: an even number of them more are letters.
        if slashes == len(quote) - 1 or (len(quote) == 1 and slashes % 2 == 0):
            return found + 1
        place = found + 1


def _without_password(hide: Hide, found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}:{hide('password in a URL', found[3])}@"


def _words(key: str) -> tuple[str, ...]:
    """A key's words, in lower case, in the singular: `apiKeys` and `API-KEY` are both `api`, `key`."""
    spaced = _BETWEEN.sub(" ", _CAMEL.sub(" ", key)).casefold().split()
    return tuple(word.removesuffix("s") if len(word) > 3 else word for word in spaced)


def strings(value: object) -> Iterable[str]:
    """Every text and number within a value, as text."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, Quoted):
        yield value.said
        yield from strings(value.value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield str(value)
