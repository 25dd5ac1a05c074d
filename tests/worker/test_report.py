"""Events as Resque's log lines and process titles: the recordings of real Ruby, replayed."""

from __future__ import annotations

import io
import os
import re
import signal
from typing import get_args

import pytest

from taskq import events
from taskq.errors import ConfigurationError, Problem
from taskq.failure_handler import Discard, Fail, Quarantine, Retry
from taskq.hook import Settled
from taskq.masks import Masks
from taskq.outcome import Crashed, Done, Failed, NotBegun
from taskq.performing import Task, Tools, prepare
from taskq.records import Crash, Ended, ErrorRecord
from taskq.showing import Showing
from taskq.worker.report import QUIET, VERBOSE, VERY_VERBOSE, Report
from tests.support.bench import held, payload, tools_of
from tests.support.vectors import returned, vector

CLOCK = re.compile(r"\*\* \[\d\d:\d\d:\d\d \d{4}-\d\d-\d\d\] (\d+): ")
SINCE = re.compile(r"(since|at) \d+")


class Ok:
    queue = "jobs"

    @staticmethod
    def perform(*args: object) -> None: ...


class Bad(Ok): ...


class Long(Ok): ...


def lines_of(verbosity: int, *told: events.Event, titles: list[str] | None = None, prefix: str = "") -> list[str]:
    out = io.StringIO()
    report = Report(
        verbosity,
        out=out,
        set_title=None if titles is None else titles.append,
        prefix=prefix,
        place="Redis at 127.0.0.1:6379",
    )
    for event in told:
        report(event)
    return out.getvalue().splitlines()


@pytest.fixture
def tools() -> Tools:
    return tools_of(Ok, Bad, Long)


def task(tools: Tools, job: str, *args: object, queue: str = "jobs") -> Task:
    return prepare(held(payload(job, *args), queue=queue), tools)


def the_recorded_life(tools: Tools) -> list[events.Event]:
    """What happens to the worker of the recordings 36 and 37."""
    ok, bad, long = task(tools, "Ok", 1, "é"), task(tools, "Bad", 2), task(tools, "Long", 5)
    empty = events.Empty(("jobs",), 0.3, "jobs")
    return [
        events.Starting(),
        events.Registered("vm:1:jobs"),
        events.Listening(),
        events.Found(ok, ("jobs",)),
        events.Forked(11),
        events.Performed(ok, Done(0.1)),
        events.SettledJob(ok, Settled(ok.reservation, "done")),
        events.Found(bad, ("jobs",)),
        events.Forked(12),
        events.Performed(bad, Failed(ErrorRecord("Boom", "bad [2]"), Fail(), 0.1)),
        events.SettledJob(bad, Settled(bad.reservation, "failed")),
        events.Found(long, ("jobs",)),
        events.Forked(13),
        events.Heard(signal.SIGUSR1),
        events.ChildEnding(13, signal.SIGKILL),
        events.Performed(long, Crashed(Crash(pid=13, signal=9), Fail(), 0.1)),
        empty,
        empty,
        events.Paused(),
        events.Resumed(),
        empty,
        empty,
        empty,
        events.Stopping(None),
        events.Exiting(),
    ]


OURS = "(Job{jobs} | Long | [5]) failed: #<Resque::DirtyExit: Child process received unhandled signal pid 13 SIGKILL "
OURS += "(signal 9)>"  # Ruby says nothing of a child that was killed


