from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from taskq import events
from taskq.app import TaskQ
from taskq.cli import endings
from taskq.cli import worker as worker_command
from taskq.cli.main import program
from taskq_redis.testing import RedisServer
from tests.cli.conftest import Typed

pytestmark = pytest.mark.redis


@pytest.fixture
def app(redis_url: str) -> TaskQ:
    return TaskQ(broker=redis_url)


def test_it_performs_what_was_enqueued(project: Path, typed: Typed, redis_url: str, app: TaskQ) -> None:
    with app:
        app.enqueue_to("emails", "Emailer", "a@example.com", "Hi")
        app.enqueue_to("emails", "Emailer", "nobody")
        done = typed("worker", "--app", "shop.jobs", "-b", redis_url, "--queues", "emails,low", "--burst", "-v")
        assert done.returncode == 0
        assert done.stderr == ""
        lines = done.stdout.splitlines()
        assert re.fullmatch(rf"\*\*\* Starting worker {re.escape(socket.gethostname())}:\d+:emails,low", lines[0])
        assert lines[1:] == [
            '*** got: (Job{emails} | Emailer | ["a@example.com", "Hi"])',
            "sent to a@example.com",
            '*** done: (Job{emails} | Emailer | ["a@example.com", "Hi"])',
            '*** got: (Job{emails} | Emailer | ["nobody"])',
            '*** (Job{emails} | Emailer | ["nobody"]) failed: #<ValueError: nobody is no address>',
        ]
        assert app.info()["processed"] == 2
        assert app.info()["failed"] == 1


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">&-"])
@pytest.mark.parametrize("model", ["--inline", "--count 1", "--count 2"])
def test_it_performs_where_its_output_was_closed(
    closed: str, model: str, project: Path, redis_url: str, app: TaskQ
) -> None:
    with app:
        app.enqueue_to("emails", "Emailer", "a@example.com", "Hi")  # it prints: to nobody, and to no socket either
        command = f"exec {sys.executable} -m taskq worker --app shop.jobs -b {redis_url} --burst {model} -v {closed}"
        assert subprocess.run(["sh", "-c", command], cwd=project, timeout=30, check=False).returncode == 0
        assert app.info()["processed"] == 1
        assert app.info()["failed"] == 0


def test_quiet_it_says_that_it_starts_and_what_jobs_print(
    project: Path, typed: Typed, redis_url: str, app: TaskQ
) -> None:
    with app:
        app.enqueue_to("emails", "Emailer", "a@example.com")
        done = typed("worker", "--app", "shop.jobs", "-b", redis_url, "--burst")
        assert len(done.stdout.splitlines()) == 2
        assert done.stdout.splitlines()[1] == "sent to a@example.com"


def test_an_unknown_job_is_in_the_failed_list_with_what_is_known(
    project: Path, typed: Typed, redis_url: str, app: TaskQ
) -> None:
    with app:
        app.enqueue_to("emails", "Emialer", "a@example.com")
        typed("worker", "--app", "shop.jobs", "-b", redis_url, "--burst")
        [failed] = app.failures.list()
        for part in ('Unknown job "Emialer" (queue emails)', "Emailer, log_in", "Did you mean Emailer?", "--app"):
            assert part in failed.error


def test_the_environment_of_resque(project: Path, typed: Typed, redis_url: str, app: TaskQ) -> None:
    with app:
        app.enqueue_to("low", "Emailer", "low@example.com")
        app.enqueue_to("high", "Emailer", "high@example.com")
        app.enqueue_to("other", "Emailer", "other@example.com")
        environment = {"QUEUE": "high,low", "INTERVAL": "0", "VERBOSE": "1", "TASKQ_APP": "shop.jobs"}
        done = typed("worker", env={**environment, "TASKQ_BROKER": redis_url})
        assert re.findall(r"sent to (\w+)", done.stdout) == ["high", "low"]
        assert "*** got:" in done.stdout
        assert app.size("other") == 1


def test_an_order_over_queues(project: Path, typed: Typed, redis_url: str, app: TaskQ) -> None:
    with app:
        for queue in "aabb":
            app.enqueue_to(queue, "Emailer", f"{queue}@example.com")
        options = ("worker", "-b", redis_url, "--app", "shop.jobs", "--burst")
        done = typed(*options, "--queues", "a,b", env={"TASKQ_ORDER": "round-robin"})
        assert re.findall(r"sent to (\w+)", done.stdout) in ([*"abab"], [*"baba"])
        app.enqueue_to("a=b", "Emailer", "sign@example.com")
        done = typed(*options, "--order", "weighted", "-q", "a=b=3", "-q", "b*=2", "-q", "!bad")
        assert re.search(r"Starting worker [^:]+:\d+:a=b,b\*\nsent to sign@", done.stdout)


