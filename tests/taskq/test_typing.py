"""Right and wrong calls, as mypy and pyright see them: the lines marked `# error` are errors, and no others."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RIGHT = Path("tests/typing/right_calls.py")
WRONG = Path("tests/typing/wrong_calls.py")


def marked(path: Path) -> set[int]:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, start=1) if line.endswith("# error")}


def reported(command: list[str], path: Path) -> set[int]:
    done = subprocess.run(
        [sys.executable, "-m", *command, str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {int(line) for line in re.findall(rf"{path.name}:(\d+):(?:\d+)?.*\berror\b", done.stdout)}


CHECKERS = {"mypy": ["mypy", "--strict", "--no-pretty"], "pyright": ["pyright"]}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize("path", [RIGHT, WRONG])
def test_each_wrong_call_is_an_error_and_no_right_one(checker: str, path: Path) -> None:
    assert reported(CHECKERS[checker], path) == marked(path)


def test_the_wrong_calls_are_marked() -> None:
    assert len(marked(WRONG)) > 25
    assert marked(RIGHT) == set()
