from __future__ import annotations

import calendar
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskq import envelope, failed_entry
from taskq.errors import InvalidPayload
from taskq.failure_handler import Failure
from taskq.records import Crash, ErrorRecord, Payload, StoredFailure
from tests.support.vectors import vector

BODY = b'{"class":"Emailer","args":["a@b",1.0e+20],"id":"01HX"}'


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def failure(body: bytes = BODY, cause: ErrorRecord | Crash | None = None, **facts: Any) -> Failure:
    payload = None
    try:
        payload = envelope.decode(body)
    except InvalidPayload:
        pass
    told: dict[str, Any] = {"queue": "mail", "worker": "vm:1:mail", "run_at": 1.0, "failed_at": 1795459660.9} | facts
    return Failure(payload, body, cause=cause or ErrorRecord("ValueError", "no"), **told)


def read(entry: bytes) -> failed_entry.FailedJob:
    return failed_entry.decode(StoredFailure(3, entry, "mail"))


def recorded(number: str) -> list[bytes]:
    """The failed entries that Ruby pushed in a recording."""
    pushes = [command for command in vector(number)["commands"] if command[0] == "rpush" and "failed" in command[1]]
    return [command[2].encode() for command in pushes]


def seconds(text: str) -> int:
    return calendar.timegm(time.strptime(text[:19], "%Y/%m/%d %H:%M:%S"))


SHUTDOWN = "the worker was told to stop, and its time was over"


