"""Runs a page from its first block to its last, as its reader would: `python -m tests.docs.session PAGE`.

A process of its own, in an empty folder. What a block means is said by its info string:

    python                  executed; the blocks of a page share their names
    pycon                   executed, and what it prints is compared
    any, title="NAME"       written to that file
    console                 each line after `$ ` is typed at a terminal; what is shown below it is compared
    console stays           the command goes on running; the lines shown are waited for
    console continues       more lines of the command that goes on; `^C` interrupts it, and it has to end with 0
    any, not-run="REASON"   left out

The address localhost:6379 is that of a private server. In what is compared `...` stands for anything, and what differs
from run to run (process ids, times, the ids of failed jobs) counts as equal.
"""

from __future__ import annotations

import contextlib
import doctest
import itertools
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

from taskq_redis.testing import RedisServer, executable
from tests.docs.pages import Block, blocks

LONG: Final = 30.0
_DEFAULT: Final = "localhost:6379"
_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")
_VARIABLE: Final = (
    (r"(?<![\w.])[A-Za-z][\w.-]*(\+\d+)?:\d+:(?=[\w*])", "HOST:PID:"),
    (r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \w+", "DATE"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", "DATE"),
    (r"\[\d\d:\d\d:\d\d \d{4}-\d\d-\d\d\] \d+:", "[TIME] PID:"),
    (r"\b\d+-[0-9a-f]{6}\b", "ID"),
    (r"\bpid \d+", "pid N"),
    (r"Forked \d+ at \d+", "Forked N at N"),
    (r"since \d+", "since N"),
    (r"\b\d+(\.\d+)? ?(ms|s|min)\b", "SECONDS"),
    (r"[─-╿]+", ""),
    (r"[ \t]+", " "),
)


class Session:
    def __init__(self, page: Path, port: int) -> None:
        self.page = page
        self.address = f"127.0.0.1:{port}"
        self.port = port
        self.names: dict[str, object] = {"__name__": "__main__"}
        self.here = Path.cwd()
        self.staying: list[Staying] = []
        self.status = 0
        self.env = {
            **os.environ,
            "COLUMNS": "110",
            "LINES": "50",
            "NO_COLOR": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self) -> None:
        for block in blocks(self.page):
            try:
                self._run_block(block)
            except Exception as error:
                error.add_note(f"This was in {block}.")
                raise

    def close(self) -> None:
        for command in reversed(self.staying):
            command.end()

    def _run_block(self, block: Block) -> None:
        if "not-run" in block.facts:
            return
        text = self._here(block.text)
        if "title" in block.facts:
            path = self.here / block.facts["title"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if path.name == "taskq.toml" and "broker" in text:  # which a variable of ours would hide
                os.environ.pop("TASKQ_BROKER", None)
                self.env.pop("TASKQ_BROKER", None)
        elif block.language == "python":
            code = compile("\n" * (block.line - 1) + text, str(block.page), "exec", dont_inherit=True)
            exec(code, self.names)
        elif block.language == "pycon":
            self._compare_python(block, text)
        elif block.language == "console":
            self._type(block, block.text)

    def _here(self, text: str) -> str:
        return text.replace(_DEFAULT, self.address)

    def _there(self, text: str) -> str:
        return text.replace(self.address, _DEFAULT)

    def _compare_python(self, block: Block, text: str) -> None:
        test = doctest.DocTestParser().get_doctest(text, self.names, str(block), str(block.page), block.line - 1)
        test.globs = self.names
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
        said: list[str] = []
        runner.run(test, out=lambda line: said.append(self._there(line)), clear_globs=False)
        if runner.failures:
            raise AssertionError("".join(said))

    def _type(self, block: Block, text: str) -> None:
        if "continues" in block.words:
            self.staying[-1].goes_on(text)
            return
        for typed, shown in _commands(text):
            command = self._here(typed)
            if "stays" in block.words:
                self.staying.append(Staying(self, command))
                self.staying[-1].goes_on(shown)
            elif command == "echo $?":
                _compare(command, shown, f"{self.status}\n")
                self.status = 0
            else:
                self._ended_well(command)
                self.status, said = self._typed(command)
                if shown:
                    _compare(command, shown, self._there(said))
        self._ended_well("the end of the block")

    def _ended_well(self, before: str) -> None:
        if self.status:
            raise AssertionError(f"before {before}: a command ended with {self.status}")

    def _typed(self, command: str) -> tuple[int, str]:
        """Run it at a terminal of its own; its status, and all that it wrote there."""
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            ["/bin/sh", "-c", command], cwd=self.here, env=self.env, stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True,
        ) as process:  # fmt: skip
            os.close(theirs)
            said = bytearray()
            timer = threading.Timer(LONG, process.kill)
            timer.start()
            with contextlib.suppress(OSError):  # its end
                while chunk := os.read(ours, 65536):
                    said += chunk
            status = process.wait()
            timer.cancel()
            os.close(ours)
        return status, said.decode(errors="replace")


