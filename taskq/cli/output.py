"""What commands print: a table on a terminal, lines with tabs in a pipe, an object a line for programs.

Whatever is printed may come from a payload that a stranger wrote. So no control character reaches a terminal, and no
text is taken for markup.
"""

from __future__ import annotations

import json
import math
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import click

from taskq.operator import named

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

__all__ = [
    "Column",
    "Style",
    "as_json",
    "change",
    "complain",
    "count_of",
    "duration",
    "hint",
    "json_option",
    "on_terminal",
    "plain",
    "say",
    "show",
    "show_facts",
    "show_json",
    "table",
]

Style: TypeAlias = Literal["", "good", "doubtful", "bad", "dim", "name", "strong"]

_STYLES = {"": "", "good": "green", "doubtful": "yellow", "bad": "red", "dim": "dim", "name": "cyan", "strong": "bold"}
_GAP = 2  # cells between two columns
_LEAST = 8  # cells that a column keeps, however narrow the terminal
_LEAST_OF_ALL = 3  # where the table keeps to its width all the same
# They turn the direction of what follows, so that it reads as something else.
_TURNS_TEXT = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: its heading.
        right: whether its values stand at its right edge: numbers.
        cut: whether its values may be cut where the terminal is too narrow for them all. One that is wider than the
            whole terminal is cut in any case.
        style: how its values look.
        spare: whether it is left out where the terminal is too narrow for all; the last such column first.
        named: whether its values are names, which people are to see also where they are blank.
    """

    name: str
    right: bool = False
    cut: bool = False
    style: Style = ""
    spare: bool = False
    named: bool = False


json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with its schema.")
"""The option of every command that prints data; the command gets it as `as_json`."""


def on_terminal() -> bool:
    """Whether a person sees what is printed as it is."""
    return sys.stdout is not None and sys.stdout.isatty()


def say(*parts: str | tuple[str, Style]) -> None:
    """A line for people on standard output, in parts with a style each. It stays one line, whatever is in it."""
    click.echo("".join(plain(part) if isinstance(part, str) else _styled(*part) for part in parts))


def complain(text: str) -> None:
    """A line for people on standard error: what could not be done, or is odd. It stays one line, whatever is in it."""
    click.echo(plain(text), err=True)


def hint(text: str) -> None:
    """What to type next, where a person is there to type it. It never gets into a pipe."""
    if on_terminal():
        click.echo(_styled(text, "dim"), err=True)


def show(columns: Sequence[Column], rows: Iterable[Sequence[str]], *, always: bool = False) -> None:
    """A table on a terminal; elsewhere a line a row with tabs between the values, and no headings.

    Args:
        columns: its columns.
        rows: their values.
        always: a table everywhere: only people read this.
    """
    if not on_terminal() and not always:
        for row in rows:
            sys.stdout.write("\t".join(plain(value) for value in row) + "\n")
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    made, width = _made(columns, rows, console.width if on_terminal() else None)
    # Wider than the terminal, it is wrapped there; rich would leave out columns instead.
    console.width = max(console.width, width)
    console.print(made)


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]], width: int) -> Table:
    """A table that keeps to a width whatever that costs: for what redraws a terminal."""
    return _made(columns, rows, width, whole=False)[0]


def _made(
    columns: Sequence[Column], rows: Iterable[Sequence[str]], room: int | None, *, whole: bool = True
) -> tuple[Table, int]:
    """A table, and how wide it is; what may not be cut is whole where the terminal has a line for it alone."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table

    filled = [
        [_text(named(value) if column.named else value) for column, value in zip(columns, row, strict=True)]
        for row in rows
    ]
    wanted = [
        max([cell_len(column.name), *(cells[place].cell_len for cells in filled)])
        for place, column in enumerate(columns)
    ]
    if room is not None:
        # Of a name of 100 kB, a stranger's, there would be no more to see if it were whole: it wraps over all else.
        columns = [
            replace(column, cut=column.cut or width > room) for column, width in zip(columns, wanted, strict=True)
        ]
        kept = _kept(columns, wanted, room)
        columns, wanted = [columns[place] for place in kept], [wanted[place] for place in kept]
        filled = [[cells[place] for place in kept] for cells in filled]
    gaps = _GAP * (len(columns) - 1)
    widths = wanted if room is None else _fitted(wanted, [column.cut for column in columns], room - gaps)
    if room is not None and not whole:
        widths = _fitted(widths, [True] * len(columns), room - gaps, least=_LEAST_OF_ALL)
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for column, width in zip(columns, widths, strict=True):
        made.add_column(
            column.name,
            justify="right" if column.right else "left",
            style=_STYLES[column.style],
            no_wrap=True,
            overflow="ellipsis",
            width=width,
        )
    for cells in filled:
        made.add_row(*cells)
    return made, sum(widths) + gaps


