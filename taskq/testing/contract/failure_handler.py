"""What every failure handler promises: a class to subclass, a test a promise, each named for the method it proves."""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections.abc import Sequence
from functools import partial
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskq import envelope
from taskq.errors import InvalidPayload
from taskq.failure_handler import Decision, Discard, Fail, Failure, FailureHandler, Quarantine, Retry
from taskq.performing import decide
from taskq.records import Crash, Ended, ErrorRecord, Payload
from taskq.testing.contract.alongside import PATIENCE, in_child, side_by_side, within
from taskq.testing.contract.unhurried import UNHURRIED

__all__ = ["FailureHandlerContract"]

_BODY = b'{"class":"send_email","args":["ada@example.com",{"taskq:kw":{"subject":"Hi"}}]}'
_ERROR = ErrorRecord(
    "shop.mail.Refused",
    "550 no such mailbox",
    ("/shop/mail.py:7:in 'send'",),
    "Traceback (most recent call last):\nshop.mail.Refused: 550 no such mailbox\n",
)


def _failure(cause: ErrorRecord | Crash, body: bytes = _BODY, attempts: int = 1) -> Failure:
    try:
        payload = envelope.decode(body)
    except InvalidPayload:
        payload = None
    return Failure(payload, body, "emails", "host:1:emails", cause, 1_800_000_000.0, 1_800_000_001.5, attempts)


_FAILURES = {
    "an exception": _failure(_ERROR),
    "an exception that says nothing": _failure(ErrorRecord("ValueError", "ValueError")),
    "an exception at a later attempt": _failure(_ERROR, attempts=1_000),
    "killed by a signal": _failure(Crash(pid=17, signal=9)),
    "an exit status": _failure(Crash(pid=17, status=3)),
    "over its time limit": _failure(Crash(pid=17, signal=9, ended="timeout", limit=30.0)),
    "ended by taskq": _failure(Crash(pid=17, signal=9, ended="kill")),
    "a lost worker": _failure(Crash(worker_lost=True, last_heartbeat=1_799_999_990.0)),
    "a lost worker that never beat": _failure(Crash(worker_lost=True)),
    "nothing known": _failure(Crash()),
    "no payload": _failure(ErrorRecord("taskq.errors.InvalidPayload", "The payload is not JSON."), b"\xff{"),
    "an empty payload": _failure(ErrorRecord("taskq.errors.InvalidPayload", "The payload is empty."), b""),
    "a job that nobody knows": _failure(
        ErrorRecord("taskq.errors.UnknownJob", "Unknown job"), b'{"class":"Gone","args":[]}'
    ),
}
_DECISIONS: Sequence[Decision] = (
    Retry(),
    Retry(front=True, body=_BODY),
    Discard("the order is gone"),
    Fail(),
    Fail(by_queue=True),
    Quarantine("killed twice"),
)

_CAUSES = st.builds(
    ErrorRecord, st.text(min_size=1), st.text(), st.lists(st.text(), max_size=3).map(tuple), st.text()
) | st.builds(
    Crash,
    pid=st.none() | st.integers(1, 2**22),
    signal=st.none() | st.integers(1, 64),
    status=st.none() | st.integers(0, 255),
    worker_lost=st.booleans(),
    last_heartbeat=st.none() | st.floats(0, 2**32),
    ended=st.sampled_from(get_args(Ended)),
    limit=st.none() | st.floats(0, 2**32),
)
_ANY = st.builds(
    Failure,
    payload=st.none() | st.just(Payload("send_email", ("ada@example.com",), {"id": "7"})),
    body=st.binary(),
    queue=st.text(),
    worker=st.text(),
    cause=_CAUSES,
    run_at=st.floats(0, 2**32),
    failed_at=st.floats(0, 2**32),
    attempts=st.integers(1, 2**31),
)


