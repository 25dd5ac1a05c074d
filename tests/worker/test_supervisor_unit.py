"""The supervisor with small programs for workers: real processes, real signals, no broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from taskq import events
from taskq.worker import supervisor
from taskq.worker.control import Control, Manners
from taskq.worker.signals import Ear
from taskq.worker.supervisor import supervise
from tests.support.bench import Told

MANNERS = Manners()


class Journal:
    """Lines that several processes append; read while they do."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def write(self, line: str) -> None:
        with self.path.open("a") as file:
            file.write(f"{line}\n")

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines()

    def has(self, count: int, line: str) -> bool:
        """Whether it comes to have so many such lines, within half a minute."""
        ends = time.monotonic() + 30.0
        while self.lines().count(line) < count:
            if time.monotonic() > ends:
                return False
            time.sleep(0.005)
        return True


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def listens(
    journal: Journal, *, until: Callable[[Control], bool] = lambda control: control.stopping
) -> Callable[[int, Callable[[], None]], int]:
    """A worker that notes what it hears, until it is told to stop."""

    def run_one(orders: int, registered: Callable[[], None]) -> int:
        def tell(event: events.Event) -> None:
            if isinstance(event, events.Heard):
                journal.write(signal.Signals(event.signal).name)

        with Ear() as ear:
            control = Control(ear, MANNERS, tell, supervisor=orders)
            registered()
            journal.write("started")
            while not until(control):
                control.rest(30.0)
        return control.status

    return run_one


def after(ready: Callable[[], bool], *numbers: int) -> threading.Thread:
    """Signals to this process, the supervisor's, once something is so."""

    def send() -> None:
        assert ready()
        for number in numbers:
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


class TestBurst:
    def test_ends_when_each_has_ended_by_itself(self, journal: Journal) -> None:
        def run_one(orders: int, registered: Callable[[], None]) -> int:
            registered()
            journal.write("ran")
            return 0

        assert supervise(3, run_one, MANNERS, Told(), burst=True) == 0
        assert journal.lines() == ["ran"] * 3

    def test_a_worker_gets_pipes_of_its_own_only(self, journal: Journal) -> None:
        """A copy of another's would keep that one from hearing the supervisor's end."""
        before = len(os.listdir("/proc/self/fd"))

        def run_one(orders: int, registered: Callable[[], None]) -> int:
            registered()
            journal.write(str(len(os.listdir("/proc/self/fd")) - before))
            return 0

        supervise(4, run_one, MANNERS, Told(), burst=True)
        assert set(journal.lines()) == {"4"}  # its two pipes' ends, and what the supervisor's ear has
        assert len(os.listdir("/proc/self/fd")) == before


class TestStopping:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
    def test_is_handed_on_to_every_worker_once(self, journal: Journal, number: signal.Signals) -> None:
        sender = after(lambda: journal.has(2, "started"), number, number)
        assert supervise(2, listens(journal), MANNERS, Told(), burst=False) == 0
        sender.join()
        assert sorted(journal.lines()) == sorted([number.name] * 2 + ["started"] * 2)

    def test_other_signals_are_handed_on_too(self, journal: Journal) -> None:
        first = after(lambda: journal.has(2, "started"), signal.SIGUSR2)
        then = after(lambda: journal.has(2, "SIGUSR2"), signal.SIGQUIT)
        assert supervise(2, listens(journal), MANNERS, Told(), burst=False) == 0
        first.join()
        then.join()
        assert journal.lines().count("SIGUSR2") == 2

    def test_a_worker_that_does_not_end_is_killed(self, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        def run_one(orders: int, registered: Callable[[], None]) -> int:
            registered()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            journal.write("started")
            while True:
                signal.pause()

        monkeypatch.setattr(supervisor, "_LAST_GRACE", 0.05)
        told = Told()
        sender = after(lambda: journal.has(1, "started"), signal.SIGTERM)
        assert supervise(1, run_one, Manners(shutdown_timeout=0.05), told, burst=False) == 0
        sender.join()
        assert "does not end; it is killed." in told.of(events.Warned)[0].message

    def test_somebody_who_hurries_is_the_status(self, journal: Journal) -> None:
        first = after(lambda: journal.has(1, "started"), signal.SIGTERM)
        hurry = after(lambda: journal.has(1, "SIGTERM"), signal.SIGINT)
        run_one = listens(journal, until=lambda control: control.hurried)
        assert supervise(1, run_one, MANNERS, Told(), burst=False) == 128 + signal.SIGINT
        first.join()
        hurry.join()
        assert journal.lines() == ["started", "SIGTERM", "SIGINT"]


class TestDeaths:
    def test_a_worker_that_dies_is_replaced_after_a_pause(self, journal: Journal) -> None:
        def run_one(orders: int, registered: Callable[[], None]) -> int:
            if "died" in journal.lines():
                return listens(journal)(orders, registered)
            registered()
            journal.write("died")
            os.kill(os.getpid(), signal.SIGKILL)
            return 0

        told = Told()
        sender = after(lambda: journal.has(1, "started"), signal.SIGQUIT)
        assert supervise(1, run_one, MANNERS, told, burst=False) == 0
        sender.join()
        [warned] = told.of(events.Warned)
        assert warned.message.startswith("Worker 1 (pid ")
        assert warned.message.endswith(") was killed by SIGKILL; another starts in 1 s.")

    def test_workers_that_cannot_start_end_the_supervisor_with_their_status(self) -> None:
        told = Told()
        assert supervise(3, lambda orders, registered: 2, MANNERS, told, burst=False) == 2
        last = told.of(events.Warned)[-1].message
        assert "ended with status 2. 3 in a row ended before they registered: they cannot start." in last

    def test_one_that_raises_ends_with_1_and_shows_why(self, capfd: pytest.CaptureFixture[str]) -> None:
        def run_one(orders: int, registered: Callable[[], None]) -> int:
            raise ValueError("cannot work")

        assert supervise(3, run_one, MANNERS, Told(), burst=False) == 1
        assert capfd.readouterr().err.count("ValueError: cannot work") == 3

    def test_one_that_exits_keeps_its_pipes_from_nobody(self, journal: Journal) -> None:
        """Replaced a few times, the supervisor has no descriptor more than before."""
        before = len(os.listdir("/proc/self/fd"))
        supervise(3, lambda orders, registered: 7, MANNERS, Told(), burst=False)
        assert len(os.listdir("/proc/self/fd")) == before


def test_workers_end_as_by_quit_when_their_supervisor_is_killed(journal: Journal) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.worker.test_supervisor_unit import Journal, listens, MANNERS\n"
        "from taskq.worker.supervisor import supervise\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "inner = listens(journal)\n"
        "def run_one(orders, registered):\n"
        "    status = inner(orders, registered)\n"
        "    journal.write(f'ended {status}')\n"
        "    return status\n"
        "supervise(2, run_one, MANNERS, lambda event: None, burst=False)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(journal.path)]) as process:
        assert journal.has(2, "started")
        process.kill()
    assert journal.has(2, "ended 0")
    assert sorted(journal.lines()) == ["ended 0", "ended 0", "started", "started"]
