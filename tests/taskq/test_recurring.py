from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from taskq import recurring
from taskq.recurring import Cron, Every, WrongRule, seconds_of
from taskq.schedule_entry import Schedule, WrongSchedule, as_json, decode, encode, from_json, made, misspelt

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, *, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


def local(t: float | None) -> str:
    assert t is not None
    return datetime.fromtimestamp(t, BERLIN).isoformat(" ", "seconds")


def ticks(rule: recurring.Rule, start: float, count: int) -> list[str]:
    found = []
    t: float | None = start
    for _ in range(count):
        assert t is not None
        t = rule.after(t)
        found.append(local(t)[5:])
    return found


# In Berlin clocks go from 02:00 to 03:00 on 28 March 2027, and from 03:00 to 02:00 on 31 October 2027.


@pytest.mark.parametrize("expression", ["30 2 * * *", "0 30 2 * * *"])
def test_what_is_in_the_missing_hour_is_due_right_after_it(expression: str) -> None:
    rule = Cron.parsed(expression, "Europe/Berlin")
    assert ticks(rule, at("2027-03-27 00:00"), 3) == [
        "03-27 02:30:00+01:00",
        "03-28 03:00:00+02:00",
        "03-29 02:30:00+02:00",
    ]


@pytest.mark.parametrize("expression", ["30 2 * * *", "0 30 2 * * *"])
def test_what_is_in_the_hour_that_comes_twice_is_due_once(expression: str) -> None:
    rule = Cron.parsed(expression, "Europe/Berlin")
    assert ticks(rule, at("2027-10-30 12:00"), 2) == ["10-31 02:30:00+02:00", "11-01 02:30:00+01:00"]
    second = at("2027-10-31 02:10", fold=1)
    assert local(rule.after(second)) == "2027-11-01 02:30:00+01:00"
    assert local(rule.before(second)) == "2027-10-31 02:30:00+02:00"


def test_several_seconds_of_a_minute_go_with_it() -> None:
    rule = Cron.parsed("*/30 30 2 * * *", "Europe/Berlin")
    assert ticks(rule, at("2027-03-27 12:00"), 3) == [
        "03-28 03:00:00+02:00",
        "03-28 03:00:30+02:00",
        "03-29 02:30:00+02:00",
    ]
    assert ticks(rule, at("2027-10-31 00:00"), 3) == [
        "10-31 02:30:00+02:00",
        "10-31 02:30:30+02:00",
        "11-01 02:30:00+01:00",
    ]


def test_what_is_due_every_other_hour_goes_by_the_hours_that_there_are() -> None:
    rule = Cron.parsed("0 */2 * * *", "Europe/Berlin")
    assert ticks(rule, at("2027-03-28 00:00"), 1) == ["03-28 04:00:00+02:00"]
    assert ticks(rule, at("2027-10-31 00:00"), 2) == ["10-31 02:00:00+02:00", "10-31 02:00:00+01:00"]


def test_what_is_due_in_every_hour_is_so_in_both() -> None:
    rule = Cron.parsed("30 * * * *", "Europe/Berlin")
    assert ticks(rule, at("2027-10-31 01:00"), 4) == [
        "10-31 01:30:00+02:00",
        "10-31 02:30:00+02:00",
        "10-31 02:30:00+01:00",
        "10-31 03:30:00+01:00",
    ]
    assert ticks(rule, at("2027-03-28 01:00"), 2) == ["03-28 01:30:00+01:00", "03-28 03:30:00+02:00"]


@pytest.mark.parametrize("start", ["2027-03-27 20:00", "2027-10-30 20:00"])
@pytest.mark.parametrize(
    "expression", ["30 2 * * *", "*/20 * * * *", "15 */30 1-3 * * *", "0 3 * * *", "*/30 30 2 * * *"]
)
def test_before_is_the_other_side_of_after(expression: str, start: str) -> None:
    """Through the night in which the clocks change, each tick is found from either side, and none twice."""
    rule = Cron.parsed(expression, "Europe/Berlin")
    t, end = at(start), at(start) + 14 * 3600
    seen: list[float] = []
    while (following := rule.after(t)) is not None and following < end:
        assert following > t
        assert rule.before(following) == rule.before(following + 0.5) == following
        assert rule.before(following - 0.5) == (seen[-1] if seen else rule.before(t))
        seen.append(following)
        t = following
    assert seen