class TestEncode:
    @pytest.mark.parametrize("number", ["07", "09", "12", "13", "28", "29"])
    def test_recorded_entries_of_exceptions_byte_for_byte(self, number: str) -> None:
        entries = recorded(number)
        replayed = 0
        for entry in entries:
            was = json.loads(entry)
            if was["exception"].startswith("Resque::") or not isinstance(was["payload"], dict):
                continue
            body = envelope.dump(was["payload"]).encode()
            cause = ErrorRecord(was["exception"], was["error"], tuple(was["backtrace"]))
            told = failure(body, cause, queue=was["queue"], worker=was["worker"], failed_at=seconds(was["failed_at"]))
            assert failed_entry.encode(told) == entry
            replayed += 1
        assert replayed >= 4

    def test_recorded_entry_in_tokyo(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        entry = recorded("33")[0]
        was = json.loads(entry)
        assert was["failed_at"].endswith("JST")
        body = envelope.dump(was["payload"]).encode()
        cause = ErrorRecord(was["exception"], was["error"], tuple(was["backtrace"]))
        moment = seconds(was["failed_at"]) - 9 * 3600
        told = failure(body, cause, queue=was["queue"], worker=was["worker"], failed_at=moment)
        assert failed_entry.encode(told) == entry

    @pytest.mark.parametrize("number", ["13", "23", "24", "25"])
    def test_recorded_entries_of_crashes_byte_for_byte(self, number: str) -> None:
        replayed = 0
        for entry in recorded(number):
            was = json.loads(entry)
            killed = re.search(r"pid (\d+) SIG\w+ \(signal (\d+)\)$", was["error"])
            if killed:
                crash = Crash(pid=int(killed[1]), signal=int(killed[2]))
            elif was["exception"] == "Resque::PruneDeadWorkerDirtyExit":
                crash = Crash(worker_lost=True, last_heartbeat=1.0)
            elif was["exception"] == "Resque::DirtyExit":
                crash = Crash(worker_lost=True)
            else:
                continue
            body = envelope.dump(was["payload"]).encode()
            told = failure(body, crash, queue=was["queue"], worker=was["worker"], failed_at=seconds(was["failed_at"]))
            assert failed_entry.encode(told) == entry
            replayed += 1
        assert replayed >= 1

    @pytest.mark.parametrize(
        ("crash", "error"),
        [
            (Crash(pid=7, status=3), "Child process exited with status 3 without finishing the job (pid 7)"),
            (Crash(status=0), "Child process exited with status 0 without finishing the job"),
            (Crash(signal=9), "Child process received unhandled signal SIGKILL (signal 9)"),
            (Crash(pid=7, signal=60), "Child process received unhandled signal pid 7 signal 60"),
            (Crash(), "Job still being processed"),
            (
                Crash(ended="shutdown"),
                f"The worker's process ended without finishing the job: {SHUTDOWN}",
            ),
            (Crash(pid=7, ended="kill"), "Child process ended without finishing the job: USR1 asked for it"),
            (
                Crash(7, signal=9, ended="timeout", limit=2),
                "The job went over its time limit of 2 s and did not end when told to; its process (pid 7) was killed",
            ),
        ],
    )
    def test_ends_that_ruby_has_no_recording_of(self, crash: Crash, error: str) -> None:
        said = read(failed_entry.encode(failure(cause=crash)))
        exception = "taskq.errors.JobTimeout" if crash.ended == "timeout" else "Resque::DirtyExit"
        assert (said.exception, said.error, said.backtrace) == (exception, error, ())

    def test_a_lost_worker_with_a_payload_that_cannot_be_read(self) -> None:
        said = read(failed_entry.encode(failure(b"\0", Crash(worker_lost=True, last_heartbeat=1.0))))
        assert said.error == "Worker vm:1:mail did not gracefully exit while processing No Name"

    def test_an_exception_without_message_says_its_class(self) -> None:
        assert read(failed_entry.encode(failure(cause=ErrorRecord("app.Boom", "")))).error == "app.Boom"

    def test_the_payload_is_kept_byte_for_byte(self) -> None:
        odd = b'{ "args":[1.0e+15 ,"\\u00e9/\\/"],\n"class":"A","z":{"y":null} }'
        entry = failed_entry.encode(failure(odd))
        assert b'"payload":' + odd + b',"exception"' in entry
        assert read(entry).body == odd

    @pytest.mark.parametrize("body", [b'{"args":[1]}', b'{"class":5,"args":[]}', b'{"class":"A","args":[],"args":[1]}'])
    def test_an_object_of_a_wrong_shape_is_kept_as_it_is(self, body: bytes) -> None:
        entry = failed_entry.encode(failure(body))
        assert b'"payload":' + body + b"," in entry

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"not json",
            b"null",
            b"[1]",
            b"\xff\0\xfe",
            b'{"class":"A","args":[NaN]}',
            b"[" * 100_000,
            b'{"class":"","args":[],"raw":"aGk="}',
            b'{"class":"A","args":["\\ud800"]}',
        ],
    )
    def test_rubbish_is_kept_as_base64(self, body: bytes) -> None:
        entry = failed_entry.encode(failure(body))
        assert json.loads(entry)["payload"].keys() == {"class", "args", "raw"}
        said = read(entry)
        assert said.body == body
        assert said.payload is None
        assert said.why_not.startswith("The payload")

    def test_a_quarantine_is_said_behind_the_message_and_as_a_key(self) -> None:
        entry = failed_entry.encode(failure(), quarantined="killed 3 workers")
        assert read(entry).error == "no (quarantined: killed 3 workers)"
        assert read(entry).quarantined == "killed 3 workers"
        assert list(json.loads(entry))[-2:] == ["queue", "quarantined"]
        assert read(failed_entry.mark_retried(entry, 1_800_000_005.0)).quarantined == "killed 3 workers"

    def test_surrogates_and_control_characters_make_valid_text(self) -> None:
        cause = ErrorRecord("Bo\ud800om", "\ud83d \0\x07\x1b[31m é\udfff", ("a\udc80.py:1:in 'x\0'",))
        entry = failed_entry.encode(failure(cause=cause, worker="w\ud800", queue="q\ud800"), quarantined="\ud800")
        said = read(entry)
        assert said.error == "\\ud83d \0\x07\x1b[31m é\\udfff (quarantined: \\ud800)"
        assert (said.exception, said.worker, said.job_queue) == ("Bo\\ud800om", "w\\ud800", "q\\ud800")
        assert said.backtrace == ("a\\udc80.py:1:in 'x\0'",)