def show_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Names and values, a line each: side by side on a terminal, with a tab between in a pipe."""
    facts = [(name, plain(value)) for name, value in facts]
    if not on_terminal():
        sys.stdout.writelines(f"{name}\t{value}\n" for name, value in facts)
        return
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        say((name.ljust(width), "strong"), f"  {value}")


def show_json(schema: str, record: Mapping[str, object]) -> None:
    """One object, on one line. Its first key says what it is: `taskq.queue/1`."""
    sys.stdout.write(f"{as_json({'schema': f'taskq.{schema}', **record})}\n")


def as_json(value: object) -> str:
    """JSON text in ASCII, which no encoding of a terminal or pipe harms. What JSON cannot carry is its `repr`."""
    return json.dumps(_carried(value), allow_nan=False)


def plain(text: str) -> str:
    """The text on one line, and without anything that a terminal would act on."""
    return text if text.isascii() and text.isprintable() else "".join(map(_harmless, text))


def duration(seconds: float) -> str:
    """A span of time, as short as a person needs it."""
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"


def change(number: float) -> str:
    """By how much something grows or shrinks: `+3`, `-2`, `0`."""
    whole = round(number)
    return f"{whole:+,}" if whole else "0"


def count_of(number: int, noun: str) -> str:
    """`1 job`, `3 jobs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _kept(columns: Sequence[Column], widths: Sequence[int], room: int) -> Sequence[int]:
    """The places of the columns that there is room for, those that may be cut as narrow as they get."""
    places = list(range(len(columns)))
    least = [min(width, _LEAST) if column.cut else width for column, width in zip(columns, widths, strict=True)]
    while sum(least[place] for place in places) + _GAP * (len(places) - 1) > room:
        spare = [place for place in places if columns[place].spare]
        if not spare:
            break
        places.remove(spare[-1])
    return places


def _fitted(widths: Sequence[int], cut: Sequence[bool], room: int, *, least: int = _LEAST) -> Sequence[int]:
    """The widths, of those columns that may be cut the widest made narrower, until they fit or each is the least."""
    fitted = list(widths)
    while sum(fitted) > room:
        places = [place for place, may in enumerate(cut) if may and fitted[place] > least]
        if not places:
            break
        fitted[max(places, key=lambda place: fitted[place])] -= 1
    return fitted


def _styled(text: str, style: Style) -> str:
    """Plain text in a style; without one where it goes into a pipe, which click sees to."""
    look = _STYLES[style]
    if look in {"dim", "bold"}:
        return click.style(plain(text), dim=look == "dim" or None, bold=look == "bold" or None)
    return click.style(plain(text), fg=look or None)


def _text(value: str) -> Text:
    from rich.text import Text

    return Text(plain(value))


def _harmless(char: str) -> str:
    if char in _TURNS_TEXT or unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}:
        return char.encode("unicode_escape", "surrogatepass").decode("ascii")
    return char


def _carried(value: object) -> object:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else repr(key): _carried(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_carried(item) for item in value]
    return repr(value)
