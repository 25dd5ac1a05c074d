"""Faults 15 to 19: bytes that are no payload, payloads of a wrong shape, unknown jobs, far too much, and evil names."""

from __future__ import annotations

import json
import os
import pickle
import signal
from collections.abc import Callable

import pytest

import taskq
from taskq.errors import PayloadTooLarge
from tests.faults.conftest import in_every_model
from tests.support import fault_jobs
from tests.support.journal import Journal
from tests.support.workers import RunningWorker, wait_until

pytestmark = pytest.mark.redis

Start = Callable[..., RunningWorker]

NOT_JSON = [
    b"",
    b"\0",
    b"rubbish",
    b"\xff\xfe\xfd",
    b'{"class":"numbered","args":["\xff"]}',
    b"\xef\xbb\xbf" + b'{"class":"numbered","args":[1]}',
    b'{"class":"numbered","args":[1]',
    b"[" * 100_000,
    b'{"class":"numbered","args":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"class":"numbered","args":["\\ud800"]}',
    b'{"class":"numbered","args":[' + b"9" * 10_000 + b"]}",
    pickle.dumps({"class": "numbered"}),
]
WRONG_SHAPE = [
    b"null",
    b"[1,2]",
    b"17",
    b'"text"',
    b"true",
    b"{}",
    b'{"args":[1]}',
    b'{"class":null,"args":[1]}',
    b'{"class":7,"args":[1]}',
    b'{"class":"","args":[1]}',
    b'{"class":{"a":1},"args":[1]}',
    b'{"class":"numbered","args":"1"}',
    b'{"class":"numbered","args":{"number":1}}',
    b'{"class":"numbered","args":7}',
    b'{"class":"numbered","class":"raises","args":[1]}',
    b'{"class":"numbered","args":[1],"args":[2]}',
    b'{"class":"numbered","args":[NaN]}',
    b'{"class":"numbered","args":[Infinity]}',
]
EVIL = [
    b'{"class":"os.system","args":["touch pwned"]}',
    b'{"class":"builtins.eval","args":["1"]}',
    b'{"class":"tests.support.side_effects.job","args":[]}',
    b'{"class":"tests.support.side_effects:job","args":[]}',
    b'{"class":"taskq.app","args":[]}',
    b'{"class":"__import__","args":["tests.support.side_effects"]}',
]


