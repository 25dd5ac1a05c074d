"""Who lives: judged by pid and start, and only by one that shares boot and pid namespace."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from taskq import identity
from taskq.identity import ids, is_gone, this_process, watch
from taskq.records import ProcessIdentity
from taskq.worker.waiting import readable

ME = this_process()


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until it is told to end."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        yield process
        process.kill()


def identity_of(pid: int) -> ProcessIdentity:
    started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return replace(ME, pid=pid, started=started)


class TestThisProcess:
    def test_says_all_that_a_judge_needs(self) -> None:
        assert ME.pid == os.getpid()
        assert ME.host == socket.gethostname()
        assert len(ME.boot) == 36
        assert ME.namespace.startswith("pid:[")
        assert identity_of(os.getpid()) == ME

    def test_reads_the_start_of_a_process_with_an_odd_name(self, tmp_path: Path) -> None:
        odd = tmp_path / "a) R (b"
        odd.symlink_to("/bin/cat")
        with subprocess.Popen([odd], stdin=subprocess.PIPE) as process:
            assert not is_gone(identity_of(process.pid), ME)
            assert is_gone(replace(identity_of(process.pid), started="1"), ME)
            process.kill()


class TestIsGone:
    def test_a_process_that_lives_is_not(self, other: subprocess.Popen[bytes]) -> None:
        assert not is_gone(ME, ME)
        assert not is_gone(identity_of(other.pid), ME)

    def test_one_that_ended_is(self, other: subprocess.Popen[bytes]) -> None:
        seen = identity_of(other.pid)
        other.kill()
        other.wait()
        assert is_gone(seen, ME)

    def test_a_zombie_is(self, other: subprocess.Popen[bytes]) -> None:
        seen = identity_of(other.pid)
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(seen, ME)

    def test_one_whose_pid_has_gone_to_another_is(self, other: subprocess.Popen[bytes]) -> None:
        assert is_gone(replace(identity_of(other.pid), started="1"), ME)

    def test_one_that_did_not_say_when_it_started_is_not_while_the_pid_lives(
        self, other: subprocess.Popen[bytes]
    ) -> None:
        assert not is_gone(replace(identity_of(other.pid), started=""), ME)

    @pytest.mark.parametrize("unknown", [{"boot": "another"}, {"namespace": "pid:[1]"}])
    def test_nobody_can_say_it_of_one_elsewhere(self, unknown: dict[str, str]) -> None:
        gone = replace(ME, pid=2**22 - 1, started="1")
        assert is_gone(gone, ME)
        assert not is_gone(replace(gone, **unknown), ME)  # type: ignore[arg-type]  # both are str

    @pytest.mark.parametrize("unknown", ["boot", "namespace"])
    def test_nor_can_one_who_does_not_know_where_he_is(self, unknown: str) -> None:
        judge = replace(ME, **{unknown: ""})  # type: ignore[arg-type]  # both are str
        assert not is_gone(replace(judge, pid=2**22 - 1), judge)

    def test_what_proc_hides_is_not_gone_while_it_can_be_signalled(
        self, other: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With the mount option hidepid there is no /proc/PID of what other users run: they are not dead."""
        seen = identity_of(other.pid)
        real = Path
        monkeypatch.setattr(
            identity, "Path", lambda path: tmp_path / "hidden" if path.startswith("/proc/") else real(path)
        )
        assert not is_gone(seen, ME)
        other.kill()
        other.wait()
        assert is_gone(seen, ME)


class TestWatch:
    def test_gives_what_becomes_readable_when_the_process_dies(self, other: subprocess.Popen[bytes]) -> None:
        death = watch(identity_of(other.pid), ME)
        assert death is not None
        assert readable([death], 0) == set()
        os.kill(other.pid, signal.SIGKILL)
        assert readable([death], 30.0) == {death}
        os.close(death)

    def test_gives_nothing_for_one_that_is_gone_or_elsewhere(self, other: subprocess.Popen[bytes]) -> None:
        seen = identity_of(other.pid)
        assert watch(replace(seen, boot="another"), ME) is None
        assert watch(replace(seen, namespace="pid:[1]"), ME) is None
        other.kill()
        other.wait()
        assert watch(seen, ME) is None


class TestIds:
    def test_are_rubys_and_then_such_as_its_pruner_leaves_alone(self) -> None:
        pid = os.getpid()
        assert list(islice(ids("vm", "a,*"), 3)) == [f"vm:{pid}:a,*", f"vm+1:{pid}:a,*", f"vm+2:{pid}:a,*"]

    def test_begin_with_a_borrowed_host_where_there_is_no_title(self) -> None:
        assert next(ids("vm", "jobs", first=1)) == f"vm+1:{os.getpid()}:jobs"
