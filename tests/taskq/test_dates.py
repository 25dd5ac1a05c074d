from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskq import dates
from tests.support.vectors import vector

SECONDS = st.integers(min_value=0, max_value=4_000_000_000)
ZONES = ["UTC", "Asia/Tokyo", "America/St_Johns", "Europe/Berlin"]


@pytest.fixture(autouse=True)
def _utc_again(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def in_zone(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()


MOMENT = 1795465195.987  # 2026-11-23T20:19:55Z, the moment of the recording in Tokyo


def test_forms_are_the_recorded_ones_in_tokyo(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = repr(vector("33")["commands"])
    in_zone(monkeypatch, "Asia/Tokyo")
    forms = [dates.run_at(MOMENT), dates.failed_at(MOMENT), dates.heartbeat(MOMENT), dates.started(MOMENT)]
    assert forms == [
        "2026-11-23T20:19:55Z",
        "2026/11/24 05:19:55 JST",
        "2026-11-24T05:19:55+09:00",
        "2026-11-24 05:19:55 +0900",
    ]
    for form in forms:
        assert form in recorded
    assert f'"retried_at":"{dates.failed_at(MOMENT, zone=False)}"}}' in recorded


@given(SECONDS, st.sampled_from(ZONES), st.floats(min_value=0, max_value=0.99))
def test_what_is_written_reads_back_as_the_same_second(second: int, zone: str, fraction: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        in_zone(patch, zone)
        moment = second + fraction
        assert dates.parse_run_at(dates.run_at(moment)) == second
        assert dates.parse_heartbeat(dates.heartbeat(moment)) == second
        assert dates.parse_started(dates.started(moment)) == second


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T20:19:55Z",
        "2026-11-23T20:19:55+00:00",
        "2026-11-24T05:19:55+0900",
        "2026-11-23T15:49:55-04:30",
        "2026-11-23 20:19:55 UTC",
        " 2026-11-23T20:19:55Z\n",
    ],
)
def test_any_offset_is_read(text: str) -> None:
    assert dates.parse_heartbeat(text) == 1795465195


def test_fractions_are_read() -> None:
    assert dates.parse_heartbeat("2026-11-23T20:19:55.250Z") == 1795465195.25
    assert dates.parse_heartbeat("2026-11-23T20:19:55.1234567899Z") == pytest.approx(1795465195.123456)


def test_the_epoch_itself_is_a_time() -> None:
    assert dates.parse_run_at("1970-01-01T00:00:00Z") == 0
    assert dates.parse_started("1970-01-01 00:00:00 +0000") == 0


def test_dates_of_node_resque_are_read() -> None:
    javascript = "Mon Nov 23 2026 21:19:55 GMT+0100 (Central European Standard Time)"
    assert dates.parse_run_at(javascript) == 1795465195
    assert dates.parse_started(javascript) == 1795465195
    assert dates.parse_started("1795465195") == 1795465195


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-11-23T20:19:55",  # whose clock?
        "2026-13-23T20:19:55Z",
        "2026-02-30T20:19:55Z",
        "2026-11-23T25:19:55Z",
        "2026-11-23T20:19:99Z",
        "0000-11-23T20:19:55Z",
        "2026-11-23T20:19:55+99:99",
        "٢٠٢٦-11-23T20:19:55Z",
        "Mon Foo 23 2026 21:19:55 GMT+0100",
        "9" * 5000,
        "\0",
    ],
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert dates.parse_heartbeat(text) is None
    assert dates.parse_run_at(text) is None
    assert dates.parse_started(text) is None


@given(st.text() | st.from_regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([.,]\d+)? ?([+-]\d\d:?\d\d|Z)"))
def test_reading_never_raises(text: str) -> None:
    for parse in (dates.parse_heartbeat, dates.parse_run_at, dates.parse_started):
        assert isinstance(parse(text), float | None)
