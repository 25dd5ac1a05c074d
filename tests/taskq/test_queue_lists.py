from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskq import queue_lists
from taskq.errors import ConfigurationError
from tests.support.vectors import returned

RECORDED = returned("26")
KNOWN = ["mail", "high_2", "b_low", "high_1", "a_high"]
ODD = ["mail", "MAIL", "a/b", ".dot"]


def expand(pattern: str, *known: str) -> tuple[str, ...]:
    return queue_lists.parse([pattern]).expand(known)


WORKERS = [call for call, answer in RECORDED.items() if isinstance(answer, dict) and "id" in answer]


def test_every_recorded_list_is_replayed() -> None:
    assert len(WORKERS) == 15


@pytest.mark.parametrize("call", WORKERS)
def test_a_list_means_what_ruby_takes_it_for(call: str) -> None:
    match = re.fullmatch(r"Worker\.new\((.*)\)", call)
    assert match is not None
    answer = RECORDED[call]
    listed = queue_lists.parse(json.loads(f"[{match[1]}]"))
    expanded = listed.expand(KNOWN)
    assert f"HOST:PID:{listed.id}" == answer["id"]
    assert list(expanded) == list(dict.fromkeys(answer["queues"]))
    assert [name for name in expanded if name in KNOWN] == answer["order of jobs"]


@pytest.mark.parametrize(
    ("patterns", "call"),
    [
        ("*", 'queues .dot, a/b, MAIL, mail; Worker.new("*")'),
        ("m*", 'Worker.new("m*"): case counts'),
        (".*,a*", 'Worker.new(".*", "a*")'),
    ],
)
def test_dots_slashes_and_case_match_as_in_ruby(patterns: str, call: str) -> None:
    assert list(queue_lists.parse(patterns).expand(ODD)) == RECORDED[call]


@pytest.mark.parametrize("variable", ["QUEUE=mail,high_1", "QUEUES=b_low, a_high"])
def test_the_text_of_a_variable_gives_the_recorded_id(variable: str) -> None:
    assert f"HOST:PID:{queue_lists.parse(variable.partition('=')[2]).id}" == RECORDED[f"{variable}, Worker.new"]


@pytest.mark.parametrize("nothing", ["", " , ,", "!mail", "!a,!b*"])
def test_a_list_without_a_queue_is_refused_in_rubys_words(nothing: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        queue_lists.parse(nothing, source="QUEUES")
    (problem,) = caught.value.problems
    assert problem.source == "QUEUES"
    assert problem.message.startswith(RECORDED["no queue at all"]["message"])


def test_a_list_of_exclusions_is_answered_with_the_right_list() -> None:
    with pytest.raises(ConfigurationError, match=r"to serve all else: \*,!a,!b\*"):
        queue_lists.parse("!a, !b*")


def test_exclusions_hold_for_names_too_and_make_the_list_dynamic() -> None:
    listed = queue_lists.parse("mail,nope,!low")
    assert listed.is_dynamic
    assert listed.expand(["mail", "low"]) == ("mail",)


def test_a_plain_list_is_itself_whether_its_queues_are_known_or_not() -> None:
    listed = queue_lists.parse("b,a,b")
    assert not listed.is_dynamic
    assert listed.expand([]) == ("b", "a")


def test_a_title_names_the_queues_that_match_now() -> None:
    assert queue_lists.parse("high_*,mail").title(KNOWN) == "high_1,high_2,mail"


def test_matches_are_sorted_by_their_bytes() -> None:
    wild = "\udcff"  # a byte that is no UTF-8, as a broker gives it
    assert expand("*", "é", "Z", "a", wild, "😀") == ("Z", "a", "é", "😀", wild)


# Ruby 3.1's File.fnmatch? without flags, from its source (dir.c: bracket and fnmatch_helper).
@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("a[!b]c", ["axc", "a!c", "a.c"], ["abc", "ac"]),
        ("a[^b]c", ["axc", "a^c"], ["abc"]),
        ("a[b-d-f]", ["ab", "ac", "ad", "a-", "af"], ["ae"]),
        ("a[z-b]", ["az", "ab"], ["ac"]),
        ("a[]b]", [], ["ab", "a]", "a]b]"]),
        ("a[!]b]", ["axb]"], ["ax", "ab]x"]),
        ("a[b", [], ["a[b", "ab"]),
        ("a[b-]", ["ab", "a-"], ["ac"]),
        (r"a[\]]?", ["a]x"], ["ax", "a\\"]),
        (r"a\*?", ["a*x"], ["abx", r"a\*x"]),
        ("a?\\", ["ab\\"], ["ab"]),
        ("?x*", ["ax", "éxy"], [".x", ".xy"]),
        (r"\.x*", [".xy"], ["xy"]),
        ("[.]x", [], [".x"]),
        ("a.?", ["a.b"], ["aXb"]),
        ("{a,b}*", [], ["a", "b"]),
        ("a*z", ["az", "a\nz", "a/b/z"], ["azb"]),
    ],
)
def test_a_pattern_matches_as_rubys_fnmatch(pattern: str, matching: list[str], others: list[str]) -> None:
    listed = queue_lists.QueueList((pattern, "*force-dynamic"))
    assert sorted(listed.expand(matching + others)) == sorted(matching)


