"""The process title: one that Ruby's pruner takes for a living worker's."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from taskq.worker import title

SHOW = "print(subprocess.check_output(['ps', '-o', 'command=', '-p', str(os.getpid())], text=True))\n"


@pytest.mark.parametrize("prefix", ["", "myapp "])
def test_a_title_keeps_the_worker_alive_in_the_eyes_of_rubys_pruner(prefix: str) -> None:
    """WIRE.md section 8: what the pruner looks for in `ps -A -o pid,command`."""
    shown = title.text(prefix, "Waiting for jobs")
    assert shown == f"{prefix}resque-3 taskq: Waiting for jobs"
    assert re.search(r"resque-[0-9]", shown)
    assert "resque-web" not in shown


def test_setting_it_is_seen_by_ps_and_can_be_asked_for_twice() -> None:
    """In a process of its own: the title of the tests' process is nobody's business."""
    program = (
        "import os, subprocess\n"
        "from taskq.worker import title\n"
        "assert title.setter()[0]\n"
        "set_title, why_not = title.setter()\n"
        f"{SHOW}"
        "assert set_title, why_not\n"
        "set_title(title.text('', 'Paused'))\n"
        f"{SHOW}"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert run.stderr == ""
    assert run.stdout.split("\n\n")[:2] == ["resque-3 taskq: Starting", "resque-3 taskq: Paused"]


def test_without_setproctitle_it_says_why_not() -> None:
    program = "import sys\nsys.modules['setproctitle'] = None\nfrom taskq.worker import title\nprint(title.setter())\n"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert run.stderr == ""
    assert run.stdout.startswith("(None, 'setproctitle cannot be imported")
