from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from taskq.cli.main import program

ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("TASKQ_")}


@contextmanager
def serving(*args: str, cwd: Path, env: Mapping[str, str] | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The real program, and the address that it says it is at."""
    command = [sys.executable, "-m", "taskq", "web", "--port", "0", *args]
    process = subprocess.Popen(
        command, cwd=cwd, env={**ENVIRON, **(env or {})}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"The dashboard is at (http://\S+) \(Ctrl-C ends it\)\.\n", line)
        assert found, (line, process.communicate(timeout=40))
        yield process, found[1]
    finally:
        process.kill()
        process.communicate()


def asked(address: str, *, auth: str = "") -> tuple[int, str]:
    request = urllib.request.Request(address)
    if auth:
        from base64 import b64encode

        request.add_header("Authorization", f"Basic {b64encode(auth.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=40) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_end(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "taskq.toml").write_text('hooks = ["nosuch"]\n')  # which hinders nobody from looking
    with serving("--broker", "sqlite:///jobs.db", cwd=tmp_path) as (process, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        status, text = asked(address)
        assert status == 200
        assert "No queue yet" in text
        assert asked(f"{address}health") == (200, "ok\n")
        assert "SendEmail" not in asked(f"{address}enqueue")[1]  # the demonstration's jobs are no one else's
        process.send_signal(number)
        out, err = process.communicate(timeout=40)
        assert process.returncode == 0, (out, err)
        assert "Traceback" not in err
        assert 'no hook "nosuch" is installed' in err


def test_beyond_this_machine_it_asks_who_is_there(tmp_path: Path) -> None:
    env = {"TASKQ_WEB_AUTH": "ops:hush", "TASKQ_BROKER": "sqlite:///jobs.db"}
    with serving("--host", "0.0.0.0", "--prefix", "jobs/", cwd=tmp_path, env=env) as (_, address):
        port = re.search(r":(\d+)/jobs/$", address)
        assert port
        here = f"http://127.0.0.1:{port[1]}/jobs/"
        assert asked(here)[0] == 401
        status, text = asked(here, auth="ops:hush")
        assert status == 200
        assert 'href="/jobs/queues"' in text


def run(*args: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(program, ["web", *args], env={"TASKQ_WEB_AUTH": None, **(env or {})})
    return done.exit_code, done.output


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "jobs.example"])
def test_it_refuses_to_let_everybody_in(host: str) -> None:
    code, said = run("--host", host, "--broker", "memory://")
    assert code == 2
    assert said == (
        f"Refused to listen on {host} without authentication: anyone who reaches it can delete jobs. "
        "Set TASKQ_WEB_AUTH=user:password, or pass --no-auth-i-mean-it.\n"
    )
    code, said = run("--behind-proxy", "1", "--broker", "memory://")
    assert code == 2
    assert said.startswith("Refused to listen behind a proxy without authentication")


@pytest.mark.parametrize("args", [("--prefix", "/jobs"), ("--origin", "https://jobs.example")])
def test_who_names_a_proxy_has_one(args: Sequence[str]) -> None:
    code, said = run(*args, "--broker", "memory://")
    assert code == 2
    assert said.startswith("Refused to listen behind a proxy without authentication")


def test_what_cannot_be_listened_on_is_said_in_a_sentence() -> None:
    code, said = run("--host", "no.such.host.invalid", "--no-auth-i-mean-it", "--broker", "memory://")
    assert code == 2
    assert said.startswith("Cannot listen on no.such.host.invalid:5678: there is no such host. Another address: ")
    code, said = run("--prefix", "/\u00e9", "--no-auth-i-mean-it", "--broker", "memory://")
    assert code == 2
    assert "--prefix is a path as an address writes it" in said


def test_it_takes_one_way_of_letting_people_in() -> None:
    code, said = run("--no-auth-i-mean-it", "--broker", "memory://", env={"TASKQ_WEB_AUTH": "a:b"})
    assert code == 2
    assert "Take one of them" in said
    code, said = run(env={"TASKQ_WEB_AUTH": "hush"})
    assert code == 2
    assert "TASKQ_WEB_AUTH: a user and a password with a colon between" in said
    assert "hush" not in said


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "taskq", "web", "--port", str(port), "--broker", "memory://"]
        done = subprocess.run(command, cwd=tmp_path, env=ENVIRON, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"Something listens on 127.0.0.1:{port} already. Another port: taskq web --port ")


def test_no_broker_is_said_at_once() -> None:
    code, said = run("--broker", "redis://127.0.0.1:1/0")
    assert code == 69
    assert said.startswith("Cannot reach Redis at 127.0.0.1:1")


def test_the_demonstration_has_jobs_and_workers_and_leaves_nothing(tmp_path: Path) -> None:
    with serving("--demo", cwd=tmp_path, env={"TMPDIR": str(tmp_path)}) as (process, address):
        text = asked(f"{address}queues")[1]
        assert re.search(r'data-label="Oldest">\d+ (s|min)<', text)
        assert {"emails", "payments", "images", "legacy-sync"} <= set(re.findall(r"<bdi>([\w-]+)</bdi>", text))
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=40)
        assert process.returncode == 0, (out, err)
    assert list(tmp_path.iterdir()) == []
