"""Packages as a stranger builds and installs them: a wheel, and a fresh environment.

taskq and what it needs are those of the environment that runs the tests: no index is asked.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path


def run(*command: str | Path, folder: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env=env, capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def build(source: Path, folder: Path) -> Path:
    """The wheel of a package, built from a copy, so that nothing is left beside it."""
    copied = folder / f"source-{source.name}"
    shutil.copytree(source, copied, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    made = folder / f"wheel-{source.name}"
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", made, copied, folder=folder)
    [wheel] = made.glob("*.whl")
    return wheel


def install(wheels: Sequence[Path], folder: Path) -> Path:
    """The interpreter of a fresh environment in which these wheels are installed."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    here = sysconfig.get_path("purelib")
    there = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder).strip()
    Path(there, "tests.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    run(
        sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install", "--no-index",
        "--no-deps", *wheels, folder=folder,
    )  # fmt: skip
    return python
