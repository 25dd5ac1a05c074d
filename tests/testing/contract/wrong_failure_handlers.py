"""Failure handlers that break one promise each."""

from __future__ import annotations

import os
import threading
from typing import Any

from taskq.failure_handler import Decision, Discard, Fail, Failure, FailureHandler, Quarantine, Retry
from taskq.records import Crash, ErrorRecord, Payload
from taskq.testing.contract import FailureHandlerContract
from tests.testing.contract.judge import names

_NEVER = threading.Event()


class _Handler(FailureHandler):
    name = "wrong"


class WrongName(FailureHandlerContract):
    caught_by = names("name_is_what_a_configuration_calls_it")

    def make_handler(self) -> FailureHandler:
        return FailureHandler()


class WrongAnswer(FailureHandlerContract):
    """It answers True where it wants a retry."""

    caught_by = names("decide_answers_a_decision_or_passes decide_lets_the_worker_go_on")

    def make_handler(self) -> FailureHandler:
        class Agreeing(_Handler):
            def decide(self, failure: Failure) -> Any:
                return True

        return Agreeing()


class WrongReason(FailureHandlerContract):
    """It says no reason."""

    caught_by = names("decide_answers_a_decision_or_passes")

    def make_handler(self) -> FailureHandler:
        class Silent(_Handler):
            def decide(self, failure: Failure) -> Decision | None:
                return Discard("") if isinstance(failure.cause, ErrorRecord) else Quarantine(" ")

        return Silent()


class WrongBody(FailureHandlerContract):
    """It puts back what no worker can read."""

    caught_by = names("decide_answers_a_decision_or_passes")

    def make_handler(self) -> FailureHandler:
        class Scribbling(_Handler):
            def decide(self, failure: Failure) -> Decision | None:
                return Retry(body=b"again")

        return Scribbling()


class WrongTrust(FailureHandlerContract):
    """It takes every failure for an exception with a payload, and every text for short."""

    caught_by = names("""
        decide_answers_a_decision_or_passes decide_answers_whatever_failed decide_lets_the_worker_go_on
        decided_is_told_of_every_decision decided_is_told_whatever_failed
    """)

    def make_handler(self) -> FailureHandler:
        class Trusting(_Handler):
            def decide(self, failure: Failure) -> Decision | None:
                assert failure.payload is not None
                return Fail() if failure.cause.type == failure.payload.job else None  # type: ignore[union-attr]

            def decided(self, failure: Failure, decision: Decision) -> None:
                assert failure.payload is not None
                decision.reason  # type: ignore[union-attr]  # noqa: B018

        return Trusting()


class WrongHaste(FailureHandlerContract):
    """It waits for somebody who never comes."""

    caught_by = names("decide_takes_no_long_time decided_takes_no_long_time")
    patience = 0.05

    def make_handler(self) -> FailureHandler:
        class Waiting(_Handler):
            def decide(self, failure: Failure) -> Decision | None:
                _NEVER.wait()
                return None

            def decided(self, failure: Failure, decision: Decision) -> None:
                _NEVER.wait()

        return Waiting()


class WrongMemory(FailureHandlerContract):
    """It counts in memory how often it was asked."""

    caught_by = names("decide_relies_on_nothing_that_an_earlier_one_left decide_side_by_side")

    def make_handler(self) -> FailureHandler:
        class Counting(_Handler):
            asked = 0

            def decide(self, failure: Failure) -> Decision | None:
                self.asked += 1
                return Retry() if self.asked <= 3 else Fail()

        return Counting()


class WrongFork(FailureHandlerContract):
    """It works only in the process that made it."""

    caught_by = names("decide_in_a_forked_child")

    def make_handler(self) -> FailureHandler:
        class Homesick(_Handler):
            def __init__(self) -> None:
                self.home = os.getpid()

            def decide(self, failure: Failure) -> Decision | None:
                assert os.getpid() == self.home
                return None

        return Homesick()


class WrongHands(FailureHandlerContract):
    """It takes the arguments out, so that nobody sees them; nobody else finds them."""

    caught_by = names("decide_changes_no_failure decided_changes_no_failure")
    failures = (
        Failure(Payload("send", (["a", "b"],)), b'{"class":"send","args":[["a","b"]]}', "q", "w", Crash(), 1.0, 2.0),
    )

    def make_handler(self) -> FailureHandler:
        class Hiding(_Handler):
            def decide(self, failure: Failure) -> Decision | None:
                self.decided(failure, Fail())
                return None

            def decided(self, failure: Failure, decision: Decision) -> None:
                for arg in failure.payload.args if failure.payload is not None else ():
                    if isinstance(arg, list | dict):
                        arg.clear()

        return Hiding()


class WrongSay(FailureHandlerContract):
    """It has a second opinion when it is told."""

    caught_by = names("decided_is_told_of_every_decision")

    def make_handler(self) -> FailureHandler:
        class Meddling(_Handler):
            def decided(self, failure: Failure, decision: Decision) -> Any:
                return Fail()

        return Meddling()
