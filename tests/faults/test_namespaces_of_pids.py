"""Fault 26: two containers of one host name have the same pid for their workers; nobody is robbed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable

import pytest

import taskq
from tests.support import fault_jobs
from tests.support.journal import Journal, balance
from tests.support.workers import RunningWorker, children_of, wait_until

Start = Callable[..., RunningWorker]
IN_A_NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc")

pytestmark = [
    pytest.mark.redis,
    pytest.mark.skipif(
        shutil.which("unshare") is None
        or subprocess.run([*IN_A_NAMESPACE, "true"], capture_output=True).returncode != 0,
        reason="pid namespaces cannot be made here (needs unshare, and the right to use it)",
    ),
]


@pytest.mark.fault(26)
@pytest.mark.timeout(90)
def test_two_workers_of_one_name_have_two_ids_and_an_orphan_comes_back(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    arguments = ("--queue", "q", "--beat", "0.5", "--dead-after", "2", "-v")
    first = worker(*arguments, prefix=IN_A_NAMESPACE)
    first_id = first.started()
    second = worker(*arguments, prefix=IN_A_NAMESPACE)
    second_id = second.started()
    assert first_id.split(":")[1] == second_id.split(":")[1] == "1"
    assert first_id != second_id
    assert "+1:" in second_id
    fault_jobs.numbered.enqueue(1, 600)
    wait_until(lambda: journal.counts("start")[1])
    (holder,) = app.working()
    victim, other = (first, second) if holder.id == first_id else (second, first)
    (inside,) = children_of(victim.pid)
    os.kill(inside, signal.SIGKILL)
    # Started again under its old name: that id is not free until somebody has settled what it left.
    again = worker(*arguments, prefix=IN_A_NAMESPACE)
    assert again.started() not in {first_id, second_id}
    wait_until(lambda: app.failures.count() == 1)
    fault_jobs.numbered.enqueue(2)
    wait_until(lambda: journal.counts("end")[2])
    assert "was taken for dead" not in other.log + again.log
    kept = balance(app.broker, journal, ["q"])
    assert kept.failed == [1]
    assert kept.missing([1, 2]) == []