@given(st.text(alphabet="a.*?[]!^-\\{}", max_size=8), st.lists(st.text(alphabet="a.[]*-\\", max_size=4)))
def test_no_pattern_breaks_and_each_name_comes_once(pattern: str, known: list[str]) -> None:
    expanded = queue_lists.QueueList((pattern, "*")).expand(known)
    assert len(expanded) == len(set(expanded))
    assert set(expanded) <= set(known)


class TestWeights:
    def test_stand_behind_a_name_or_a_pattern_and_are_1_where_none_is_said(self) -> None:
        listed = queue_lists.parse("critical=5, mail* = 2 ,low,!mail_test=1", weighted=True)
        assert (listed.patterns, listed.weighing) == (("critical", "mail*", "low"), (5, 2, 1))
        assert listed.excluded == ("mail_test=1",)
        assert listed.weights(["critical", "mail_a", "low", "mail_b"]) == [5, 2, 1, 2]

    def test_are_not_in_the_id(self) -> None:
        assert queue_lists.parse("critical=5,mail*=2", weighted=True).id == "critical,mail*"

    def test_of_a_queue_that_two_entries_match_is_that_of_the_first(self) -> None:
        listed = queue_lists.parse("mail=3,*=2,mail=9", weighted=True)
        assert listed.weights(["mail", "other"]) == [3, 2]

    def test_of_a_plain_list_are_by_name_not_by_pattern(self) -> None:
        assert queue_lists.parse(".a=2,b", weighted=True).weights([".a", "b"]) == [2, 1]

    @pytest.mark.parametrize("name", ["a=b", "a=5", "=", "a=", "=5", "[=]", "a\\=b"])
    def test_a_name_with_the_sign_is_written_with_its_weight(self, name: str) -> None:
        listed = queue_lists.parse(f"{name}=7", weighted=True)
        assert (listed.patterns, listed.weighing) == ((name,), (7,))

    def test_without_that_order_are_a_part_of_the_name(self) -> None:
        listed = queue_lists.parse("critical=5,low")
        assert listed.patterns == ("critical=5", "low")
        assert list(listed.weights(["critical=5", "low"])) == [1, 1]

    def test_that_are_none_are_said_all_at_once_with_what_to_write(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            queue_lists.parse("a=b,fine,c=0,=3,d=1.5,e=-1", weighted=True, source="--queue")
        assert [str(problem) for problem in caught.value.problems] == [
            f'--queue: in "{entry}" what follows the last = must be its weight, a whole number from 1 to 1000000. '
            f"A queue whose own name has a = is written with its weight: {entry}=1."
            for entry in ("a=b", "c=0", "=3", "d=1.5", "e=-1")
        ]
