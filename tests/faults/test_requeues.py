"""Faults 1, 4, 6, 7 and 14 where jobs are requeued on a crash: nothing is lost, each is performed at least once."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

import taskq
from tests.faults.conftest import LONG, Feed, at_once, in_every_model, kill_at_random, numbered
from tests.faults.conftest import MODELS as WAYS
from tests.support import fault_jobs
from tests.support.journal import Balance, Journal, balance
from tests.support.workers import RunningWorker, wait_until

pytestmark = pytest.mark.redis

Start = Callable[..., RunningWorker]

KILLS = 200 if LONG else 8
AT_ONCE = ("threads", "async", "threads, prefetch", "async, prefetch") if LONG else ("threads", "async")
REQUEUE = ("--on-crash", "requeue")
MODELS = in_every_model("fork", "inline", "children, prefetch")


def again(kept: Balance) -> int:
    """How many times jobs were begun once more."""
    return sum(count - 1 for count in kept.started.values())


@pytest.mark.fault(1)
@pytest.mark.timeout(3600 if LONG else 120)
@MODELS
def test_kills_at_random_moments(
    model: list[str],
    worker: Start,
    app: taskq.TaskQ,
    journal: Journal,
    chance: random.Random,
    record_property: Callable[[str, object], None],
) -> None:
    """Fault 1: lost 0, and each job in hand is performed at most once more a kill."""
    arguments = [*model, *REQUEUE]
    feed = Feed(app, ["q"], model)
    kill_at_random(worker, arguments, feed, chance, KILLS)
    assert worker(*arguments, "--burst").ended(seconds=600) == 0
    kept = balance(app.broker, journal, ["q"])
    in_hand = (KILLS + 2) * at_once(model)
    kept.assert_kept(feed.numbers, twice_most=in_hand)
    assert (kept.queued, kept.in_flight, kept.failed) == ([], [], [])
    assert again(kept) <= in_hand
    assert all(kept.ended[number] for number in feed.numbers)
    assert app.workers() == []
    record_property("kills", KILLS)


@pytest.mark.fault(4)
@pytest.mark.parametrize("model", [[], ["--spawn"]] if LONG else [[]], ids=["fork", "spawn"] if LONG else ["fork"])
def test_a_crash_between_a_jobs_end_and_its_settling(
    model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """Fault 4: it is performed again, as chosen; never both lost and counted."""
    fault_jobs.numbered.enqueue(1, 0.2)
    running = worker(*model, *REQUEUE)
    wait_until(lambda: journal.counts("start")[1])
    running.send(signal.SIGSTOP)  # the parent; the child performs on
    wait_until(lambda: journal.counts("end")[1])
    running.kill()
    assert worker(*REQUEUE, "--burst").ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1], twice_most=1)
    assert (kept.failed, kept.started[1], kept.ended[1], kept.processed) == ([], 2, 2, 1)


@pytest.mark.fault(6, model="inline")
def test_one_that_stood_still_for_too_long_settles_nothing_when_it_goes_on(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """Fault 6: SIGSTOP past its heartbeat. Its job is performed by another; what it says of it later is refused."""
    timing = ("--beat", "0.3", "--dead-after", "1")
    fault_jobs.numbered.enqueue(1, 1.0)
    stopped = worker("--inline", *timing, *REQUEUE)
    wait_until(lambda: journal.counts("start")[1])
    stopped.send(signal.SIGSTOP)
    other = worker("--inline", *timing, *REQUEUE)
    wait_until(lambda: app.info()["processed"] == 1)
    stopped.send(signal.SIGCONT)
    stopped.line("is not registered any more")
    wait_until(lambda: journal.counts("end")[1] == 2)
    stopped.line("is not this worker's any more")
    for running in (stopped, other):
        running.send(signal.SIGQUIT)
        assert running.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1], twice_most=1)
    assert (kept.queued, kept.failed, kept.processed) == ([], [], 1)


@pytest.mark.fault(7)
@pytest.mark.parametrize("how", ["sigkill", "sigsegv", "_exit 3"])
def test_a_job_that_kills_its_child_each_time_is_set_aside_and_the_others_go_on(
    how: str, worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """Fault 7, the parent being the finder."""
    fault_jobs.dies.enqueue(1, how)
    fault_jobs.numbered.enqueue(2)
    running = worker("-v", "--burst", *REQUEUE)
    assert running.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2], twice_most=1)
    assert (kept.started[1], kept.failed, kept.ended[2]) == (4, [1], 1)
    assert "is quarantined in the failed list: it killed its process 4 times." in running.log
    (failure,) = app.failures.list()
    assert failure.quarantined == "it killed its process 4 times"
    assert failure.error.endswith("(quarantined: it killed its process 4 times)")


@pytest.mark.fault(7, model="inline")
def test_a_job_that_kills_its_worker_each_time_is_set_aside_and_the_others_go_on(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """Fault 7, whoever comes next being the finder."""
    fault_jobs.dies.enqueue(1, "sigkill")
    fault_jobs.numbered.enqueue(2)
    ends = Counter(worker("--inline", "--burst", *REQUEUE).ended() for _ in range(5))
    assert ends == {-signal.SIGKILL: 4, 0: 1}
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2], twice_most=1)
    assert (kept.started[1], kept.failed, kept.ended[2]) == (4, [1], 1)


@pytest.mark.fault(7)
@pytest.mark.timeout(120)
@pytest.mark.parametrize("model", [WAYS[name] for name in AT_ONCE], ids=AT_ONCE)
def test_a_job_that_kills_its_process_each_time_is_set_aside_and_those_beside_it_are_not(
    model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """Fault 7, where it takes others with it: they are suspected once, and run alone among suspects from then on."""
    for number in (1, 2, 3):
        fault_jobs.numbered.enqueue(number, 0.4)
    fault_jobs.dies.enqueue(4, "sigkill, later")
    ends = Counter(worker(*model, "--burst", *REQUEUE).ended(seconds=60) for _ in range(5))
    assert ends == {-signal.SIGKILL: 4, 0: 1}
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2, 3, 4], twice_most=3 * 4)
    assert (kept.failed, kept.started[4]) == ([4], 4)
    assert all(kept.ended[number] for number in (1, 2, 3))


@pytest.mark.fault(7)
def test_an_operators_requeue_starts_the_count_anew(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    fault_jobs.dies.enqueue(1, "sigkill")
    (body,) = app.broker.peek("q", 0, 1)
    assert worker("--burst", *REQUEUE).ended() == 0
    assert app.failures.requeue_all() == 1
    assert app.broker.peek("q", 0, 1) == [body]
    assert worker("--burst", *REQUEUE).ended() == 0
    assert journal.counts("start")[1] == 8


@pytest.mark.fault(5)
def test_a_finder_of_another_application_requeues_it_all_the_same(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """What the dead worker said of its jobs is enough; who finds it does not know them."""
    fault_jobs.numbered.enqueue(1, 600)
    victim = worker("--queue", "q", *REQUEUE)
    wait_until(lambda: journal.counts("start")[1])
    victim.kill()
    finder = worker("--queue", "other", app="tests.support.renamed_jobs")
    wait_until(lambda: app.size("q") == 1)
    finder.send(signal.SIGQUIT)
    assert finder.ended() == 0
    (waiting,) = app.broker.peek("q", 0, 9)
    assert waiting == b'{"class":"numbered","args":[1,600],"taskq:crashes":1}'
    assert app.failures.count() == 0


@pytest.mark.fault(14)
@MODELS
@pytest.mark.parametrize("timeout", ["0", "0.3"])
def test_a_job_unfinished_when_its_worker_ends_goes_back_as_it_came(
    timeout: str, model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """Fault 14: at the front of its queue before the exit, without using up an attempt."""
    in_hand = at_once(model)
    for number in range(in_hand):
        numbered(model).enqueue(number, 600)
    fault_jobs.numbered.enqueue(in_hand)
    bodies = app.broker.peek("q", 0, 99)
    running = worker(*model, *REQUEUE, "--shutdown-timeout", timeout)
    wait_until(lambda: len(journal.counts("start")) == in_hand)
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    back = app.broker.peek("q", 0, 99)
    assert (sorted(back), back[-1]) == (sorted(bodies), bodies[-1])
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept(range(in_hand + 1))
    assert (kept.failed, kept.processed) == ([], 0)
    assert app.workers() == []


@pytest.mark.fault(14, model="threads")
@pytest.mark.parametrize("timeout", ["0", "0.3"])
def test_jobs_in_threads_go_back_too_though_no_thread_can_be_killed(
    timeout: str, worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    fault_jobs.numbered.enqueue(1, 600)
    fault_jobs.numbered.enqueue(2, 600)
    bodies = app.broker.peek("q", 0, 9)
    running = worker("--threads", "2", *REQUEUE, "--shutdown-timeout", timeout)
    wait_until(lambda: len(journal.counts("start")) == 2)
    running.send(signal.SIGTERM)
    assert running.ended() == 0
    assert sorted(app.broker.peek("q", 0, 9)) == sorted(bodies)
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1, 2])
    assert (kept.failed, kept.processed) == ([], 0)
    assert app.workers() == []


@pytest.mark.fault(14)
def test_usr1_fails_the_job_for_somebody_asked_for_that(worker: Start, app: taskq.TaskQ, journal: Journal) -> None:
    fault_jobs.numbered.enqueue(1, 600)
    running = worker("-v", *REQUEUE)
    wait_until(lambda: journal.counts("start")[1])
    running.send(signal.SIGUSR1)
    running.line("SIGKILL")
    running.send(signal.SIGQUIT)
    assert running.ended() == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept([1])
    assert kept.failed == [1]


@pytest.mark.fault(14)
@pytest.mark.timeout(600 if LONG else 120)
@MODELS
def test_a_deploy_under_load_loses_nothing_and_performs_each_at_least_once(
    model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal, chance: random.Random
) -> None:
    """Fault 14: again and again all workers are told to end in mid job, and others start."""
    deploys = 40 if LONG else 3
    count = deploys * (30 if "--spawn" not in model else 3)
    for number in range(count):
        numbered(model).enqueue(number, chance.choice([0.0, 0.01, 0.05, 0.4]))
    arguments = (*model, *REQUEUE, "--shutdown-timeout", "0.1")
    running = [worker(*arguments) for _ in range(2)]
    for _ in range(deploys):
        for one in running:
            one.started()
        time.sleep(chance.uniform(0.1, 0.5))  # the random moment is what this test is about
        for one in running:
            one.send(signal.SIGTERM)
        old, running = running, [worker(*arguments) for _ in range(2)]
        for one in old:
            assert one.ended() == 0
    for one in running:
        one.started()
        one.send(signal.SIGQUIT)
        assert one.ended() == 0
    assert worker(*model, *REQUEUE, "--burst").ended(seconds=300) == 0
    kept = balance(app.broker, journal, ["q"])
    kept.assert_kept(range(count), twice_most=2 * deploys * at_once(model))
    assert (kept.queued, kept.in_flight, kept.failed) == ([], [], [])
    assert all(kept.ended[number] for number in range(count))
