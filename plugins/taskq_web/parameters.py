"""The parameters of a request: what follows the question mark, and what a form sent.

Names of queues and workers come from anybody and need not be UTF-8; they travel as their bytes, percent-encoded, and
are read back as the broker wrote them. So a name is always in an address, never in a form's field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

__all__ = ["Parameters", "address", "plain"]

_MOST: Final = 5000
_NUMBER: Final = re.compile(r"[0-9]{1,15}")


class Parameters:
    """Names with their values, in order. What is not there is empty."""

    __slots__ = ("_values",)

    def __init__(self, text: str) -> None:
        """Read them.

        Raises:
            ValueError: there are thousands of them.
        """
        self._values: dict[str, list[str]] = {}
        for name, value in parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=_MOST):
            self._values.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def get(self, name: str, default: str = "") -> str:
        """The last value of this name."""
        return self._values.get(name, [default])[-1]

    def all(self, name: str) -> Sequence[str]:
        """Every value of this name."""
        return self._values.get(name, [])

    def number(self, name: str, default: int = 0) -> int:
        """The value as a number of 0 or more; what is none, is the default."""
        said = self.get(name)
        return int(said) if _NUMBER.fullmatch(said) else default


def address(root: str, path: str, parameters: Mapping[str, object]) -> str:
    """The address of a page of ours, below wherever we are mounted. Parameters that are None are left out."""
    said = [(name, str(value)) for name, value in parameters.items() if value is not None]
    query = urlencode(said, errors="surrogateescape")
    return quote(root, safe="/:@!$&'()*+,;=~") + path + (f"?{query}" if query else "")


def plain(text: str) -> str:
    """A text as it may stand in a field of a form: percent-encoded, so that it comes back byte for byte."""
    return quote(text, safe="", errors="surrogateescape")
