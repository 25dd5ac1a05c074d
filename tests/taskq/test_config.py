from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from taskq import config
from taskq.config import Config, Count
from taskq.errors import ConfigurationError, Problem

SETTINGS = [each.name for each in fields(Config) if each.name not in {"notices", "sources"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder without a file above it that concerns taskq."""
    return tmp_path


def load(folder: Path, environ: Mapping[str, str] | None = None, **given: Any) -> Config:
    return config.load(environ=environ or {}, start=folder, **given)


def problems(folder: Path, environ: Mapping[str, str] | None = None, **given: Any) -> list[Problem]:
    with pytest.raises(ConfigurationError) as caught:
        load(folder, environ, **given)
    return list(caught.value.problems)


def test_every_setting_has_a_reader() -> None:
    assert set(config._SETTINGS) == set(SETTINGS)


def test_nothing_set_gives_the_defaults_and_says_so(folder: Path) -> None:
    found = load(folder, worker=True)
    assert found == Config()
    assert set(found.sources) == set(SETTINGS)
    assert set(found.sources.values()) == {config.DEFAULT}
    assert found.notices == ()
    assert (found.broker, found.namespace, found.queues) == ("redis://localhost:6379/0", "resque", ("*",))


def test_the_environment_is_the_processs_own_and_the_folder_the_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "taskq.toml").write_text("count = 3")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TASKQ_BEAT", "2")
    found = config.load()
    assert (found.count, found.beat) == (Count(3, 3), 2.0)


class TestPrecedence:
    def test_option_call_environment_file_and_default_win_in_this_order(self, folder: Path) -> None:
        (folder / "taskq.toml").write_text("beat = 1\nshutdown-timeout = 1\nhost = 'file'\nnamespace = 'file'")
        environ = {"TASKQ_BEAT": "2", "TASKQ_SHUTDOWN_TIMEOUT": "2", "TASKQ_HOST": "environment"}
        found = load(folder, environ, call={"beat": 3, "shutdown_timeout": 3}, options={"beat": 4})
        assert (found.beat, found.shutdown_timeout, found.host, found.namespace) == (4, 3, "environment", "file")
        assert found.source("beat") == "--beat"
        assert found.source("shutdown_timeout") == "shutdown_timeout=..."
        assert found.source("host") == "TASKQ_HOST"
        assert found.source("namespace") == "taskq.toml namespace"
        assert found.source("count") == "default"

    def test_none_is_not_given_and_of_options_an_empty_tuple_neither(self, folder: Path) -> None:
        environ = {"TASKQ_HOST": "h", "TASKQ_APP": "shop.jobs", "TASKQ_DEBUG": "1"}
        options = {"host": None, "app": (), "debug": False}
        found = load(folder, environ, call={"host": None, "hooks": ()}, options=options)
        assert (found.host, found.app, found.debug, found.hooks) == ("h", ("shop.jobs",), False, ())

    def test_an_empty_variable_is_not_set(self, folder: Path) -> None:
        environ = {"TASKQ_BROKER": "", "REDIS_URL": "redis://other", "INTERVAL": "", "BACKGROUND": ""}
        found = load(folder, environ, worker=True)
        assert (found.broker, found.queues, found.interval) == ("redis://other", ("*",), 5.0)

    @pytest.mark.parametrize("variable", ["QUEUE", "QUEUES"])
    def test_but_an_empty_queue_is_a_mistake_unless_the_other_variable_names_some(
        self, variable: str, folder: Path
    ) -> None:
        """Whoever sets it means some queues, and would be given all."""
        with pytest.raises(ConfigurationError, match=rf"{variable}: Please give .* at least one queue. .*: \*"):
            load(folder, {variable: ""}, worker=True)
        assert load(folder, {variable: ""}, options={"queues": ("x",)}, worker=True).queues == ("x",)
        assert load(folder, {variable: "", "QUEUES" if variable == "QUEUE" else "QUEUE": "x"}, worker=True).queues == (
            "x",
        )

    def test_taskqs_own_variable_wins_over_one_of_others(self, folder: Path) -> None:
        found = load(
            folder, {"REDIS_URL": "redis://a", "TASKQ_BROKER": "redis://b", "QUEUES": "x", "QUEUE": "y"}, worker=True
        )
        assert found.broker == "redis://b"
        assert found.queues == ("x",)


VARIABLES: list[tuple[str, str, str, object]] = [
    ("TASKQ_BROKER", " memory:// ", "broker", "memory://"),
    ("REDIS_URL", "redis://h/1", "broker", "redis://h/1"),
    ("TASKQ_NAMESPACE", "shop", "namespace", "shop"),
    ("TASKQ_APP", "shop.jobs, shop.main:tasks", "app", ("shop.jobs", "shop.main:tasks")),
    ("QUEUE", "mail,!low, *", "queues", ("mail", "!low", "*")),
    ("QUEUES", "b_low, a_high", "queues", ("b_low", "a_high")),
    ("COUNT", "3", "count", Count(3, 3)),
    ("COUNT", " 2 - 8 ", "count", Count(2, 8)),
    ("INTERVAL", "0.5", "interval", 0.5),
    ("VERBOSE", "1", "verbose", 1),
    ("LOGGING", "1", "verbose", 1),
    ("VVERBOSE", "1", "verbose", 2),
    ("FORK_PER_JOB", "false", "execution", "inline"),
    ("FORK_PER_JOB", "no", "execution", "fork"),
    ("TASKQ_SPAWN", "yes", "execution", "spawn"),
    ("TASKQ_SPAWN", "0", "execution", "fork"),
    ("TASKQ_THREADS", "8", "execution", "threads"),
    ("TASKQ_THREADS", "8", "at_once", 8),
    ("TASKQ_ASYNC", "50", "execution", "async"),
    ("TASKQ_ASYNC", "50", "at_once", 50),
    ("TASKQ_SHUTDOWN_TIMEOUT", "0", "shutdown_timeout", 0.0),
    ("TASKQ_BEAT", "2.5", "beat", 2.5),
    ("TASKQ_DEAD_AFTER", "60", "dead_after", 60.0),
    ("TASKQ_HOST", "web-1", "host", "web-1"),
    ("TASKQ_HEALTH_FILE", "run/ok", "health_file", Path("run/ok")),
    ("PIDFILE", "run/pid", "pidfile", Path("run/pid")),
    ("TASKQ_RETRY", "off", "retry", False),
    ("TASKQ_SERIALIZER", "msgpack", "serializer", "msgpack"),
    ("TASKQ_ACCEPT", "json", "accept", ("json",)),
    ("TASKQ_HOOKS", "logging,mine", "hooks", ("logging", "mine")),
    ("TASKQ_FAILURE_HANDLERS", "log,broker", "failure_handlers", ("log", "broker")),
    ("FAILURE_BACKEND", "redis", "failure_handlers", ("broker",)),
    ("FAILURE_BACKEND", "redis_multi_queue", "failure_handlers", ("multi_queue",)),
    ("TASKQ_MAX_PAYLOAD", "2048", "max_payload", 2048),
    ("TASKQ_FAILED_MAX", "10000", "failed_max", 10000),
    ("TASKQ_INLINE", "true", "inline", True),
    ("TERM_CHILD", "1", "term_child", True),
    ("GRACEFUL_TERM", "1", "graceful_term", True),
    ("RESQUE_TERM_TIMEOUT", "7.5", "term_timeout", 7.5),
    ("RESQUE_PRE_SHUTDOWN_TIMEOUT", "1", "pre_shutdown_timeout", 1.0),
    ("RESQUE_PROCLINE_PREFIX", "shop: ", "procline_prefix", "shop: "),
    ("RUN_AT_EXIT_HOOKS", "1", "run_at_exit_hooks", True),
]


class TestEnvironment:
    @pytest.mark.parametrize(("variable", "text", "setting", "value"), VARIABLES)
    def test_a_variable_sets_its_setting(
        self, folder: Path, variable: str, text: str, setting: str, value: object
    ) -> None:
        found = load(folder, {variable: text}, worker=True)
        assert getattr(found, setting) == value
        assert type(getattr(found, setting)) is type(value)
        if value != getattr(Config(), setting):
            assert found.source(setting) == variable

    @pytest.mark.parametrize(
        "variable", ["VERBOSE", "VVERBOSE", "LOGGING", "TERM_CHILD", "GRACEFUL_TERM", "RUN_AT_EXIT_HOOKS"]
    )
    @pytest.mark.parametrize("text", ["", "0", "false"])
    def test_some_count_as_set_whatever_they_hold(self, folder: Path, variable: str, text: str) -> None:
        found = load(folder, {variable: text}, worker=True)
        assert variable in found.sources.values()

    @pytest.mark.parametrize("variable", ["COUNT", "INTERVAL", "BACKGROUND", "FAILURE_BACKEND", "QUEUE"])
    def test_only_a_worker_reads_the_variables_that_others_may_use_too(self, folder: Path, variable: str) -> None:
        environ = {variable: "!rubbish"}
        assert load(folder, environ) == Config()
        assert [problem.source for problem in problems(folder, environ, worker=True)] == [variable]

    @pytest.mark.parametrize("variable", ["MIN_INTERVAL", "MAX_INTERVAL", "BACKOFF_INTERVAL"])
    def test_what_the_wake_up_makes_needless_is_noticed(self, folder: Path, variable: str) -> None:
        (notice,) = load(folder, {variable: "1"}, worker=True).notices
        assert notice.startswith(f"{variable} has no effect")

    def test_background_is_refused_with_a_word_on_service_managers(self, folder: Path) -> None:
        (problem,) = problems(folder, {"BACKGROUND": "yes"}, worker=True)
        assert problem.source == "BACKGROUND"
        assert "service manager" in problem.message

    def test_a_variable_mistyped_is_noticed_and_one_of_others_is_not(self, folder: Path) -> None:
        found = load(folder, {"TASKQ_BORKER": "x", "TASKQ_WEB_AUTH_READ": "a:b", "TASKQ_PREFETCH": "3"})
        assert found.notices == ("TASKQ_BORKER is not a setting of taskq. Did you mean TASKQ_BROKER?",)


class TestFile:
    def test_the_table_of_a_pyproject_is_read(self, folder: Path) -> None:
        (folder / "pyproject.toml").write_text(
            '[tool.taskq]\nqueues = ["mail", "*"]\nverbose = true\napp = "shop.jobs"'
        )
        found = load(folder)
        assert (found.queues, found.verbose, found.app) == (("mail", "*"), 1, ("shop.jobs",))
        assert found.source("queues") == "pyproject.toml [tool.taskq] queues"

    def test_the_nearest_folder_upwards_that_says_something_says_it_all(self, folder: Path) -> None:
        inner = folder / "a" / "b" / "c"
        inner.mkdir(parents=True)
        (folder / "taskq.toml").write_text("beat = 1\nhost = 'far'")
        (folder / "a" / "pyproject.toml").write_text("[tool.taskq]\nbeat = 2")
        (inner / "pyproject.toml").write_text('[project]\nname = "taskq-user"')
        found = load(inner)
        assert (found.beat, found.host) == (2, None)
        assert found.source("beat") == f"{folder / 'a' / 'pyproject.toml'} [tool.taskq] beat"

    def test_of_two_in_one_folder_taskq_toml_is_read_and_the_other_noticed(self, folder: Path) -> None:
        (folder / "taskq.toml").write_text("beat = 1")
        (folder / "pyproject.toml").write_text("[tool.taskq]\nbeat = 2")
        found = load(folder)
        assert found.beat == 1
        assert found.notices == ("pyproject.toml [tool.taskq] is not read, for there is a taskq.toml beside it.",)

    def test_a_file_that_is_no_toml_is_a_problem_among_others(self, folder: Path) -> None:
        (folder / "taskq.toml").write_bytes(b"beat = \xff")
        assert [problem.source for problem in problems(folder, {"TASKQ_BEAT": "x"})] == ["taskq.toml", "TASKQ_BEAT"]

    def test_somebody_elses_broken_pyproject_is_none_of_our_business(self, folder: Path) -> None:
        (folder / "pyproject.toml").write_text("[project")
        assert load(folder) == Config()

    def test_a_table_that_is_none_is_a_problem(self, folder: Path) -> None:
        (folder / "pyproject.toml").write_text("[tool]\ntaskq = 3")
        (problem,) = problems(folder)
        assert str(problem) == "pyproject.toml [tool.taskq]: must be a table, not 3."

    def test_a_file_that_cannot_be_read_is_a_problem(self, folder: Path) -> None:
        (folder / "taskq.toml").symlink_to("taskq.toml")
        (problem,) = problems(folder)
        assert str(problem) == "taskq.toml: cannot be read: Too many levels of symbolic links."


class TestMistakes:
    def test_all_come_at_once_each_with_its_place(self, folder: Path) -> None:
        (folder / "pyproject.toml").write_text("[tool.taskq]\nintervall = 1\nmax_payload = '1 MiB'\nretry = 'no'")
        found = problems(
            folder, {"COUNT": "two", "TASKQ_BEAT": "nan"}, call={"borker": "x"}, options={"host": "a:b"}, worker=True
        )
        assert [str(problem) for problem in found] == [
            'pyproject.toml [tool.taskq] intervall: there is no setting "intervall". Did you mean interval?',
            "pyproject.toml [tool.taskq] max_payload: must be a whole number of bytes, of at least 1, not '1 MiB'.",
            "pyproject.toml [tool.taskq] retry: must be true or false, not 'no'.",
            "COUNT: must be a whole number of at least 1, or a range such as 2-8, not 'two'.",
            "TASKQ_BEAT: must be a number of seconds above 0, a century at most, not 'nan'.",
            'borker=...: there is no setting "borker". Did you mean broker?',
            "--host: must be a host name without colon, comma or space, being part of the worker's id; not 'a:b'.",
        ]
        assert [problem.setting for problem in found][-1] == "host"

    @pytest.mark.parametrize(
        ("setting", "value", "said"),
        [
            ("count", 0, "of at least 1"),
            ("count", True, "a whole number"),
            ("count", "3", "a whole number of at least 1, or a range such as 2-8, not '3'"),
            ("count", "8-2", "a range from 1 or more to as many or more, such as 2-8, not '8-2'"),
            ("count", "0-2", "not '0-2'"),
            ("count", "2-", "not '2-'"),
            ("interval", -1, "0 or more"),
            ("interval", float("inf"), "seconds"),
            ("interval", 1e12, "a century at most, not 1000000000000.0"),
            ("shutdown_timeout", 1e12, "a century"),
            ("timeout_grace", 1e12, "a century"),
            ("dead_after", 1e12, "a century"),
            ("interval", "5", "not '5'"),
            ("beat", 0, "above 0"),
            ("verbose", 3, "from 0 to 2"),
            ("burst", 1, "true or false"),
            ("execution", "frok", "must be fork, inline, threads, async or spawn, not 'frok'. Did you mean fork?"),
            (
                "order",
                "wieghted",
                "must be strict, weighted, round-robin or random, not 'wieghted'. Did you mean weighted",
            ),
            ("app", "shop/jobs.py", "Did you mean shop.jobs?"),
            ("app", "./jobs.py", "Did you mean jobs?"),
            ("app", "../jobs.py", "a module such as shop.jobs, or module:name of a TaskQ in it, not '../jobs.py'."),
            ("app", ["shop:a.b"], "module:name"),
            ("app", [3], "3 is none"),
            ("queues", "!a", "at least one queue"),
            ("queues", "", "at least one queue"),
            ("queues", b"a", "must be a list"),
            ("hooks", [3], "3 is none"),
            ("hooks", ["a", "b", "a"], "'a' is there twice"),
            ("hooks", [Path], "give Path(), not the class"),
            ("accept", [], "it is empty"),
            ("serializer", " ", "must be a name"),
            ("namespace", 3, "must be a text"),
            ("health_file", "", "path of a file"),
            ("pidfile", b"x", "path of a file"),
            ("failed_max", 0, "of entries, of at least 1"),
            ("broker", " ", "it is empty"),
            ("broker", {"host": "x"}, "not of type dict"),
            ("host", "a b", "without colon, comma or space"),
        ],
    )
    def test_a_wrong_value_is_answered_with_what_it_must_be(
        self, folder: Path, setting: str, value: object, said: str
    ) -> None:
        (problem,) = problems(folder, call={setting: value})
        assert problem.setting == setting
        assert problem.source == f"{setting}=..."
        assert said in problem.message

    @pytest.mark.parametrize(
        ("setting", "place"), [("queues", "--queue"), ("execution", "--inline"), ("dead_after", "--dead-after")]
    )
    def test_an_option_is_named_as_the_command_line_names_it(self, folder: Path, setting: str, place: str) -> None:
        assert [problem.source for problem in problems(folder, options={setting: 3.5j})] == [place]

    def test_a_silence_of_two_beats_is_no_death(self, folder: Path) -> None:
        (problem,) = problems(folder, {"TASKQ_BEAT": "10"}, call={"dead_after": 20})
        assert problem.source == "dead_after=..."
        assert "it is 20 s, and a beat is 10 s (TASKQ_BEAT)" in problem.message

    def test_no_password_shows_neither_in_an_error_nor_in_the_representation(self, folder: Path) -> None:
        url = "redis://app:s3cret@host"
        shown = [*problems(folder, {"TASKQ_APP": url}, call={"host": url, "hooks": [[url]], "broker": [url]})]
        assert len(shown) == 4
        assert "s3cret" not in "\n".join(map(str, shown))
        assert "s3cret" not in repr(load(folder, call={"broker": url}))


class TestConsequences:
    def test_an_interval_of_0_is_a_burst(self, folder: Path) -> None:
        found = load(folder, options={"interval": "0"})
        assert found.burst
        assert found.source("burst") == "--interval"
        assert not load(folder, call={"burst": False}, options={"interval": 0}).burst

    @pytest.mark.parametrize(
        ("call", "silence"),
        [({}, 25), ({"execution": "inline"}, 300), ({"beat": 20}, 100), ({"beat": 100, "execution": "inline"}, 500)],
    )
    def test_dead_after_follows_from_the_execution_model_and_the_beat(
        self, folder: Path, call: Mapping[str, object], silence: float
    ) -> None:
        assert load(folder, call=call).dead_after == silence

    def test_weights_are_read_where_the_order_has_them(self, folder: Path) -> None:
        given = {"QUEUE": "a=b,c=2,d=x"}
        found = problems(folder, {**given, "TASKQ_ORDER": "weighted"}, worker=True)
        assert [(problem.setting, problem.source) for problem in found] == [("queues", "QUEUE")] * 2
        assert load(folder, {"QUEUE": "a=b=1,c=2", "TASKQ_ORDER": "weighted"}, worker=True).notices == ()

    def test_a_weight_that_no_order_reads_is_noticed(self, folder: Path) -> None:
        found = load(folder, {"QUEUE": "a=b,c=2,!d=2"}, worker=True)
        assert found.queues == ("a=b", "c=2", "!d=2")
        assert found.notices == ("QUEUE: c=2: taken as a queue's name. Weights are read with --order weighted only.",)

    def test_a_worker_accepts_json_and_what_it_writes_itself(self, folder: Path) -> None:
        assert load(folder, call={"serializer": "msgpack"}).accept == ("msgpack", "json")
        assert load(folder, call={"serializer": "msgpack", "accept": ["msgpack"]}).accept == ("msgpack",)

    def test_a_call_can_give_objects_where_names_go(self, folder: Path) -> None:
        class Hook: ...

        hook, client = Hook(), Hook()
        found = load(folder, call={"hooks": ["logging", hook], "broker": client, "health_file": Path("ok")})
        assert found.hooks == ("logging", hook)
        assert found.broker is client


def test_for_worker_keeps_what_calls_set_and_reads_the_rest_anew(folder: Path) -> None:
    (folder / "taskq.toml").write_text("beat = 2")
    application = load(folder, {"TASKQ_HOST": "a"}, call={"namespace": "shop", "count": 2})
    found = config.for_worker(application, {"count": "4"}, environ={"QUEUE": "mail"}, start=folder)
    assert (found.namespace, found.queues, found.beat, found.host) == ("shop", ("mail",), 2, None)
    assert found.count == Count(4, 4)
    assert found.source("namespace") == "namespace=..."
    assert found.dead_after == 25


def test_for_worker_keeps_what_a_configuration_made_by_hand_says(tmp_path: Path) -> None:
    made = config.Config(broker="memory://", interval=0.5, failure_handlers=("multi_queue",))
    for_worker = config.for_worker(made, {"verbose": 1}, environ={"INTERVAL": "9"}, start=tmp_path)
    assert (for_worker.broker, for_worker.interval, for_worker.verbose) == ("memory://", 0.5, 1)
    assert for_worker.failure_handlers == ("multi_queue",)


class TestManyAtOnce:
    """`threads` and `async` say where and how many with one word, wherever settings are said."""

    def test_is_said_by_option_call_variable_or_file(self, folder: Path) -> None:
        (folder / "taskq.toml").write_text("threads = 2")
        for given, many, source in [
            ({}, 2, "taskq.toml threads"),
            ({"environ": {"TASKQ_THREADS": "3"}}, 3, "TASKQ_THREADS"),
            ({"environ": {"TASKQ_THREADS": "3"}, "call": {"threads": 4}}, 4, "threads=..."),
            ({"call": {"threads": 4}, "options": {"threads": "5"}}, 5, "--threads"),
            ({"call": {"execution": "threads", "at_once": 6}}, 6, "at_once=..."),
        ]:
            found = load(folder, **given)  # type: ignore[arg-type]  # each its own
            assert (found.execution, found.at_once, found.source("at_once")) == ("threads", many, source)

    def test_gives_a_worker_300_seconds_of_silence_as_inline_does(self, folder: Path) -> None:
        assert load(folder, call={"threads": 2}).dead_after == 300.0

    def test_yields_to_another_model_of_a_stronger_place(self, folder: Path) -> None:
        found = load(folder, {"TASKQ_THREADS": "3"}, options={"execution": "inline"})
        assert (found.execution, found.at_once) == ("inline", 1)
        found = load(folder, {"FORK_PER_JOB": "false", "TASKQ_THREADS": "3"}, worker=True)
        assert (found.execution, found.at_once) == ("threads", 3)

    def test_beside_another_model_in_one_place_is_refused_naming_both(self, folder: Path) -> None:
        (problem,) = problems(folder, options={"execution": "spawn", "threads": "8"})
        assert problem.source == "--spawn and --threads"
        assert problem.message == ("these name two execution models. A worker has one: leave one of them out.")
        (problem,) = problems(folder, {"TASKQ_THREADS": "2", "TASKQ_ASYNC": "2"})
        assert problem.source == "TASKQ_THREADS and TASKQ_ASYNC"
        (folder / "taskq.toml").write_text("threads = 2\nexecution = 'fork'")
        (problem,) = problems(folder)
        assert problem.source == "taskq.toml threads and taskq.toml execution"

    def test_what_a_model_cannot_do_is_refused_where_both_are_said_in_one_place(self, folder: Path) -> None:
        (problem,) = problems(folder, options={"execution": "inline", "jobs_per_fork": "10"})
        assert (problem.setting, problem.source) == ("jobs_per_fork", "--jobs-per-fork")
        assert problem.message == "cannot be had with --inline: there is no child to replace. Leave one of them out."
        found = load(folder, {"TASKQ_JOBS_PER_FORK": "10"}, options={"threads": "2"})
        assert found.notices == ("TASKQ_JOBS_PER_FORK: means nothing, for there is no child to replace (--threads).",)
        (folder / "taskq.toml").write_text('execution = "spawn"\nrecycle-at-mib = 100')
        (problem,) = problems(folder)
        assert problem.message.startswith("cannot be had with taskq.toml execution: each interpreter performs one job")

    def test_needs_a_number_of_at_least_1(self, folder: Path) -> None:
        (problem,) = problems(folder, options={"threads": "0"})
        assert (problem.setting, problem.source) == ("at_once", "--threads")
        assert problem.message == "must be a whole number from 1 to 1000, not '0'."

    def test_needs_both_halves_where_they_are_said_apart(self, folder: Path) -> None:
        (problem,) = problems(folder, call={"execution": "threads"})
        assert problem.message == "needs to know how many jobs at once: write threads = 8 instead, say."
        (problem,) = problems(folder, call={"at_once": 3})
        assert "write threads = 8 instead" in problem.message

    def test_goes_with_an_application_to_its_worker(self, folder: Path) -> None:
        found = config.for_worker(load(folder, call={"threads": 4}), environ={}, start=folder)
        assert (found.execution, found.at_once) == ("threads", 4)