def test_an_option_wins_over_the_environment(project: Path, typed: Typed, redis_url: str, app: TaskQ) -> None:
    with app:
        app.enqueue_to("low", "Emailer", "low@example.com")
        app.enqueue_to("high", "Emailer", "high@example.com")
        environment = {"QUEUE": "high", "TASKQ_BURST": "true", "TASKQ_BROKER": "redis://127.0.0.1:1"}
        done = typed("worker", "-q", "low", "-b", redis_url, "--app", "shop.jobs", env=environment)
        assert re.findall(r"sent to (\w+)", done.stdout) == ["low"]


def test_a_taskq_of_the_application_and_what_it_was_made_with(project: Path, typed: Typed, redis_url: str) -> None:
    (project / "own.py").write_text(
        "import taskq\n"
        "from taskq.registry import Registry\n"
        f"app = taskq.TaskQ(broker={redis_url!r}, registry=Registry(), queues=['only'])\n"
        "@taskq.job(registry=app.registry, queue='only')\n"
        "def hello(name): print('hello', name)\n"
    )
    assert typed("enqueue", "--app", "own:app", "hello", "ada").returncode == 0
    done = typed("worker", "--app", "own:app", "--burst")
    assert re.search(r"Starting worker [^:]+:\d+:only\nhello ada\n", done.stdout)


