"""Every example of every page runs, and shows what the page says that it shows."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, EXAMPLES, PAGES, ROOT, anchors, blocks, links, name_of, prose

_RUN = {"python", "pycon", "console"}
_READ = {"text", "toml", "json", "ini", "yaml", "dockerfile", "ruby", "js", "mermaid"}
_ALL = [*PAGES, *EXAMPLES]


def _runs(page: Path) -> bool:
    return any(block.language in _RUN and "not-run" not in block.facts for block in blocks(page))


@pytest.mark.redis
@pytest.mark.parametrize("page", [page for page in PAGES if _runs(page)], ids=name_of)
def test_its_examples_run(page: Path, tmp_path: Path) -> None:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TASKQ_", "PYTEST", "QUEUE")) and name not in {"REDIS_URL", "VERBOSE", "COUNT"}
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.docs.session", str(page)],
        cwd=tmp_path,
        env={
            **inherited,
            "PATH": f"{Path(sys.executable).parent}:{inherited['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", _ALL, ids=name_of)
def test_its_blocks_say_what_they_are(page: Path) -> None:
    for block in blocks(page):
        assert block.language in _RUN | _READ, block
        assert block.words <= {"stays", "continues"}, block
        assert set(block.facts) <= {"title", "not-run"}, block
        assert block.facts.get("not-run") != "", f"{block} is not run and does not say why"


@pytest.mark.parametrize("page", _ALL, ids=name_of)
def test_its_blocks_can_be_read(page: Path) -> None:
    for block in blocks(page):
        match block.language:
            case "python":
                ast.parse(block.text)
            case "toml":
                tomllib.loads(block.text)
            case "json":
                json.loads(block.text)
            case _:
                assert block.text.strip(), block


@pytest.mark.parametrize("page", _ALL, ids=name_of)
def test_its_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        if re.match(r"https?:", path):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: there is no {target}"
        if anchor:
            assert anchor in anchors(target), f"{link}: there is no such heading"


def test_every_page_is_found_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        local = [link.partition("#")[0] for link in links(page) if "://" not in link]
        waiting += [(page.parent / link).resolve() for link in local if link.endswith(".md")]
    assert {page for page in PAGES if page.is_relative_to(DOCS)} <= seen


@pytest.mark.parametrize("page", [page for page in PAGES if page.is_relative_to(DOCS)], ids=name_of)
def test_it_begins_with_what_it_is_for(page: Path) -> None:
    title, _, first, *_ = prose(page).splitlines()
    assert title.startswith("# ")
    assert first
    assert not first.startswith(("#", "|", "-", "```"))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_verb_of_the_makefile_is_there(page: Path) -> None:
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|\$ )make ([a-z-]+)", page.read_text())) <= verbs
