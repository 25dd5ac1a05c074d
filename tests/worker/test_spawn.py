"""What a spawned interpreter is told, and who cannot be spawned. What befalls it: `tests/faults/test_spawn.py`."""

from __future__ import annotations

import io
import json
import os
import sys

import pytest
from click.testing import CliRunner

import taskq
from taskq.app import TaskQ
from taskq.cli.main import program
from taskq.config import Config
from taskq.errors import ConfigurationError
from taskq.hook import Hook
from taskq.registry import Registry
from taskq.worker.run import run
from taskq.worker.spawn import setup_of


class Quiet(Hook):
    name = "quiet"

    def flush(self) -> None:
        """Has nothing to."""


class TestSetupOf:
    def test_has_what_the_application_is_made_of_and_nothing_of_the_worker(self) -> None:
        setup = setup_of(Config(app=("shop.jobs",), broker="redis://:pw@host/1", accept=("json", "msgpack"), host="me"))
        said = json.loads(setup.dump())
        assert (said["parent"], said["path"]) == (os.getpid(), sys.path)
        assert said["config"]["broker"] == "redis://:pw@host/1"
        assert said["config"]["accept"] == ["json", "msgpack"]
        assert "host" not in said["config"]
        assert said["of_app"] == []

    def test_what_is_an_object_is_left_to_the_application(self) -> None:
        setup = setup_of(Config(app=("shop.jobs:app",), hooks=("logging", Quiet())))
        assert setup.of_app == ("hooks",)
        assert "hooks" not in setup.config

    def test_an_application_without_a_name_cannot_be_imported(self) -> None:
        with pytest.raises(ConfigurationError, match=r"given as an object.*--app shop\.jobs:app"):
            setup_of(Config())


def test_an_application_given_as_an_object_is_refused_at_the_start() -> None:
    app = TaskQ(broker="redis://127.0.0.1:1", execution="spawn", burst=True)
    with pytest.raises(ConfigurationError, match="given as an object"):
        run(app, app.config, out=io.StringIO())


def test_where_another_process_would_not_see_the_store_jobs_are_performed_inline_and_it_says_so() -> None:
    registry = Registry()
    performed: list[int] = []
    job = taskq.job(queue="q", registry=registry)(performed.append)
    app = TaskQ(Config(broker="memory://", app=("anything",), execution="spawn", burst=True), registry=registry)
    out = io.StringIO()
    app.enqueue_many([job.call(1)])
    assert run(app, app.config, out=out) == 0
    assert performed == [1]
    assert (
        "in the worker's own process: another process would not see the store of the backend memory" in out.getvalue()
    )


def test_inline_and_spawn_exclude_each_other() -> None:
    result = CliRunner().invoke(program, ["worker", "--inline", "--spawn"])
    assert result.exit_code == 2
    assert "--inline and --spawn exclude each other" in result.output