class TestLines:
    def test_are_rubys_at_verbose(self, tools: Tools) -> None:
        ruby = [line for line in vector("36")["output"].splitlines() if line.startswith("*** ")]
        ruby[0] = "*** Starting worker vm:1:jobs"
        ours = lines_of(VERBOSE, *the_recorded_life(tools))
        ours.remove(f"*** {OURS}")
        assert ours == ruby

    def test_are_rubys_at_very_verbose(self, tools: Tools) -> None:
        ruby = [line for line in vector("37")["output"].splitlines() if CLOCK.match(line)]
        texts = [CLOCK.sub("", line).replace("resque-3.0.0:", "resque-3 taskq:") for line in ruby]
        texts[0] = "Starting worker vm:1:jobs"
        for pid, name in (("5792", "11"), ("5793", "12"), ("5794", "13")):
            texts = [text.replace(pid, name) for text in texts]
        # While it is paused Ruby says so each time it looks, and that it sleeps; we say it once, and wait.
        at = texts.index("resque-3 taskq: Paused")
        assert texts[at - 1 : at + 3] == ["Sleeping for 0.3 seconds", "resque-3 taskq: Paused"] * 2
        texts[at - 1 : at + 3] = ["resque-3 taskq: Paused"]
        # Of a worker's own time nothing can be the same.
        expected = [SINCE.sub(r"\1 UNIXTIME", text) for text in texts]
        ours = lines_of(VERY_VERBOSE, *the_recorded_life(tools))
        assert all(CLOCK.match(line) for line in ours)
        assert {CLOCK.match(line)[1] for line in ours} == {str(os.getpid())}  # type: ignore[index]  # all do match
        said = [SINCE.sub(r"\1 UNIXTIME", CLOCK.sub("", line)) for line in ours]
        said.remove(OURS)
        assert said == expected

    def test_at_quiet_are_the_start_and_what_a_person_must_know(self, tools: Tools) -> None:
        """Ruby says nothing at all (recording 39); who starts a worker by hand wants to see that it did."""
        told = [*the_recorded_life(tools), events.Warned("The disk is full.")]
        assert lines_of(QUIET, *told) == ["*** Starting worker vm:1:jobs", "*** The disk is full."]

    def test_say_at_quiet_in_which_way_jobs_are_performed_but_for_the_usual_one(self) -> None:
        asked = events.Chose("in a fresh interpreter each")
        start = ["*** Starting worker vm:1:jobs"]
        assert lines_of(QUIET, asked, events.Registered("vm:1:jobs")) == [
            *start,
            "*** Jobs are performed in a fresh interpreter each",
        ]
        usual = events.Chose("in a child of its own each", usual=True)
        assert lines_of(VERBOSE, usual, events.Registered("vm:1:jobs")) == start

    def test_name_the_queues_looked_at_up_to_the_one_that_had_the_job(self, tools: Tools) -> None:
        found = events.Found(task(tools, "Ok", queue="low"), ("high", "low", "never"))
        texts = [CLOCK.sub("", line) for line in lines_of(VERY_VERBOSE, found)]
        assert texts[:3] == ["Checking high", "Checking low", "Found job on low"]

    def test_say_how_a_child_is_ended(self) -> None:
        """WIRE.md section 14."""
        told: list[events.Event] = [
            events.ChildEnding(7, signal.SIGTERM),
            events.ChildEnding(7, seconds=3.0),
            events.ChildEnding(7, signal.SIGKILL),
        ]
        assert [CLOCK.sub("", line) for line in lines_of(VERY_VERBOSE, *told)] == [
            "Sending TERM signal to child 7",
            "Waiting 3.0s for child process to exit",
            "Killing child at 7",
        ]

    def test_tell_of_an_outage_whether_jobs_go_on(self, tools: Tools) -> None:
        lost = events.BrokerLost("connection refused")
        assert lines_of(QUIET, lost, events.BrokerBack(7.4)) == [
            "*** Redis at 127.0.0.1:6379 is away (connection refused).",
            "*** Redis at 127.0.0.1:6379 is back after 7 s.",
        ]
        in_hand = events.Found(task(tools, "Ok"), ("jobs",))
        assert lines_of(QUIET, in_hand, lost)[0].endswith("(connection refused). Jobs in hand go on.")
        trouble = events.BrokerLost("Redis at h:1 answered: no.", tries=3, again_in=4.0, trouble=True)
        assert lines_of(QUIET, trouble) == [
            "*** Redis at h:1 answered: no. This worker waits until that is mended; try 3, again in 4 s."
        ]
        beside = events.BrokerLost("Redis at h:1 answered: no.", trouble=True, held=False)
        assert lines_of(QUIET, beside) == ["*** Redis at h:1 answered: no. It goes on with what it can."]
        assert lines_of(QUIET, events.BrokerLost("connection refused", tries=3, again_in=4.0)) == [
            "*** Redis at 127.0.0.1:6379 is away (connection refused); try 3, again in 4 s."
        ]

    def test_announce_what_a_second_signal_does_where_a_job_is_in_hand(self, tools: Tools) -> None:
        found = events.Found(task(tools, "Ok"), ("jobs",))
        performed = events.Performed(found.task, Done(0.1))
        assert lines_of(QUIET, found, performed, events.Stopping(8.0)) == []
        assert lines_of(QUIET, found, performed, found, events.Stopping(8.0))[0].startswith(
            "*** The job in hand has 8 s"
        )
        assert lines_of(QUIET, found, events.Stopping(8.0), events.Stopping(0.0, again=True)) == [
            "*** The job in hand has 8 s to end; the same signal again ends it now (within a second it counts once).",
            "*** The job in hand is ended now.",
        ]
        assert lines_of(QUIET, events.Stopping(8.0)) == []

    def test_say_why_a_job_is_killed(self) -> None:
        told = [events.ChildEnding(7, signal.SIGKILL, 8.0, why=why) for why in get_args(Ended)]
        assert lines_of(QUIET, *told, events.ChildEnding(7, signal.SIGKILL, why="shutdown")) == [
            "*** The job in hand is ended now: its 8 s are over.",
            "*** The job in hand is ended now: USR1 asked for it.",
            "*** The job in hand is ended now: it was cancelled.",
            "*** The job in hand is ended now.",
        ]

    def test_tell_of_who_died_and_of_who_was_taken_for_dead(self, tools: Tools) -> None:
        told: list[events.Event] = [
            events.Recovered("vm:9:jobs", "its process 9 is gone", "failed"),
            events.Recovered("vm:8:jobs", "no heartbeat for 400 s", ""),
            events.Pruned("vm:1:jobs"),
            events.Registered("vm:1:jobs", again=True),
        ]
        assert lines_of(VERBOSE, *told) == [
            "*** Pruning dead worker: vm:9:jobs",
            "*** vm:9:jobs died (its process 9 is gone); the job it had in hand was failed.",
            "*** Pruning dead worker: vm:8:jobs",
            (
                "*** vm:1:jobs is not registered any more: it was taken for dead, or the broker lost its data. "
                "It registers anew."
            ),
            "*** Registered again as vm:1:jobs.",
        ]

    def test_tell_each_step_of_a_number_that_changes_and_why(self) -> None:
        steps = (
            events.Scaled("", 1, 2, "1-8", "1 job waits in low"),
            events.Scaled("mail", 2, 4, "1-8", "9 jobs wait in a (5), b (4)"),
            events.Scaled("mail", 4, 3, "1-8", "nothing has waited for 30 s"),
        )
        assert lines_of(QUIET, *steps) == [
            "*** 1 more worker, now 2 of 1-8: 1 job waits in low.",
            "*** 2 more workers of mail, now 4 of 1-8: 9 jobs wait in a (5), b (4).",
            "*** 1 fewer worker of mail, now 3 of 1-8: nothing has waited for 30 s.",
        ]

    def test_tell_what_a_pool_became(self) -> None:
        wrong = ConfigurationError([Problem("a", "pool.toml a", "is wrong."), Problem("b", "pool.toml b", "too.")])
        told = (events.PoolRead(("a (1 for x)", "b (2 for y)"), (), ("c",), ("d",)), events.PoolKept(wrong))
        assert lines_of(QUIET, *told) == [
            "*** The pool's file was read again. Added: a (1 for x), b (2 for y). Removed: c. As before: d.",
            "*** The pool's file was read again and cannot be taken; all stays as it was.",
            "*** pool.toml a: is wrong.",
            "*** pool.toml b: too.",
        ]

    def test_tell_which_files_changed(self) -> None:
        told = (events.Changed(("a.py",)), events.Changed(("a.py", "b.py")), events.Changed(("a.py", "b.py", "c.py")))
        assert lines_of(QUIET, *told) == [
            "*** a.py changed; the worker starts again.",
            "*** a.py and 1 other file changed; the worker starts again.",
            "*** a.py and 2 other files changed; the worker starts again.",
        ]

    def test_tell_what_became_of_a_job_where_it_is_neither_done_nor_failed(self, tools: Tools) -> None:
        ok = task(tools, "Ok", 1)

        def settled(outcome: str) -> events.SettledJob:
            return events.SettledJob(ok, Settled(ok.reservation, outcome))  # type: ignore[arg-type]  # one of its words

        assert lines_of(VERBOSE, *map(settled, ("retried", "discarded"))) == [
            "*** (Job{jobs} | Ok | [1]) goes back, to be performed again",
            "*** (Job{jobs} | Ok | [1]) is discarded",
        ]
        assert lines_of(QUIET, *map(settled, ("retried", "discarded"))) == []
        [refused] = lines_of(QUIET, settled("refused"))
        assert refused.startswith("*** (Job{jobs} | Ok | [1]) is not this worker's any more: ")
        assert lines_of(VERBOSE, settled("done"), settled("failed")) == []


