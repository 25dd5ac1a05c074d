"""node-resque: installed once a machine, its programs run as processes that speak in lines of JSON."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.workers import LONG, ROOT

PROGRAMS = ROOT / "tests" / "interop" / "node"
_INSTALL = 50.0  # seconds


def missing() -> str:
    """Why none of this can run here; empty where it can."""
    absent = [program for program in ("node", "npm") if shutil.which(program) is None]
    return f"{' and '.join(absent)} not found on PATH: install Node.js 18 or later" if absent else ""


def packages(folder: Path = PROGRAMS.parent) -> Path:
    """Where the packages of a folder's lock file are installed; outside of the tree, and kept for the next run."""
    manifest = (folder / "package.json", folder / "package-lock.json")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in manifest)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    installed = cache / "taskq-tests" / f"node-{digest}"
    if not installed.exists():
        installed.parent.mkdir(parents=True, exist_ok=True)
        # Made beside it and put in place whole: another run may be doing the same.
        making = Path(tempfile.mkdtemp(prefix="making-", dir=installed.parent))
        for path in manifest:
            shutil.copy(path, making)
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=making, capture_output=True, text=True, timeout=_INSTALL, check=False)
        if done.returncode:
            shutil.rmtree(making)
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        try:
            making.rename(installed)
        except OSError:  # the other run was first
            shutil.rmtree(making)
    return installed


class Node:
    """One of the programs in tests/interop/node, at work."""

    def __init__(self, packages: Path, port: int, program: str, *arguments: str) -> None:
        self.events: list[dict[str, Any]] = []
        self._came = threading.Condition()
        self._over = False
        self.process = subprocess.Popen(
            ["node", str(PROGRAMS / f"{program}.mjs"), *arguments],
            env={**os.environ, "NODE_PACKAGES": str(packages), "REDIS_PORT": str(port), "TZ": "UTC"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.heard("ready")

    def heard(
        self, event: str, *, times: int = 1, where: Callable[[dict[str, Any]], bool] = lambda _: True
    ) -> dict[str, Any]:
        """Wait for an event, the `times`th of its kind for which `where` is true."""
        ends = time.monotonic() + LONG
        with self._came:
            while True:
                found = [one for one in self.events if one["event"] == event and where(one)]
                if len(found) >= times:
                    return found[times - 1]
                if self._over or not self._came.wait(ends - time.monotonic()):
                    raise AssertionError(f"no event {event} came {times} times; what came: {self.events}")

    def count(self, event: str) -> int:
        """How many events of a kind came."""
        with self._came:
            return sum(one["event"] == event for one in self.events)

    def ask(self, call: str, *args: object) -> Any:
        """Call a method of node-resque's Queue (the program `client`). What it answers."""
        before = self.count("answer") + self.count("raised")
        self.tell({"call": call, "args": args})
        answer = self.heard_answer(before + 1)
        if answer["event"] == "raised":
            raise NodeError(answer["message"])
        return answer.get("value")

    def heard_answer(self, number: int) -> dict[str, Any]:
        ends = time.monotonic() + LONG
        with self._came:
            while True:
                found = [one for one in self.events if one["event"] in ("answer", "raised")]
                if len(found) >= number:
                    return found[number - 1]
                if self._over or not self._came.wait(ends - time.monotonic()):
                    raise AssertionError(f"no answer came: {self.events}")

    def tell(self, message: object) -> None:
        """Write a line to it. What JSON text says of a number is JavaScript's business."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """Have it end, after its job."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.heard("ended")
        self.process.kill()  # a timer of its own may keep it for a while
        self.process.wait(LONG)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(LONG)
        self._reader.join(LONG)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None and not pipe.closed:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._came:
                self.events.append(json.loads(line))
                self._came.notify_all()
        with self._came:
            self._over = True
            self._came.notify_all()


class NodeError(Exception):
    """What node-resque raised."""
