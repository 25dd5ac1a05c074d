"""Reaping what pid 1 inherits, in a pid namespace of our own where that can be had."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from taskq.worker.orphans import reap

AS_PID_1 = """
import os, subprocess, sys
from taskq.worker.orphans import reap
assert os.getpid() == 1
kept = subprocess.Popen(["true"])
os.waitid(os.P_PID, kept.pid, os.WEXITED | os.WNOWAIT)
# A shell that ends at once leaves its child to pid 1: to us.
reader, writer = os.pipe()
subprocess.run(["sh", "-c", "(echo x >&%d) & exit" % writer], pass_fds=[writer], check=True)
os.read(reader, 1)
first = reap(frozenset({kept.pid}))
assert kept.wait() == 0
os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
print(first + reap(), reap())
"""


def test_pid_1_reaps_its_orphans_and_keeps_the_status_that_is_wanted() -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "--pid", "--fork", "true"], check=False).returncode:
        pytest.skip("no pid namespace can be had here")
    command = [unshare, "--pid", "--fork", sys.executable, "-c", AS_PID_1]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (run.stdout, run.stderr) == ("1 0\n", "")


def test_elsewhere_a_child_is_its_parents_own() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert reap() == 0
        assert child.wait() == 0