class TestWhatIsShown:
    def test_secret_arguments_are_not(self) -> None:
        hidden = tools_of(TestWhatIsShown.login, secret=["password"])
        found = events.Found(task(hidden, "login", "ann", "hunter2"), ("jobs",))
        assert lines_of(VERBOSE, found) == ['*** got: (Job{jobs} | login | ["ann", "[secret]"])']

    @staticmethod
    def login(name: str, password: str) -> None: ...

    def test_what_lies_under_a_secret_name_is_not_nor_where_an_error_quotes_it(self, tools: Tools) -> None:
        bad = task(tools, "Bad", "ann", {"k": [{"apiToken": "hunter2", "n": 1}]}, "redis://u:pw@db/0")
        error = ErrorRecord("Boom", "no hunter2 for ann")
        got, failed = lines_of(VERBOSE, events.Found(bad, ("jobs",)), events.Performed(bad, Failed(error, Fail(), 0.1)))
        job = (
            '(Job{jobs} | Bad | ["ann", {"k"=>[{"apiToken"=>"[secret: token]", "n"=>1}]}, '
            '"redis://u:[secret: password in a URL]@db/0"])'
        )
        assert got == f"*** got: {job}"
        assert failed == f"*** {job} failed: #<Boom: no [secret] for ann>"

    def test_a_parameter_of_a_secret_name_is_not_and_the_application_says_which(self) -> None:
        told = tools_of(TestWhatIsShown.login)
        found = events.Found(task(told, "login", "ann", "hunter2"), ("jobs",))
        assert lines_of(VERBOSE, found) == ['*** got: (Job{jobs} | login | ["ann", "[secret: password]"])']
        out = io.StringIO()
        showing = Showing(told.registry, dict, Masks(["name", "!password"]))
        Report(VERBOSE, out=out, showing=showing)(found)
        assert out.getvalue() == '*** got: (Job{jobs} | login | ["[secret: name]", "hunter2"])\n'

    def test_a_megabyte_is_cut(self, tools: Tools) -> None:
        bad = task(tools, "Ok", "x" * 1_000_000)
        error = ErrorRecord("Boom", "y" * 1_000_000)
        lines = lines_of(VERBOSE, events.Found(bad, ("jobs",)), events.Performed(bad, Failed(error, Fail(), 0.1)))
        assert all(len(line) < 6000 for line in lines)
        assert "characters left out" in lines[0]

    @pytest.mark.parametrize("odd", ["\n", "\r", "\0", "\x1b[2J", "\x85", "\u2028", "\u202e", "\ud800", "\x0c"])
    def test_nothing_ends_a_line_or_steers_a_terminal(self, odd: str, tools: Tools) -> None:
        made = prepare(held(payload(f"A{odd}B"), queue=f"q{odd}"), tools)
        titles: list[str] = []
        told: list[events.Event] = [
            events.Found(made, (f"q{odd}",)),
            events.Performed(made, Failed(ErrorRecord("Boom", f"no{odd}"), Fail(), 0.1)),
            events.Empty((f"q{odd}",), 1.0, f"q{odd}"),
        ]
        out = io.StringIO()
        report = Report(VERY_VERBOSE, out=out, set_title=titles.append)
        for event in told:
            report(event)
        lines = out.getvalue().removesuffix("\n").split("\n")
        assert not any(odd in line for line in lines)
        assert all(CLOCK.match(line) for line in lines)
        # The title is set by C code that takes neither a NUL nor what is no UTF-8; it would end the worker.
        assert len(titles) == 2
        assert not any(odd in title for title in titles)

    def test_a_log_that_knows_no_umlauts_gets_the_line_all_the_same(self, tools: Tools) -> None:
        raw = io.BytesIO()
        report = Report(VERBOSE, out=io.TextIOWrapper(raw, encoding="ascii", write_through=True))
        report(events.Found(task(tools, "Ok", "é"), ("jobs",)))
        assert raw.getvalue() == b'*** got: (Job{jobs} | Ok | ["\\xe9"])\n'

    def test_a_log_that_nobody_reads_any_more_ends_nothing(self) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        broken = os.fdopen(writer, "w", buffering=1)
        Report(QUIET, out=broken)(events.Warned("heard by nobody"))
        with pytest.raises(BrokenPipeError):
            broken.close()
        closed = io.StringIO()
        closed.close()
        Report(QUIET, out=closed)(events.Warned("nor this"))

    def test_a_log_that_was_taken_away_ends_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdout", None)
        Report(QUIET)(events.Warned("heard by nobody"))


