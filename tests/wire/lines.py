"""Lines of logs, made comparable."""

from __future__ import annotations

import re

from tests.wire.recorded import EXCEPTIONS


def same_line(line: str) -> str:
    """A line without what differs from run to run; Ruby's version and exception class as taskq's."""
    line = re.sub(r"^\*\* \[\d\d:\d\d:\d\d \d{4}-\d\d-\d\d\] \d+: ", "** ", line)
    line = re.sub(r"\b(since|Forked|at|pid|child|Child|vm:)( ?)\d+", r"\1\2N", line)
    line = line.replace("resque-3.0.0:", "resque-3 taskq:")
    return line.replace("#<Boom:", f"#<{EXCEPTIONS['Boom']}:")


def told(lines: list[str]) -> list[str]:
    """The lines of a log, the same; what is said at each turn of an idle worker only once.

    That a child was forked its parent says at the same time as the child performs: here it always comes first.
    """
    found: list[str] = []
    for line in map(same_line, lines):
        if line.startswith("--") or line in {"long began", "began"}:  # the recording's own remarks, our jobs'
            continue
        place = len(found)
        while "Forked" in line and not found[place - 1].startswith("** got: "):
            place -= 1
        found.insert(place, line)
        for turn in (3, 2):
            if found[-turn:] == found[-2 * turn : -turn] and ("Waiting" in line or "Paused" in line):
                del found[-turn:]
    return found


def replaced(lines: list[str], old: list[str], new: list[str]) -> list[str]:
    """The lines with one run of them, which must be there once, replaced by another."""
    [place] = [place for place in range(len(lines)) if lines[place : place + len(old)] == old]
    return [*lines[:place], *new, *lines[place + len(old) :]]


STARTS = (
    ["** Registered signals"],
    [
        "** Starting worker vm:N:jobs",
        "** Registered signals",
        "** Jobs are performed in a child of its own each",
    ],
)
"""How a log begins where Ruby's worker was made by hand: then it does not say its id."""