class FailureHandlerContract:
    """Subclass it, give `make_handler`, and every promise of `taskq.failure_handler.FailureHandler` is tested.

    Attributes:
        failures: further failures that this handler has something to say of; each test has these beside its own.
        patience: seconds that one decision may take: the worker waits meanwhile.
    """

    failures: Sequence[Failure] = ()
    patience: float = 5.0

    def make_handler(self) -> FailureHandler:
        """A handler, made anew, as each process of a worker has one of its own."""
        raise NotImplementedError(f"{type(self).__name__} has no make_handler(): give one that returns a handler")

    def all_failures(self) -> Sequence[Failure]:
        """The failures that every handler meets in time, and those of `failures`."""
        return (*_FAILURES.values(), *self.failures)

    def test_name_is_what_a_configuration_calls_it(self) -> None:
        """The name is that of its entry point: one word."""
        name = self.make_handler().name
        assert name
        assert name == "".join(name.split())

    # ---- decide

    def test_decide_answers_a_decision_or_passes(self) -> None:
        """The answer is Retry, Discard, Fail, Quarantine, or None to leave it to the next handler."""
        for failure in self.all_failures():
            _assert_proper(self.make_handler().decide(failure))

    def test_decide_answers_whatever_failed(self) -> None:
        """Bytes that are no payload, texts of all kinds, crashes of which little is known: it raises for none."""
        handler = self.make_handler()

        @UNHURRIED
        @given(failure=_ANY)
        def check(failure: Failure) -> None:
            _assert_proper(handler.decide(failure))

        check()

    def test_decide_lets_the_worker_go_on(self, caplog: pytest.LogCaptureFixture) -> None:
        """Asked by a worker, it makes no trouble that has to be logged in its place."""
        with caplog.at_level(logging.ERROR, "taskq.performing"):
            for failure in self.all_failures():
                decide(failure, [self.make_handler()])
        assert [record.getMessage() for record in caplog.records if record.name == "taskq.performing"] == []

    def test_decide_takes_no_long_time(self) -> None:
        """The worker waits for it: what takes long belongs into a job of its own."""
        for failure in self.all_failures():
            within(self.patience, partial(self.make_handler().decide, failure))

    def test_decide_relies_on_nothing_that_an_earlier_one_left(self) -> None:
        """Each job may fail in a process of its own, so a handler that saw others decides as a fresh one does."""
        seasoned = self.make_handler()
        for failure in [*self.all_failures(), *self.all_failures()]:
            assert type(seasoned.decide(failure)) is type(self.make_handler().decide(failure))

    def test_decide_changes_no_failure(self) -> None:
        """The next handler is asked about the same one."""
        for failure in self.all_failures():
            before = copy.deepcopy(failure)
            self.make_handler().decide(failure)
            assert failure == before

    def test_decide_side_by_side(self) -> None:
        """A worker with several threads has one handler for all of them."""
        handler = self.make_handler()

        def ask() -> list[type]:
            return [type(handler.decide(failure)) for failure in self.all_failures()]

        first, *others = side_by_side(ask, ask, ask, ask, patience=self.patience * len(self.all_failures()))
        assert others == [first] * 3

    def test_decide_in_a_forked_child(self) -> None:
        """A worker makes it and then forks for each job: no thread, lock or connection of the parent is relied on."""
        handler = self.make_handler()
        handler.decide(self.all_failures()[0])

        def ask() -> None:
            for failure in self.all_failures():
                _assert_proper(handler.decide(failure))

        in_child(ask, patience=max(PATIENCE, self.patience * len(self.all_failures())))

    # ---- decided

    def test_decided_is_told_of_every_decision(self) -> None:
        """Whoever decided, and whatever: it is told, and answers nothing."""
        for failure in self.all_failures():
            for decision in _DECISIONS:
                handler = self.make_handler()
                answer: object = handler.decided(failure, decision)  # type: ignore[func-returns-value]
                assert answer is None, "decided() can change nothing, so it returns nothing"

    def test_decided_is_told_whatever_failed(self) -> None:
        """It raises for no text and no bytes; it may never have been asked about this failure."""
        handler = self.make_handler()

        @UNHURRIED
        @given(failure=_ANY, decision=st.sampled_from(_DECISIONS))
        def check(failure: Failure, decision: Decision) -> None:
            handler.decided(failure, decision)

        check()

    def test_decided_takes_no_long_time(self) -> None:
        """The worker waits for it, too."""
        for decision in _DECISIONS:
            within(self.patience, partial(self.make_handler().decided, _FAILURES["an exception"], decision))

    def test_decided_changes_no_failure(self) -> None:
        """Those that are told after it hear of the same one."""
        for failure in self.all_failures():
            before = copy.deepcopy(failure)
            self.make_handler().decided(failure, Fail())
            assert failure == before


def _assert_proper(decision: object) -> None:
    match decision:
        case None:
            return
        case Discard(reason=reason) | Quarantine(reason=reason):
            assert isinstance(reason, str), f"the reason of {decision!r} is for people to read"
            assert reason.strip(), f"{decision!r} says no reason"
        case Retry(body=None) | Fail():
            pass
        case Retry(body=bytes(body)):
            assert envelope.decode(body), "a retried job needs a payload that can be read"
        case _:
            pytest.fail(
                f"decide() answered {decision!r}. It must answer Retry, Discard, Fail, Quarantine, or None to pass."
            )
    assert dataclasses.is_dataclass(decision)
