"""Reads a page as a browser would: its elements, its text, what could run."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = frozenset({"meta", "link", "input", "br", "rect", "hr", "line", "path", "polyline", "circle", "img"})


@dataclass
class Page(HTMLParser):
    """What a page is made of.

    Attributes:
        elements: each start tag with its attributes.
        words: the text that is shown.
        problems: what a strict policy forbids, or what is not closed as it was opened.
    """

    html: str
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    words: str = ""
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[str] = []
        self.feed(self.html)
        self.close()
        if self._open:
            self.problems.append(f"never closed: {self._open}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.elements.append((tag, found))
        if len(found) != len(attrs):
            self.problems.append(f"<{tag}> has an attribute twice: {attrs}")
        for name, value in found.items():
            if name.startswith("on") or name == "style":
                self.problems.append(f"<{tag} {name}={value!r}>")
            if name in {"href", "src", "action", "formaction"} and not value.startswith(("/", "#", "?")):
                self.problems.append(f"<{tag} {name}={value!r}> leads elsewhere")
        if tag == "script" and not found.get("src", "").endswith(".js"):
            self.problems.append(f"a script that is none of ours: {found}")
        if tag in {"style", "iframe", "object", "embed", "base", "img"}:
            self.problems.append(f"<{tag}>")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        if not self._open or self._open[-1] != tag:
            self.problems.append(f"</{tag}> where <{self._open[-1] if self._open else ''}> is open")
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]
