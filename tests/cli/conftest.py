from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

from taskq import application, envelope, failed_entry
from taskq.app import TaskQ
from taskq.broker import Broker
from taskq.cli.main import program
from taskq.config import Config
from taskq.errors import InvalidPayload
from taskq.failure_handler import Failure
from taskq.records import ErrorRecord, Payload
from taskq.registry import Registry
from taskq.testing import stores
from taskq.testing.contract.broker.holder import Holder
from taskq_redis.testing import RedisServer

Typed = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass
class Shop:
    """An application that the command line finds under a name, with a broker that outlives each command."""

    app: TaskQ
    name: str

    def run(self, *args: str) -> Result:
        return CliRunner().invoke(program, ["--app", self.name, *args])


def run(*args: str) -> Result:
    return CliRunner().invoke(program, args)


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Neither by the environment, nor by what another test of this process left as the default application."""
    for name in list(os.environ):
        if name.startswith("TASKQ_") or name in {"REDIS_URL", "QUEUE", "QUEUES", "COUNT", "INTERVAL", "VERBOSE"}:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(application, "_process", application._Process())
    yield
    if application._process.default is not None:
        application._process.default.close()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    return redis_server.url


def _shop(broker: object, monkeypatch: pytest.MonkeyPatch) -> Shop:
    registry = Registry()
    module = ModuleType(f"shop_{uuid.uuid4().hex}")
    app = TaskQ(Config(broker=broker), registry=registry)
    module.app = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return Shop(app, f"{module.__name__}:app")


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def shop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """On every backend."""
    made = _shop(stores.fresh(request.param), monkeypatch)
    yield made
    made.app.close()


@pytest.fixture
def memory_shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    return _shop(stores.fresh("memory"), monkeypatch)


@pytest.fixture
def typed(tmp_path: Path) -> Typed:
    """The real program, in a project's folder of its own. However it ends, it shows no traceback."""

    def run(*args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "taskq", *args],
            cwd=tmp_path,
            env={**os.environ, "PYTHONWARNINGS": "error", **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert "--debug" in args or "Traceback" not in done.stderr + done.stdout, done.stderr
        return done

    return run


def on_a_terminal(*args: str, cwd: Path, answer: str = "", when: bytes = b"]: ") -> tuple[int, str]:
    """The real program on a terminal: its exit code, and all that is seen.

    It is given `answer` when `when` was seen; as it is, when it asks.
    """
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "taskq", *args]
    process = subprocess.Popen(
        command, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=_take_terminal, start_new_session=True
    )
    os.close(theirs)
    seen, asked = b"", False
    while True:
        if asked and not select.select([ours], [], [], 0.3)[0]:
            # A Ctrl-C between the question and the reading of the answer is only seen once something is read.
            os.write(ours, answer.encode())
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # what a terminal says at its end, on Linux
            chunk = b""
        if not chunk:
            break
        seen += chunk
        if answer and not asked and when in seen:
            asked = True
            os.write(ours, answer.encode())
    os.close(ours)
    return process.wait(30), seen.decode()


def _take_terminal() -> None:
    """So that a Ctrl-C typed there is a signal here."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Failing:
    """A worker that fails whatever is pushed, so that the failed list fills as it does in life."""

    def __init__(self, broker: Broker) -> None:
        self._worker = Holder(broker, "host:1:*")
        self._worker.register()

    def fail(
        self,
        job: str = "Emailer",
        args: str = "[]",
        *,
        queue: str = "emails",
        exception: str = "ValueError",
        error: str = "no",
        body: bytes | None = None,
        by_queue: bool = False,
        quarantined: str = "",
    ) -> None:
        broker = self._worker.broker
        body = body if body is not None else f'{{"class":"{job}","args":{args}}}'.encode()
        record = ErrorRecord(exception, error, ("shop/jobs.py:7:in 'perform'",))
        entry = failed_entry.encode(
            Failure(_payload(body), body, queue, self._worker.id, record, broker.now(), broker.now()),
            quarantined=quarantined,
        )
        broker.push(queue, [body])
        assert self._worker.fail(self._worker.take(queue), entry, by_queue=by_queue)


def _payload(body: bytes) -> Payload | None:
    try:
        return envelope.decode(body)
    except InvalidPayload:
        return None


@pytest.fixture
def failing(shop: Shop) -> Failing:
    return Failing(shop.app.broker)


JOBS = """
import taskq

@taskq.job
class Emailer:
    queue = "emails"

    @staticmethod
    def perform(to, subject="", **more):
        if to == "nobody":
            raise ValueError("nobody is no address")
        print("sent to", to)

@taskq.job(queue="secrets", secret=("token",))
def log_in(user: str, token: str) -> None:
    raise PermissionError("no")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the application `shop.jobs`."""
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "jobs.py").write_text(JOBS)
    return tmp_path
