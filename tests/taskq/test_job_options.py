from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from taskq.errors import ConfigurationError, JobDefinitionError, UnknownOption
from taskq.hook import OF_A_JOB, Hook
from taskq.job_options import CallOptions, KnownOptions


@dataclass
class Tries:
    attempts: int = 1


@dataclass
class RetryOptions:
    retry: Tries | None = None
    pace: float = 1.0
    mode: Literal["slow", "fast"] = "slow"
    labels: list[str] | None = None
    anything: Any = None


class Retrying(Hook):
    name = "retrying"
    options = RetryOptions


KNOWN = KnownOptions([Hook(), Retrying()])


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"retry": Tries(3)},
        {"retry": None},
        {"pace": 2},
        {"mode": "fast"},
        {"labels": ["a"]},
        {"anything": object()},
    ],
)
def test_check_takes_what_an_enabled_hook_declares(said: dict[str, object]) -> None:
    KNOWN.check(said, "options(...)")


def test_check_refuses_what_nobody_declares_and_lists_the_known() -> None:
    with pytest.raises(UnknownOption) as caught:
        KNOWN.check({"retyr": Tries()}, "options(...) of send")
    message = str(caught.value)
    assert message.startswith('options(...) of send: unknown option "retyr". Did you mean retry?')
    assert "Known: anything, at, connection, delay, front, labels, mode, pace, queue, retry." in message


def test_check_definition_lists_what_a_definition_knows() -> None:
    with pytest.raises(UnknownOption) as caught:
        KNOWN.check_definition({"front": True}, "@taskq.job of shop:send")
    assert {"queue", "name", "secret", "retry"} <= set(caught.value.known)
    assert "front" not in caught.value.known


@pytest.mark.parametrize(
    ("said", "type_name"),
    [({"retry": 3}, "int"), ({"pace": True}, "bool"), ({"mode": "quick"}, "str"), ({"labels": "a"}, "str")],
)
def test_check_refuses_a_value_of_another_type(said: dict[str, object], type_name: str) -> None:
    (name,) = said
    with pytest.raises(JobDefinitionError, match=rf'the option "{name}" takes .*, and was given {type_name}\.'):
        KNOWN.check(said, "options(...)")


def test_two_hooks_cannot_declare_the_same_option() -> None:
    class Other(Hook):
        name = "other"
        options = RetryOptions

    with pytest.raises(ConfigurationError, match='other declares the option "retry", which is retrying\'s already'):
        KnownOptions([Retrying(), Other()])


def test_a_hook_cannot_declare_what_is_taskqs_own() -> None:
    @dataclass
    class Queue:
        queue: str = ""

    class Greedy(Hook):
        name = "greedy"
        options = Queue

    with pytest.raises(ConfigurationError, match="taskq itself"):
        KnownOptions([Greedy()])


def test_declared_options_must_be_a_dataclass() -> None:
    class Odd(Hook):
        name = "odd"
        options = dict

    with pytest.raises(ConfigurationError, match=r"odd\.options is no dataclass"):
        KnownOptions([Odd()])


@pytest.mark.parametrize(("queue", "error"), [(3, TypeError), (b"a", TypeError), ("\ud800", ValueError)])
def test_a_queue_is_text(queue: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="queue's name"):
        CallOptions(queue=queue)


@pytest.mark.parametrize("queue", ["", "a b", "é", "a:b", "a,b", "*"])
def test_any_text_is_a_queue(queue: str) -> None:
    assert CallOptions(queue=queue).queue == queue


@dataclass
class JobOnly:
    pledge: str = field(default="", metadata=OF_A_JOB)


class OfJobs(Hook):
    name = "of_jobs"
    options = JobOnly


def test_check_refuses_in_a_call_what_only_a_job_can_say() -> None:
    known = KnownOptions([OfJobs()])
    known.check_definition({"pledge": "x"}, "@taskq.job of send")
    with pytest.raises(
        JobDefinitionError, match=r'options\(\.\.\.\) of send: the option "pledge" .*@taskq\.job\(pledge='
    ):
        known.check({"pledge": "x"}, "options(...) of send")