class TestCut:
    def size(self, entry: bytes, body: bytes = BODY) -> int:
        return len(entry) - len(body)

    def test_the_middle_of_the_backtrace_goes_first(self) -> None:
        frames = tuple(f"/app/deep.py:{n}:in 'down'" for n in range(20_000))
        entry = failed_entry.encode(failure(cause=ErrorRecord("RecursionError", "too deep", frames)))
        said = read(entry)
        assert failed_entry.MAX_ENTRY * 0.95 < self.size(entry) <= failed_entry.MAX_ENTRY
        assert said.error == "too deep"
        assert (said.backtrace[0], said.backtrace[-1]) == (frames[0], frames[-1])
        (gap,) = (line for line in said.backtrace if "cut" in line)
        assert gap == f"... {20_000 - (len(said.backtrace) - 1)} frames cut ..."
        place = said.backtrace.index(gap)
        assert said.backtrace[:place] == frames[:place]
        assert said.backtrace[place + 1 :] == frames[-(len(said.backtrace) - place - 1) :]

    @pytest.mark.parametrize("letter", ["x", "é", "😀", "\0", '"', "\ud800"])
    def test_then_the_message(self, letter: str) -> None:
        frames = tuple(f"/app/deep.py:{n}:in 'down'" for n in range(50))
        message = "the beginning " + letter * 20_000_000 + " the end"
        entry = failed_entry.encode(failure(cause=ErrorRecord("Boom", message, frames)), quarantined="why")
        said = read(entry)
        assert failed_entry.MAX_ENTRY * 0.8 < self.size(entry) <= failed_entry.MAX_ENTRY
        assert said.error.startswith("the beginning ")
        assert said.error.endswith(" the end (quarantined: why)")
        assert re.search(r" \[\.\.\. 19,\d{3},\d{3} characters cut \.\.\.\] ", said.error)
        assert said.backtrace == frames

    def test_the_payload_is_never_cut(self) -> None:
        body = envelope.encode("A", envelope.dump(["x" * 1_000_000]))
        entry = failed_entry.encode(failure(body, ErrorRecord("Boom", "m" * 100_000)))
        assert read(entry).body == body
        assert self.size(entry, body) <= failed_entry.MAX_ENTRY

    def test_one_huge_frame_and_a_huge_class_name_leave_room_for_the_rest(self) -> None:
        cause = ErrorRecord("C" * 100_000, "message", ("f" * 1_000_000, "second"))
        said = read(failed_entry.encode(failure(cause=cause)))
        assert len(said.exception) < 1100
        assert len(said.backtrace[0]) < 1100
        assert (said.error, said.backtrace[1]) == ("message", "second")

    @given(st.text(), st.lists(st.text()), st.integers(0, 100_000), st.integers(0, 5_000))
    def test_the_bound_holds_whatever_is_said(self, text: str, lines: list[str], times: int, frames: int) -> None:
        cause = ErrorRecord("Boom", text * (times // 10), tuple(lines * (frames // 10)))
        entry = failed_entry.encode(failure(cause=cause))
        assert self.size(entry) <= failed_entry.MAX_ENTRY
        assert read(entry).requeueable


class TestDecode:
    def test_what_was_encoded(self) -> None:
        cause = ErrorRecord("app.Boom", "it broke\né", ("/app/a.py:1:in 'f'", "/app/b.py:2:in 'g'"))
        entry = failed_entry.encode(failure(cause=cause))
        assert read(entry) == failed_entry.FailedJob(
            position=3,
            queue="mail",
            entry=entry,
            failed_at="2026/11/23 18:47:40 UTC",
            payload=Payload("Emailer", ("a@b", 1e20), {"id": "01HX"}),
            body=BODY,
            exception="app.Boom",
            error="it broke\né",
            backtrace=("/app/a.py:1:in 'f'", "/app/b.py:2:in 'g'"),
            worker="vm:1:mail",
            job_queue="mail",
            retried_at=None,
            why_not="",
        )

    def test_every_recorded_entry(self) -> None:
        for number in ("07", "09", "11", "12", "13", "23", "24", "28", "29", "33"):
            for entry in recorded(number):
                said = read(entry)
                try:
                    was = json.loads(entry)
                except ValueError:
                    assert not said.requeueable
                    continue
                assert (said.exception, said.error) == (was.get("exception", ""), was.get("error", ""))
                assert said.backtrace == tuple(was.get("backtrace", ()))
                assert said.job_queue == was["queue"]
                assert said.body is not None
                assert json.loads(said.body) == was["payload"]
                payload = was["payload"]
                named = isinstance(payload, dict) and isinstance(payload.get("class"), str) and payload["class"]
                good = bool(named) and isinstance(payload.get("args"), list | None)
                assert said.requeueable is good, said.why_not

    @pytest.mark.parametrize(
        ("entry", "why"),
        [
            (b"", '"{" was expected at character 0'),
            (b"not json", '"{" was expected'),
            (b"[1]", '"{" was expected'),
            (b"\xff", "not UTF-8 (byte 0)"),
            (b"{", "Expecting value"),
            (b'{"a":1', '"," was expected'),
            (b'{"a" 1}', '":" was expected'),
            (b"{5:1}", "a key was expected"),
            (b'{"a":1,}', "Expecting value"),
            (b'{"a":1}{', "more behind its end"),
            (b"[" * 100_000, "nested too deeply"),
            (b'{"payload":' + b"[" * 100_000, "nested too deeply"),
            (b'{"payload":{"class":"A"}}', "which queue"),
            (b'{"payload":{"class":"A"},"queue":5}', "which queue"),
            (b'{"queue":"q"}', "no payload"),
            (b"{}", "no payload"),
            (b'{"payload":{"class":5},"queue":"q"}', '"class" is a number'),
            (b'{"payload":{"class":"","args":[],"raw":"?"},"queue":"q"}', "names no job"),
            (b'{"payload":{"class":"","args":[],"raw":[1]},"queue":"q"}', "names no job"),
            (b'{"payload":{"class":"A","args":[NaN]},"queue":"q"}', "NaN"),
        ],
    )
    def test_rubbish_says_why_it_cannot_be_requeued(self, entry: bytes, why: str) -> None:
        said = read(entry)
        assert not said.requeueable
        assert why in said.why_not
        assert (said.position, said.queue, said.entry) == (3, "mail", entry)

    def test_fields_of_wrong_types_are_shown_as_text(self) -> None:
        entry = (
            b'{"payload":{"class":"A"},"queue":"q","exception":null,"error":{"code":[1,NaN]},"backtrace":"one\\ntwo",'
            b'"worker":5,"failed_at":1' + b"0" * 5000 + b',"retried_at":false}'
        )
        said = read(entry)
        assert (said.exception, said.error, said.worker) == ("", '{"code": ["1", "NaN"]}', "5")
        assert said.backtrace == ("one", "two")
        assert said.failed_at == "1" + "0" * 5000
        assert said.retried_at == "false"
        assert said.requeueable

    def test_escaped_surrogates_become_text(self) -> None:
        said = read(b'{"payload":{"class":"A"},"queue":"q","error":"\\ud800","backtrace":["\\udfff"]}')
        assert (said.error, said.backtrace) == ("\\ud800", ("\\udfff",))

    def test_white_space_around_is_no_part_of_the_payload(self) -> None:
        said = read(b' { "queue" : "q" , "payload" : {"class": "A"} } \n')
        assert said.body == b'{"class": "A"}'
        assert said.requeueable

    @given(st.binary())
    def test_it_never_raises(self, entry: bytes) -> None:
        assert read(entry).entry == entry

    @given(st.binary(max_size=8), st.integers(0, 400), st.integers(0, 8))
    def test_damaged_entries_never_raise(self, damage: bytes, place: int, gone: int) -> None:
        good = failed_entry.encode(failure(cause=ErrorRecord("Boom", "é", ("f",))))
        said = read(good[:place] + damage + good[place + gone :])
        if said.requeueable:
            # Whatever may be requeued may be marked as well.
            assert read(failed_entry.mark_retried(said.entry, 0)).retried_at == "1970/01/01 00:00:00 UTC"

    @given(st.binary())
    def test_any_body_comes_back_from_its_entry(self, body: bytes) -> None:
        assert read(failed_entry.encode(failure(body))).body == body


class TestMarkRetried:
    @pytest.mark.parametrize(("number", "marked"), [("28", 5), ("29", 4)])
    def test_recorded_marks_byte_for_byte(self, number: str, marked: int) -> None:
        originals = recorded(number)
        seen = set()
        for command in vector(number)["commands"]:
            if command[0] != "lset" or "retried_at" not in command[3]:
                continue
            after = command[3].encode()
            before = next((entry for entry in originals if after.startswith(entry[:-1])), None)
            if before is None:  # an entry pushed by hand, of another shape
                before = b'{"failed_at":"x","payload":{"class":"Ok"},"queue":"e"}'
            at = json.loads(after)["retried_at"]
            once = failed_entry.mark_retried(before, seconds(at), zone=at.endswith("UTC"))
            assert once == after
            # A second time replaces the first.
            again = failed_entry.mark_retried(
                failed_entry.mark_retried(before, 5), seconds(at), zone=at.endswith("UTC")
            )
            assert again == after
            seen.add(after)
        assert len(seen) >= marked

    def test_all_else_stays_as_it_is(self) -> None:
        entry = b'{"retried_at":"x","payload":{"class":"A", "args":[1.0e+20]} ,"queue":"q","more":[ 1 ]}'
        marked = failed_entry.mark_retried(entry, 0)
        assert marked == (
            b'{"payload":{"class":"A", "args":[1.0e+20]},"queue":"q","more":[ 1 ],'
            b'"retried_at":"1970/01/01 00:00:00 UTC"}'
        )
        assert read(marked).retried_at == "1970/01/01 00:00:00 UTC"

    def test_an_empty_object(self) -> None:
        assert failed_entry.mark_retried(b"{}", 0) == b'{"retried_at":"1970/01/01 00:00:00 UTC"}'

    def test_rubbish_cannot_be_marked(self) -> None:
        with pytest.raises(ValueError):
            failed_entry.mark_retried(b"not json", 0)
