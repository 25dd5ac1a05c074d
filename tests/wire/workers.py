"""The worker of the recordings: `QUEUE=jobs INTERVAL=0 rake resque:work` on a host named `vm`, as `taskq worker`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from taskq_redis.testing import RedisServer
from tests.support.workers import RunningWorker

APP = "tests.wire.jobs:app"


def worker(server: RedisServer, *arguments: str, app: str = APP, **env: str) -> RunningWorker:
    """Start one, with these variables of Resque's beside `QUEUE=jobs`."""
    return RunningWorker(
        server.unix_url, *arguments, app=app, env={"QUEUE": "jobs", "TASKQ_HOST": "vm", "TZ": "UTC", **env}
    )


def work_off(server: RedisServer, *arguments: str, app: str = APP, **env: str) -> RunningWorker:
    """Run one until its queues are empty, `INTERVAL=0`, to its end."""
    with worker(server, *arguments, app=app, INTERVAL="0", **env) as running:
        assert running.ended() == 0, running.log
    return running


def title(running: RunningWorker, pid: int | None = None) -> str:
    """The process's title, as `ps` shows it; with `pid` that of its child."""
    return Path(f"/proc/{running.pid if pid is None else pid}/cmdline").read_bytes().rstrip(b"\0 ").decode()


def open_gate(gate: Path) -> None:
    """Let the job end that waits there."""
    with open(gate, "wb"):
        pass


def printed(running: RunningWorker) -> list[str]:
    """What it printed beside its log."""
    return [line for line in running.log.splitlines() if not line.startswith("**")]


def at(gate: Path) -> Mapping[str, str]:
    """The variable that makes jobs wait there."""
    return {"WIRE_GATE": str(gate)}