@pytest.mark.fault(15, 16, 19)
@in_every_model("fork", "inline", "threads", "children, prefetch")
@pytest.mark.parametrize("bodies", [NOT_JSON, WRONG_SHAPE, EVIL], ids=["not JSON", "wrong shape", "evil names"])
@pytest.mark.parametrize("queue", ["q", "a:b", "new\nline ü"], ids=repr)
def test_it_is_kept_in_the_failed_list_bytes_and_all_and_the_next_job_runs(
    queue: str, bodies: list[bytes], model: list[str], worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    for body in bodies:
        app.broker.push(queue, [body])
    fault_jobs.numbered.options(queue=queue).enqueue(77)
    assert worker(*model, "--burst").ended() == 0
    assert journal.counts("end")[77] == 1
    assert sum(journal.counts("start").values()) == 1
    failures = app.failures.list(0, 99, newest_first=False)
    assert len(failures) == len(bodies)
    assert sorted((failure.body or b"").strip() for failure in failures) == sorted(body.strip() for body in bodies)
    for failure in failures:
        entry = json.loads(failure.entry)
        assert set(entry) >= {"failed_at", "payload", "exception", "error", "backtrace", "worker", "queue"}
        assert entry["queue"] == queue
    assert app.info()["processed"] == len(bodies) + 1
    assert app.workers() == []


@pytest.mark.fault(19)
def test_nothing_is_imported_or_run_by_a_payload(worker: Start, app: taskq.TaskQ, tmp_path: object) -> None:
    """Fault 19: the module with side effects would leave a file."""
    for body in EVIL:
        app.broker.push("q", [body])
    witness = f"{tmp_path}/witness"
    assert worker("--burst", env={"TASKQ_TEST_WITNESS": witness}).ended() == 0
    assert not os.path.exists(witness)


@pytest.mark.fault(17)
def test_an_unknown_job_is_named_and_can_be_requeued_after_a_deploy(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """Fault 17."""
    app.broker.push("q", [b'{"class":"nombered","args":[5]}'])
    assert worker("--burst").ended() == 0
    (failure,) = app.failures.list(0, 9)
    assert 'Unknown job "nombered" (queue q)' in failure.error
    assert "Did you mean numbered?" in failure.error
    assert app.failures.requeue(failure)
    assert app.size("q") == 1
    assert worker("--burst", app="tests.support.renamed_jobs").ended() == 0
    assert journal.counts("end")[5] == 1


@pytest.mark.fault(17)
def test_an_unknown_job_that_is_released_waits_for_a_worker_that_knows_it_for_an_hour(
    worker: Start, app: taskq.TaskQ, journal: Journal
) -> None:
    """`--unknown release`: a rolling deploy."""
    long_ago = b'{"class":"nombered","args":[6],"taskq:unknown":%d}' % (app.broker.now() - 3600)
    app.broker.push("q", [b'{"class":"nombered","args":[5]}', long_ago])
    old = worker("--burst", "-v", "--unknown", "release")
    assert old.ended() == 0
    old.line(r"nombered \| \[5\]\) is postponed by 1 s: no job of that name is registered here")
    [failed] = app.failures.list()
    assert failed.payload is not None
    assert failed.payload.args == (6,)
    [waits] = app.delayed.list().jobs
    assert 0 < waits.at - app.broker.now() <= 3
    assert app.delayed.enqueue_now(waits) == 1
    assert worker("--burst", "--unknown", "release", app="tests.support.renamed_jobs").ended() == 0
    assert (journal.counts("end")[5], app.delayed.time_count()) == (1, 0)


@pytest.mark.fault(17)
def test_wrong_arguments_fail_naming_the_signature(worker: Start, app: taskq.TaskQ) -> None:
    app.broker.push("q", [b'{"class":"numbered","args":[]}', b'{"class":"numbered","args":[1,2,3,4]}'])
    assert worker("--burst").ended() == 0
    failures = app.failures.list(0, 9)
    assert [failure.exception for failure in failures] == ["TypeError", "TypeError"]
    assert all("numbered(number: int" in failure.error for failure in failures)


@pytest.mark.fault(17)
def test_an_application_that_does_not_import_ends_the_worker_with_2(worker: Start) -> None:
    running = worker(app="tests.support.no_such_module")
    assert running.ended() == 2
    assert "Traceback" not in running.log
    assert "no_such_module" in running.log


@pytest.mark.fault(18)
def test_far_too_much_is_refused_when_it_is_enqueued(app: taskq.TaskQ) -> None:
    """Fault 18."""
    with pytest.raises(PayloadTooLarge, match=r"20,0\d\d,\d\d\d bytes; the limit is 1,048,576"):
        app.enqueue_to("q", "raises", 1, "x" * 20_000_000)
    assert app.size("q") == 0


@pytest.mark.fault(18)
@in_every_model("fork", "inline", "threads", "children, prefetch")
def test_a_huge_exception_text_is_cut_and_the_log_stays_small(
    model: list[str], worker: Start, app: taskq.TaskQ
) -> None:
    fault_jobs.long_text.enqueue(1, 20_000_000)
    running = worker(*model, "--burst", "-v")
    assert running.ended() == 0
    (failure,) = app.failures.list(0, 9)
    assert len(failure.entry) < 66_000
    json.loads(failure.entry)
    assert len(running.log) < 10_000


@pytest.mark.fault(15)
def test_a_failed_list_full_of_rubbish_is_listed(app: taskq.TaskQ) -> None:
    from taskq_redis.testing import RedisServer

    with RedisServer() as own, own.client() as client, taskq.using(own.url) as listing:
        for body in [*NOT_JSON, *WRONG_SHAPE]:
            client.rpush("resque:failed", body)
        assert len(listing.failures.list(0, 99)) == len(NOT_JSON) + len(WRONG_SHAPE)
        assert all(not failure.requeueable for failure in listing.failures.list(0, 99))


@pytest.mark.fault(15)
def test_a_worker_that_met_rubbish_still_obeys(worker: Start, app: taskq.TaskQ) -> None:
    app.broker.push("q", [b"rubbish"])
    running = worker("-v")
    running.line("failed:")
    wait_until(lambda: app.failures.count() == 1)
    running.send(signal.SIGTERM)
    assert running.ended() == 0
