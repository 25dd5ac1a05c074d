"""Whose code a line of a traceback is in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

__all__ = ["first_of", "is_library"]

_LIBRARY: Final = re.compile(r"/(?:site-packages|dist-packages|gems|lib/(?:python|ruby)[\d.]*)/|^<(?:frozen|internal)")


def is_library(line: str) -> bool:
    """Whether it is a library's, by its path; else it is the application's."""
    return _LIBRARY.search(line) is not None


def first_of(lines: Sequence[str], most: int) -> Sequence[str]:
    """The first lines, the application's first: so many of them that its own line is there, else the libraries'.

    Args:
        lines: a traceback.
        most: how many at most.
    """
    own = [line for line in lines if not is_library(line)]
    return own[:most] or lines[:most]
