"""A pool's file: what a group is, what wins, and all mistakes at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from taskq import config, pool
from taskq.config import Config, Count, Table
from taskq.errors import ConfigurationError
from taskq.pool import Group

WHOLE = """
[group.mail]
queues = ["emails", "high=2"]
order = "weighted"
count = 4

[group."long ones"]
queues = "reports,!reports_test"
count = "1-3"
execution = "inline"
shutdown-timeout = 600
"""


class Pool:
    """A file, and what stands around it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "pool.toml"
        self.environ: dict[str, str] = {}
        self.options: dict[str, object] = {}

    def read(self, text: str | bytes) -> tuple[Group, ...]:
        self.path.write_bytes(text.encode() if isinstance(text, str) else text)
        return pool.read(self.path, self.load(None), self.load)

    def load(self, group: Table | None) -> Config:
        folder = self.path.parent
        return config.load(options=self.options, worker=True, group=group, environ=self.environ, start=folder)

    def problems(self, text: str | bytes) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            self.read(text)
        return [str(problem).removeprefix(f"{self.path.parent}/") for problem in caught.value.problems]


@pytest.fixture
def file(tmp_path: Path) -> Pool:
    return Pool(tmp_path)


class TestRead:
    def test_gives_the_groups_in_their_order(self, file: Pool) -> None:
        mail, reports = file.read(WHOLE)
        assert (mail.name, mail.config.queues, mail.config.order) == ("mail", ("emails", "high=2"), "weighted")
        assert (mail.config.count, mail.config.execution) == (Count(4, 4), "fork")
        assert (reports.name, reports.config.queues) == ("long ones", ("reports", "!reports_test"))
        assert (reports.config.count, reports.config.shutdown_timeout) == (Count(1, 3), 600.0)
        assert reports.config.dead_after == 300.0  # follows from the model, as everywhere

    def test_names_the_place_of_each_setting(self, file: Pool) -> None:
        mail, _ = file.read(WHOLE)
        assert mail.config.source("order") == f"{file.path} [group.mail] order"

    def test_a_group_wins_over_the_option_the_environment_and_the_file(self, file: Pool) -> None:
        (file.path.parent / "taskq.toml").write_text("interval = 1\nbeat = 1\nshutdown_timeout = 1\nhost = 'file'")
        file.environ = {"TASKQ_BEAT": "2", "INTERVAL": "2", "TASKQ_SHUTDOWN_TIMEOUT": "2"}
        file.options = {"interval": "3", "shutdown_timeout": "3"}
        [group] = file.read('[group.a]\nqueues = "*"\nshutdown_timeout = 4')
        found = group.config
        assert (found.shutdown_timeout, found.interval, found.beat, found.host) == (4.0, 3.0, 2.0, "file")

    def test_queues_and_their_number_come_from_the_group_alone(self, file: Pool) -> None:
        file.environ = {"QUEUE": "other", "COUNT": "9"}
        [group] = file.read('[group.a]\nqueues = "mine"')
        assert (group.config.queues, group.config.count) == (("mine",), Count(1, 1))

    def test_what_concerns_the_application_is_the_base_s_even_where_the_file_beside_has_changed(
        self, file: Pool
    ) -> None:
        file.path.write_text('[group.a]\nqueues = "*"')
        (file.path.parent / "taskq.toml").write_text("namespace = 'before'")
        base = file.load(None)
        (file.path.parent / "taskq.toml").write_text("namespace = 'after'\nbeat = 2")
        [group] = pool.read(file.path, base, file.load)
        assert (group.config.namespace, group.config.beat) == ("before", 2.0)

    @pytest.mark.parametrize("setting", sorted(set(config._SETTINGS) - config.ONE_FOR_ALL - {"queues"}))
    def test_every_option_of_a_worker_may_stand_in_a_group(self, file: Pool, setting: str) -> None:
        [group] = file.read(f'[group.a]\nqueues = "*"\n{setting} = {VALUES.get(setting, "7")}')
        assert getattr(group.config, setting) != getattr(Config(), setting)

    def test_many_at_once_is_said_with_one_word_and_one_model_at_a_time(self, file: Pool) -> None:
        waiting, loop, alone = file.read(
            '[group.waiting]\nqueues = "a"\nthreads = 8\n[group.loop]\nqueues = "b"\nasync = 50\n'
            '[group.alone]\nqueues = "c"\nexecution = "inline"\n'
        )
        assert (waiting.config.execution, waiting.config.at_once) == ("threads", 8)
        assert (loop.config.execution, loop.config.at_once) == ("async", 50)
        assert (alone.config.execution, alone.config.at_once) == ("inline", 1)
        [problem] = file.problems('[group.x]\nqueues = "a"\nthreads = 8\nasync = 50\n')
        assert "name two execution models" in problem

    def test_a_weight_that_no_order_reads_is_noticed_with_its_group(self, file: Pool) -> None:
        [group] = file.read('[group.a]\nqueues = "x=2"')
        assert group.config.notices[0].startswith(f"{file.path} [group.a] queues: x=2: taken as a queue's name.")