def test_a_job_enqueues_to_the_broker_that_its_worker_was_given(
    project: Path, typed: Typed, redis_url: str, app: TaskQ
) -> None:
    (project / "chain.py").write_text(
        "import taskq\n"
        "taskq.configure(broker='redis://127.0.0.1:1')\n"
        "@taskq.job(queue='a')\n"
        "def first(): second.enqueue()\n"
        "@taskq.job(queue='b')\n"
        "def second(): print('second')\n"
    )
    with app:
        app.enqueue_to("a", "first")
        done = typed("worker", "--app", "chain", "-b", redis_url, "--queues", "a,b", "--burst")
        assert done.stdout.endswith("second\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "No application is named, so there is no job to perform."),
        (["--app", "shop"], "no job is registered by shop."),
        (["--app", "shop.job"], 'No module named "shop.job". Did you mean shop.jobs?'),
        (["--app", "shop.jobs", "--queue", "!emails"], "--queue: Please give each worker at least one queue."),
        (["--app", "shop.jobs", "--count", "0"], "--count: must be a whole number of at least 1"),
        (["--app", "shop/jobs.py"], "Did you mean shop.jobs?"),
        (["--app", "jobs.py"], "Did you mean jobs?"),
    ],
)
def test_a_worker_that_cannot_start_ends_with_2(
    project: Path, typed: Typed, redis_url: str, options: list[str], said: str
) -> None:
    done = typed("worker", "-b", redis_url, *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_several_on_a_store_that_only_one_process_sees_are_refused(project: Path, typed: Typed) -> None:
    for count in ("2", "1-2"):
        done = typed("worker", "-b", "memory://", "--app", "shop.jobs", "--burst", "--count", count)
        assert done.returncode == 2
        assert "would not see the store of the backend memory" in done.stderr
        assert len(done.stderr.splitlines()) == 1


class TestPool:
    @pytest.fixture
    def pool(self, project: Path) -> Path:
        (project / "pool.toml").write_text('[group.mail]\nqueues = "emails"\ncount = 2\n')
        return project

    def test_runs_its_groups(self, pool: Path, typed: Typed, redis_url: str, app: TaskQ) -> None:
        with app:
            app.enqueue_to("emails", "Emailer", "mail@example.com")
            app.enqueue_to("other", "Emailer", "other@example.com")
            options = ("worker", "-b", redis_url, "--app", "shop.jobs", "--burst", "--config", "pool.toml")
            done = typed(*options, env={"QUEUE": "other", "COUNT": "5"})
            assert done.returncode == 0
            assert re.findall(r"sent to (\w+)", done.stdout) == ["mail"]
            assert len(re.findall(r"Starting worker [^:]+:\d+:emails\n", done.stdout)) == 2
            assert "QUEUE and COUNT have no effect: the groups of pool.toml say it." in done.stdout
            assert app.size("other") == 1

    def test_leaves_no_room_for_what_each_group_says_itself(self, pool: Path, typed: Typed, redis_url: str) -> None:
        options = ("-b", redis_url, "--app", "shop.jobs", "--config", "pool.toml")
        done = typed("worker", *options, "-q", "a", "--queues", "b", "--count", "3")
        assert done.returncode == 2
        assert done.stderr.splitlines() == [
            f"{option}: each group of pool.toml says that for itself. Leave out this option, or --config."
            for option in ("--queue", "--count")
        ]

    def test_says_all_that_is_wrong_at_once_and_ends_with_2(self, pool: Path, typed: Typed, redis_url: str) -> None:
        (pool / "pool.toml").write_text("[group.a]\ncount = 0\n[group.b]\nqueues = 'q'\nbeat = 0\n")
        done = typed("worker", "-b", redis_url, "--app", "shop.jobs", "--config", "pool.toml")
        assert done.returncode == 2
        places = [line.partition(":")[0] for line in done.stderr.splitlines()]
        assert places == ["pool.toml [group.a] count", "pool.toml [group.a]", "pool.toml [group.b] beat"]


def test_reload_without_its_extra_says_what_to_install(
    project: Path, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    done = CliRunner().invoke(program, ["worker", "--app", "shop.jobs", "-b", redis_url, "--reload"])
    assert (done.exit_code, done.stderr) == (
        2,
        '--reload: needs the package watchfiles: pip install "taskq[reload]".\n',
    )


def test_a_missing_plugin_and_a_missing_extra_end_with_2(project: Path, typed: Typed, redis_url: str) -> None:
    done = typed("worker", "-b", redis_url, "--app", "shop.jobs", "--burst", env={"TASKQ_SERIALIZER": "mesgpack"})
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith('TASKQ_SERIALIZER: no serializer "mesgpack" is installed')
    assert "Did you mean msgpack?" in done.stderr
    (project / "msgpack.py").write_text("raise ModuleNotFoundError('no', name='msgpack')")
    without = {"TASKQ_SERIALIZER": "msgpack", "PYTHONPATH": str(project)}
    done = typed("worker", "-b", redis_url, "--app", "shop.jobs", "--burst", env=without)
    assert done.returncode == 2
    assert 'pip install "taskq[msgpack]"' in done.stderr


def test_background_is_refused_with_a_word_on_service_managers(project: Path, typed: Typed, redis_url: str) -> None:
    done = typed("worker", "-b", redis_url, "--app", "shop.jobs", "--burst", env={"BACKGROUND": "1"})
    assert done.returncode == 2
    assert "service manager" in done.stderr


def test_a_wrong_password_is_not_waited_for(project: Path, typed: Typed) -> None:
    with RedisServer(requirepass="right") as server:
        address = server.url.replace("redis://", "redis://:wrong-one@")
        done = typed("worker", "-b", address, "--app", "shop.jobs")
    assert done.returncode == 2
    assert "password" in done.stderr
    assert "wrong-one" not in done.stdout + done.stderr


def _until(condition: object, seconds: float = 30.0) -> None:
    assert callable(condition)
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it never came to that"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_a_signal_that_it_knows_ends_it_with_0(project: Path, redis_url: str, app: TaskQ, number: int) -> None:
    command = [sys.executable, "-m", "taskq", "worker", "--app", "shop.jobs", "-b", redis_url]
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with app:
        _until(app.workers)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert (process.returncode, said) == (0, "")
        assert app.workers() == []


def test_it_waits_for_a_broker_that_is_away_a_line_a_try(project: Path, redis_url: str) -> None:
    command = [sys.executable, "-m", "taskq", "worker", "--app", "shop.jobs", "-b", "redis://127.0.0.1:1"]
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    assert re.search(r"is away \(connection refused\); try 1, again in 1 s\.", process.stdout.readline())
    process.terminate()
    rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in rest


def test_while_it_waits_for_one_that_nobody_chose_it_says_once_what_needs_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for tries in (1, 2, 3):
        worker_command._tell_of_files(events.BrokerLost("connection refused", tries=tries, again_in=1.0))
    worker_command._tell_of_files(events.BrokerLost("connection reset"))
    assert capsys.readouterr().out == f"*** {endings.WITHOUT_A_SERVER}\n"


def test_workers_check_finds_it_and_files_are_written(project: Path, typed: Typed, redis_url: str, app: TaskQ) -> None:
    options = ["--host", "web", "--health-file", "health", "--pidfile", "pid", "--beat", "1"]
    command = [sys.executable, "-m", "taskq", "worker", "--app", "shop.jobs", "-b", redis_url, *options]
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL)
    try:
        with app:
            _until(app.workers)
            _until((project / "health").exists)
        assert (project / "pid").read_text() == str(process.pid)
        check = typed("workers", "check", "--host", "web", "-b", redis_url)
        assert (check.returncode, check.stdout.startswith(f"web:{process.pid}:* sent its last")) == (0, True)
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(30)
    assert typed("workers", "check", "--host", "web", "-b", redis_url).returncode == 1
