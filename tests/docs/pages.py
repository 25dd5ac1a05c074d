"""The pages of the documentation, and the fenced blocks, links and tables in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
DOCS: Final = ROOT / "docs"
PAGES: Final = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
EXAMPLES: Final = sorted((ROOT / "examples").rglob("*.md"))

_FENCE: Final = re.compile(r"^(?P<indent> *)```(?P<info>\S.*)?$")
_LINK: Final = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        page: the file it stands in.
        line: the number of its first line of text.
        language: the first word of its info string.
        words: the other words of it, those without a `=`.
        facts: those with one: `title="jobs.py"`, `not-run="..."`.
        text: what it holds.
    """

    page: Path
    line: int
    language: str
    text: str
    words: frozenset[str] = frozenset()
    facts: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT)) if page.is_relative_to(ROOT) else page.name


def blocks(page: Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").splitlines()
    place = 0
    while place < len(lines):
        opening = _FENCE.match(lines[place])
        place += 1
        if opening is None:
            continue
        first, indent = place, len(opening["indent"])
        while lines[place].strip() != "```":
            place += 1
        language, *info = shlex.split(opening["info"] or "") or [""]
        facts = dict(word.split("=", 1) for word in info if "=" in word)
        words = frozenset(word for word in info if "=" not in word)
        text = "".join(f"{line[indent:]}\n" for line in lines[first:place])
        yield Block(page, first + 1, language, text, words, facts)
        place += 1


def prose(page: Path) -> str:
    """The page without its fenced blocks, line by line as they stood."""
    kept, within = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if _FENCE.match(line) or line.strip() == "```":
            within = not within
            kept.append("")
        else:
            kept.append("" if within else line)
    return "\n".join(kept)


def links(page: Path) -> list[str]:
    return [found["target"] for found in _LINK.finditer(re.sub(r"`[^`]*`", "", prose(page)))]


def anchors(page: Path) -> set[str]:
    """What `#...` may name in a page: its headings, as GitHub writes them."""
    found = set()
    for line in prose(page).splitlines():
        if line.startswith("#"):
            title = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower().replace("`", ""))
            found.add(title.replace(" ", "-"))
    return found


def tables(page: Path) -> Iterator[list[list[str]]]:
    """Every table, its head first, a cell's text without the bars around it."""
    rows: list[list[str]] = []
    for line in [*prose(page).splitlines(), ""]:
        if line.startswith("|"):
            cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
            if not all(re.fullmatch(":?-+:?", cell) for cell in cells):
                rows.append(cells)
        elif rows:
            yield rows
            rows = []


def table(page: Path, *head: str) -> list[list[str]]:
    """The rows of the one table that begins with these headings."""
    [found] = [rows for rows in tables(page) if tuple(rows[0][: len(head)]) == head]
    return found[1:]


def coded(cell: str) -> Sequence[str]:
    """What stands in backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)