class Staying:
    """A command that goes on running in a terminal of its own."""

    def __init__(self, session: Session, command: str) -> None:
        self.command = command
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"], cwd=session.here, env=session.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
        self._there = session._there
        self._lines: list[str] = []
        self._read = 0
        self._came = threading.Condition()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def goes_on(self, shown: str) -> None:
        """Wait for these lines; others may come between them. Workers start side by side: they say so in any order."""
        lines = [line for line in shown.splitlines() if line.strip()]
        for starting, some in itertools.groupby(lines, lambda line: line.startswith("*** Starting worker ")):
            if starting:
                self._wait_for(list(some))
                continue
            for line in some:
                if line == "^C":
                    os.kill(self.process.pid, signal.SIGINT)
                else:
                    self._wait_for([line])
        if shown.splitlines()[-1:] == ["^C"] or "\n^C\n" in shown:
            status = self.process.wait(LONG)
            assert status == 0, f"{self.command} ended with {status}: {''.join(self._lines)}"

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(LONG)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self._reader.join(LONG)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._came:
                self._lines.append(line)
                self._came.notify_all()

    def _wait_for(self, shown: list[str]) -> None:
        """Wait for these lines, in any order."""
        wanted = [_pattern(line) for line in shown]
        ends = time.monotonic() + LONG
        with self._came:
            while True:
                while self._read < len(self._lines):
                    line = _alike(self._there(self._lines[self._read]))
                    self._read += 1
                    found = next((one for one in wanted if one.fullmatch(line)), None)
                    if found is not None:
                        wanted.remove(found)
                    if not wanted:
                        return
                if not self._came.wait(ends - time.monotonic()):
                    said = "".join(self._lines)
                    raise AssertionError(f"{self.command} did not write {shown!r}. It wrote:\n{said}")


def _commands(text: str) -> list[tuple[str, str]]:
    """Each command, and what is shown below it."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif line.startswith("> ") and found and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line[2:]}", "")
        else:
            found[-1] = (found[-1][0], f"{found[-1][1]}{line}\n")
    return found


def _alike(text: str) -> str:
    """The text, with all that differs from run to run made equal, and neither lines that are empty nor their ends."""
    text = _ANSI.sub("", text).replace("\r", "")
    for pattern, plain in _VARIABLE:
        text = re.sub(pattern, plain, text)
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


def _pattern(shown: str) -> re.Pattern[str]:
    parts = [re.escape(part) for part in _alike(shown).split("...")]
    return re.compile(".*".join(parts), re.DOTALL)


def _compare(command: str, shown: str, said: str) -> None:
    if not _pattern(shown).fullmatch(_alike(said)):
        raise AssertionError(f"$ {command}\n--- shown\n{_alike(shown)}\n--- said\n{_alike(said)}\n---\n{said}")


def main() -> None:
    page = Path(sys.argv[1])
    whole = page.read_text(encoding="utf-8")
    with contextlib.ExitStack() as running:
        server = RedisServer()
        if "$ redis-server" in whole:
            # The page starts it itself; on a port that is free, and leaving nothing behind.
            running.callback(shutil.rmtree, server.directory, ignore_errors=True)
            words = [executable(), "--port", str(server.port), "--save", '""', "--dir", str(server.directory)]
            shim = server.directory / "redis-server"
            shim.write_text(f"#!/bin/sh\nexec {' '.join(words)}\n")
            shim.chmod(0o700)
            os.environ["PATH"] = f"{server.directory}:{os.environ['PATH']}"
        else:
            running.enter_context(server)
        # What the reader has by default.
        os.environ["TASKQ_BROKER"] = f"redis://127.0.0.1:{server.port}/0"
        sys.path.insert(0, str(Path.cwd()))
        session = Session(page, server.port)
        running.callback(session.close)
        session.run()


if __name__ == "__main__":
    main()