def titles_of(*told: events.Event, prefix: str = "") -> list[str]:
    """The titles, in Ruby's version and without times and pids, as the recording has them."""
    titles: list[str] = []
    lines_of(QUIET, *told, titles=titles, prefix=prefix)
    as_recorded = [title.replace("resque-3 taskq:", "resque-3.0.0:") for title in titles]
    return [re.sub(r"Forked \d+", "Forked PID", SINCE.sub(r"\1 UNIXTIME", t)) for t in as_recorded]


class TestTitles:
    def test_are_rubys_over_the_life_of_a_worker(self, tools: Tools) -> None:
        empty = events.Empty(("jobs", "low"), 5.0, "jobs,low")
        told: list[events.Event] = [
            events.Found(task(tools, "Long"), ("jobs", "low")),
            events.Forked(11),
            events.Found(task(tools, "Ok"), ("jobs", "low")),
            events.Forked(12),
            empty,
            events.Paused(),
            events.Resumed(),
            empty,
        ]
        recorded = returned("40")["QUEUE=jobs,low: parent"]
        assert recorded[1] == "resque: Starting"  # ours is resque-3 taskq: Starting, set before there is a report
        assert titles_of(*told) == recorded[2:]

    @pytest.mark.parametrize("prefix", ["myapp ", "myapp"])
    def test_have_the_prefix_in_front(self, tools: Tools, prefix: str) -> None:
        told: list[events.Event] = [
            events.Found(task(tools, "Long"), ("jobs",)),
            events.Forked(11),
            events.Empty(("jobs",), 5.0, "jobs"),
        ]
        assert titles_of(*told, prefix=prefix) == returned("40")['QUEUE=* RESQUE_PROCLINE_PREFIX="myapp ": parent'][2:]

    def test_name_a_job_without_a_name_as_ruby_does(self, tools: Tools) -> None:
        """Ruby says No Name of a class that is missing too; ours says the name, which the payload has."""
        nameless = prepare(held(b"[1]"), tools)
        told: list[events.Event] = [
            events.Found(nameless, ("jobs",)),
            events.Found(task(tools, "Long"), ("jobs",)),
            events.Empty(("jobs",), 5.0, "jobs"),
        ]
        recorded = returned("40")["FORK_PER_JOB=false, first job of a missing class: parent"]
        assert titles_of(*told) == recorded[2:]
        assert titles_of(events.Found(task(tools, "Nope::Missing"), ("jobs",))) == [
            "resque-3.0.0: Processing jobs since UNIXTIME [Nope::Missing]"
        ]