def shown_before(t: float, zone: ZoneInfo) -> datetime:
    """What the clock on the wall showed a minute before."""
    return datetime.fromtimestamp(t - 60, zone).replace(tzinfo=None)


# Zone, and a day about which its clocks change: in the last by half an hour, in Casablanca for Ramadan.
CHANGES = [
    ("Europe/Berlin", "2027-03-28"), ("Europe/Berlin", "2027-10-31"),
    ("America/St_Johns", "2027-03-14"), ("America/St_Johns", "2027-11-07"),
    ("Africa/Casablanca", "2027-02-07"), ("Africa/Casablanca", "2027-03-14"),
    ("Australia/Lord_Howe", "2027-04-04"), ("Australia/Lord_Howe", "2027-10-03"),
    ("Asia/Kathmandu", "2027-03-28"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "day"), CHANGES)
@pytest.mark.parametrize(
    "expression", ["*/20 * * * *", "15 */2 * * *", "*/7 1-3 * * *", "10,40 1,2,3 * * *", "0 2 * * *"]
)
def test_after_and_before_agree_with_a_walk_through_every_minute(name: str, day: str, expression: str) -> None:
    zone, rule = ZoneInfo(name), Cron.parsed(expression, name)
    noon = int(datetime.fromisoformat(f"{day} 12:00").replace(tzinfo=ZoneInfo("UTC")).timestamp())
    minutes = range(noon - 36 * 3600, noon + 36 * 3600, 60)
    shown = {t: datetime.fromtimestamp(t, zone) for t in minutes}
    fields = CronSim(expression, datetime(2027, 1, 1))  # noqa: DTZ001 - of which only what the fields say is asked
    due = {t for t in minutes if shown[t].minute in fields.minutes and shown[t].hour in fields.hours}
    if not any(field.startswith("*") for field in expression.split()[:2]):
        due = {t for t in due if not shown[t].fold}
        for t in minutes:
            jumped = int((shown[t].replace(tzinfo=None) - shown_before(t, zone)).total_seconds()) // 60 - 1
            missing = [shown[t] - timedelta(minutes=n + 1) for n in range(jumped)]
            due |= {t for wall in missing if wall.minute in fields.minutes and wall.hour in fields.hours}
    within = sorted(t for t in due if minutes[0] + 4 * 3600 < t < minutes[-1] - 4 * 3600)
    assert len(within) > 1
    for earlier, later in pairwise(within):
        assert rule.after(earlier) == rule.after(later - 1) == rule.after((earlier + later) // 2) == later
        assert rule.before(later - 1) == rule.before(earlier) == rule.before((earlier + later) // 2) == earlier


def test_every_so_often_is_the_same_for_whoever_asks() -> None:
    rule = Every(300)
    assert (rule.after(1000.0), rule.before(1000.0), rule.after(1200.0), rule.before(1200.0)) == (1200, 900, 1500, 1200)


@pytest.mark.parametrize(
    ("text", "fields", "zone"),
    [
        ("0 6 * * 1-5 Europe/Berlin", "0 6 * * 1-5", "Europe/Berlin"),
        ("*/10 0 6 * * mon-fri UTC", "*/10 0 6 * * mon-fri", "UTC"),
        ("0 6 * * mon", "0 6 * * mon", "Asia/Tokyo"),
        ("@daily", "0 0 * * *", "Asia/Tokyo"),
        ("@hourly Europe/Berlin", "0 * * * *", "Europe/Berlin"),
    ],
)
def test_a_zone_may_stand_at_the_end(text: str, fields: str, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert Cron.parsed(text) == Cron(fields, zone)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0 6 * *", "Wrong number of fields"),
        ("61 * * * *", "Bad minute"),
        ("0 6 * * mon Nowhere/Atall", '"Nowhere/Atall" is no time zone'),
        ("0 0 31 2 *", "Bad day-of-month"),
    ],
)
def test_what_is_no_rule_says_why(text: str, says: str) -> None:
    with pytest.raises(WrongRule, match=says):
        Cron.parsed(text)


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cronsim", None)
    with pytest.raises(recurring.NeedsExtra, match=r'pip install "taskq\[scheduler\]"'):
        Cron.parsed("0 6 * * *")


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("1h30m", 5400), ("2d", 172800), (5, 5), ("90", 90)])
def test_spans_of_time_are_read_as_rufus_writes_them(text: object, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5 minutes", True, None, "-5s"])
def test_what_is_no_span_is_refused(text: object) -> None:
    with pytest.raises(WrongRule, match="30s, 5m"):
        seconds_of(text)


def test_rules_are_said_in_words() -> None:
    assert Cron.parsed("0 6 * * 1-5", "Europe/Berlin").words == "At 06:00 on Monday through Friday, Europe/Berlin"
    words = [Every(seconds).words for seconds in (1, 3600, 5400, 300, 172800)]
    assert words == ["Every second", "Every hour", "Every 1 hour 30 minutes", "Every 5 minutes", "Every 2 days"]


# ---- entries


def test_an_entry_of_resque_scheduler_goes_through_unharmed() -> None:
    body = '{"every":["1s",{"first_in":"0s"}],"class":"Ok","queue":"high","args":["é",1.0,null],"other":[1]}'.encode()
    schedule = from_json("tick", body)
    assert schedule.stored
    assert (schedule.job, schedule.queue, schedule.args) == ("Ok", "high", ("é", 1.0, None))
    assert schedule.rule == Every(1.0, 0.0)
    assert as_json(schedule) == body


@pytest.mark.parametrize("seconds", [1_000_000, 1_234_567.5, 86_399.9999, 3e9, timedelta(days=30, microseconds=1)])
def test_a_span_is_written_exactly(seconds: Any) -> None:
    schedule = made("n", "Job", every=seconds, queue="q", args=[1], description="d", missed="skip")
    assert decode("n", encode(schedule)) == schedule
    assert schedule.rule == Every(seconds_of(seconds))
    first = decode("n", {"every": ["1h", {"first_in": seconds}]})
    assert decode("n", encode(first)).rule == first.rule == Every(3600.0, seconds_of(seconds))


def test_a_key_that_is_a_slip_is_told_and_one_of_ones_own_is_not() -> None:
    said = {"every": "1h", "class": "Job"}
    slips = [misspelt(decode("n", {**said, key: "x"})) for key in ("clas", "qeueu", "argss", "team", "class_name")]
    assert [slip.partition("mean ")[2] for slip in slips] == ['"class"?', '"queue"?', '"args"?', "", ""]


def test_what_the_entry_leaves_out_has_its_default() -> None:
    schedule = decode("Ok", {"cron": "0 0 1 1 * UTC"})
    assert schedule == Schedule("Ok", Cron("0 0 1 1 *", "UTC"), "0 0 1 1 * UTC", "Ok")


@pytest.mark.parametrize(
    ("args", "read"), [("one string", ("one string",)), ({"a": [1]}, ({"a": [1]},)), (None, ()), ([1, [2]], (1, [2]))]
)
def test_arguments_are_a_list_or_one(args: object, read: tuple[object, ...]) -> None:
    assert decode("n", {"every": "1h", "args": args}).args == read


def test_a_custom_job_class_takes_the_place_of_the_class() -> None:
    assert decode("n", {"every": "1s", "class": "Ok", "custom_job_class": "Nope::Custom"}).job == "Nope::Custom"


def test_an_environment_keeps_it_off_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = decode("n", {"every": "1s", "rails_env": "production, staging"})
    monkeypatch.delenv("RAILS_ENV", raising=False)
    monkeypatch.delenv("RACK_ENV", raising=False)
    assert not schedule.is_on
    monkeypatch.setenv("RAILS_ENV", "staging")
    assert schedule.is_on


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({}, "neither cron nor every"),
        ({"cronn": "* * * * *"}, 'Did you mean that by "cronn"'),
        ({"cron": "* * * * *", "every": "1s"}, "both cron and every"),
        ({"cron": 5}, '"cron" is a text'),
        ({"every": "0.5s"}, "every second and no more often"),
        ({"every": "1h", "tz": "UTC"}, "tz is said with cron only"),
        ({"every": ["1h", 5]}, "first_in"),
        ({"every": "1h", "missed": "twice"}, "once or skip"),
        ({"every": "1h", "enabled": "no"}, "true or false"),
        ({"every": 0}, "every second and no more often"),
        ({"every": "1h", "persist": "yes"}, "true or false"),
        ({"every": "1h", "queue": 5}, '"queue" is a text'),
        ([1], "type list"),
    ],
)
def test_what_an_entry_cannot_say_is_told(entry: Any, says: str) -> None:
    with pytest.raises(WrongSchedule, match=says):
        decode("n", entry)
