from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import Typed, on_a_terminal


def test_jobs_succeed_fail_and_one_is_requeued_and_done(typed: Typed) -> None:
    done = typed("demo")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("*** done: ") == 5
    assert done.stdout.count(" failed: #<") == 2
    assert "*** got: (Job{emails} | Emailer | " in done.stdout
    table = done.stdout.partition("How it ended")[2]
    outcomes = re.findall(r" (done|failed|failed, then done) *$", table, re.MULTILINE)
    assert sorted(outcomes) == ["done", "done", "done", "done", "failed", "failed, then done"]
    assert "7 performed, 2 in the failed list" in table
    assert "worker -b sqlite:///demo.db --app taskq.cli.demo_jobs" in table


def test_it_does_the_same_each_time_and_reads_no_configuration(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "taskq.toml").write_text('hooks = ["nowhere"]\nnonsense = 1\n')
    environment = {"TASKQ_BROKER": "redis://127.0.0.1:1", "COUNT": "x", "TASKQ_APP": "nowhere"}

    def said(**more: str) -> str:
        text = typed("demo", env={**environment, **more}).stdout
        return re.sub(r"\d{4}/\S+ \S+ \S+|:\d+:|\d-[0-9a-f]{6}|0\.\d\d", "#", text)

    first = said()
    assert "How it ended" in first
    assert said(TASKQ_BROKER="rubbish://") == first


def test_on_a_terminal_it_fits_and_shows_tables(tmp_path: Path) -> None:
    code, seen = on_a_terminal("demo", cwd=tmp_path)
    assert code == 0
    table = seen.partition("How it ended")[2].replace("\r", "")
    rows = [
        line for line in re.sub(r"\x1b\[[0-9;]*m", "", table).splitlines() if line.startswith(("emails", "reports"))
    ]
    assert len(rows) == 6
    assert all(len(row) <= 80 for row in rows)


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "taskq", "demo"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "got:" in line:
            break
    process.send_signal(signal.SIGINT)
    rest, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "How it ended" not in rest
    assert "Traceback" not in said
