"""A disk of a test's own, which is soon full."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk() -> Iterator[Path]:
    """A disk of 600 KB. The test is skipped where none can be mounted."""
    directory = Path(tempfile.mkdtemp())
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", directory], capture_output=True)
    if made.returncode:
        directory.rmdir()
        pytest.skip(f"no small disk can be mounted here: {made.stderr.decode().strip()}")
    yield directory
    subprocess.run(["umount", "-l", directory], check=True)
    directory.rmdir()


def fill(disk: Path) -> Path:
    """Fill it to the last byte; what fills it, to be deleted for room."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(b"x" * 4096)
    return ballast