VALUES: Mapping[str, str] = {
    "at_once": '7\nexecution = "threads"',
    "on_crash": '"requeue"',
    "unknown": '"release"',
    "order": '"random"', "burst": "true", "verbose": "2", "execution": '"inline"', "dead_after": "99",
    "host": '"a"', "health_file": '"alive"', "retry": "false", "term_child": "true", "procline_prefix": '"a"',
    "run_at_exit_hooks": "true", "beat": "2",
}  # fmt: skip


WHERE = "by the command, the environment, or in taskq.toml."
INLINE = 'A worker that performs in its own process: execution = "inline".'


class TestMistakes:
    def test_come_all_at_once_each_with_its_place(self, file: Pool) -> None:
        assert file.problems(
            """
            verbose = 1
            [group.a]
            queue = "x"
            broker = "z"
            inline = true
            spawn = true
            [group.b]
            count = "9-2"
            queues = []
            """
        ) == [
            f"pool.toml verbose: a pool's file has groups only: [group.NAME]. What all have in common is said {WHERE}",
            'pool.toml [group.a] queue: there is no setting "queue". Did you mean queues?',
            f"pool.toml [group.a] broker: all groups have it in common. Say it {WHERE}",
            f"pool.toml [group.a] inline: is about enqueue, not about workers. {INLINE}",
            'pool.toml [group.a] spawn: there is no setting "spawn". Did you mean execution = "spawn"?',
            'pool.toml [group.a]: a group says which queues it serves: queues = ["mail", "*"].',
            "pool.toml [group.b] count: must be a range from 1 or more to as many or more, such as 2-8, not '9-2'.",
            "pool.toml [group.b] queues: Please give each worker at least one queue. To serve all that there are: *",
        ]

    def test_of_what_all_have_in_common_are_said_once(self, file: Pool) -> None:
        file.path.write_text(WHOLE)
        base = file.load(None)
        file.environ = {"TASKQ_BEAT": "often"}
        with pytest.raises(ConfigurationError) as caught:
            pool.read(file.path, base, file.load)
        assert [problem.source for problem in caught.value.problems] == ["TASKQ_BEAT"]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "pool.toml: there is no group in it. One is, say: [group.mail] with queues ="),
            ("group = 3", "pool.toml: there is no group in it."),
            ("[group]\nmail = 3", "pool.toml group.mail: must be a table: [group.mail]."),
            ('[group.""]', "must have a name that a log can show."),
            ('[group."a\\n"]', "pool.toml [group.'a\\n']: must have a name that a log can show."),
            ("[group.a", "pool.toml: is no TOML:"),
            (b"\xff", "pool.toml: is no TOML:"),
        ],
    )
    def test_of_its_form(self, file: Pool, text: str | bytes, said: str) -> None:
        [problem] = file.problems(text)
        assert said in problem

    def test_a_file_that_is_not_there(self, file: Pool) -> None:
        with pytest.raises(ConfigurationError) as caught:
            pool.read(file.path, Config(), file.load)
        assert str(caught.value) == f"{file.path}: cannot be read: No such file or directory."