def test_a_job_that_could_not_be_begun_is_told_whatever_the_verbosity(tools: Tools) -> None:
    told = events.Performed(task(tools, "Ok"), NotBegun("no process could be forked for it (no memory)"))
    assert lines_of(QUIET, told) == [
        "*** (Job{jobs} | Ok | []) was not begun and goes back: no process could be forked for it (no memory)."
    ]


def test_decisions_need_no_line_of_their_own_at_verbose(tools: Tools) -> None:
    ok = task(tools, "Ok")
    error = ErrorRecord("Boom", "no")
    lines = [
        lines_of(VERBOSE, events.Performed(ok, Failed(error, decision, 0.1))) for decision in (Retry(), Discard("x"))
    ]
    assert lines == [["*** (Job{jobs} | Ok | []) failed: #<Boom: no>"]] * 2


def test_a_quarantine_is_said_even_where_little_is(tools: Tools) -> None:
    poison = task(tools, "Bad", 2)
    settled = Settled(poison.reservation, "failed", Crash(pid=7, signal=9), Quarantine("it killed its process 4 times"))
    assert lines_of(QUIET, events.SettledJob(poison, settled)) == [
        "*** (Job{jobs} | Bad | [2]) is quarantined in the failed list: it killed its process 4 times."
    ]


def test_one_killed_for_its_time_limit_is_said_to_be(tools: Tools) -> None:
    late = task(tools, "Long", 5)
    crash = Crash(pid=7, signal=9, ended="timeout", limit=30.0)
    [line] = lines_of(VERBOSE, events.Performed(late, Crashed(crash, Fail(), 35.0)))
    assert line == (
        "*** (Job{jobs} | Long | [5]) failed: #<taskq.errors.JobTimeout: The job went over its time limit of 30 s "
        "and did not end when told to; its process (pid 7) was killed>"
    )
