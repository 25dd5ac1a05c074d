"""Where a database is."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskq.errors import ConfigurationError
from taskq_sqlite import open_broker
from taskq_sqlite.address import Address, parse


def test_three_slashes_begin_a_path_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse("sqlite:///jobs.db") == Address(str(tmp_path / "jobs.db"))


def test_four_slashes_begin_a_path_from_the_root() -> None:
    assert parse("sqlite:////var/lib/shop/jobs.db") == Address("/var/lib/shop/jobs.db")


def test_a_path_is_one_too(tmp_path: Path) -> None:
    assert parse(tmp_path / "jobs.db") == Address(str(tmp_path / "jobs.db"))


def test_what_is_escaped_is_read() -> None:
    assert parse("sqlite:////a%20b/c%3Fd%23.db").path == "/a b/c?d#.db"


def test_a_directory_is_not_left_with_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    broker = open_broker("sqlite:///jobs.db")
    monkeypatch.chdir("/")
    broker.push("q", [b"{}"])
    broker.close()
    assert (tmp_path / "jobs.db").exists()


def test_options() -> None:
    assert parse("sqlite:////a.db?synchronous=full&failed_max=7") == Address("/a.db", strict=True, failed_max=7)
    assert parse("sqlite:////a.db?synchronous=default") == Address("/a.db")
    assert parse("sqlite:////a.db?application_id=0x10") == Address("/a.db", application_id=16)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://jobs.db", "has two slashes where three belong. Write sqlite:///jobs.db."),
        ("sqlite://", "names no file. Write sqlite:///jobs.db"),
        ("sqlite:///", "names no file."),
        ("sqlite:///:memory:", "Write memory:// for a store in this process."),
        ("sqlite:///a.db#b", "# is %23"),
        ("sqlite:///a.db?synchronos=full", 'does not know "synchronos". Did you mean synchronous?'),
        ("sqlite:///a.db?synchronous=off", 'has a wrong value for "synchronous": full, or default, not "off".'),
        ("sqlite:///a.db?failed_max=0", 'has a wrong value for "failed_max": a number from 1 on'),
        ("sqlite:///a.db?application_id=GPKG", 'a number of 32 bits, as PRAGMA application_id tells it, not "GPKG".'),
        ("sqlite:///a.db?namespace=shop", "SQLite has none: a file is one."),
        (17, "builtins.int is no address of a database. Write one such as sqlite:///jobs.db."),
    ],
)
def test_what_is_wrong_is_said_with_what_is_right(url: object, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse(url)
    assert said in str(raised.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse("sqlite:///a.db?x=1&failed_max=no")
    assert len(raised.value.problems) == 2


def test_a_namespace_is_refused_and_not_ignored() -> None:
    assert open_broker("sqlite:///a.db", namespace="resque").name == "sqlite"
    with pytest.raises(ConfigurationError, match='the namespace "shop": SQLite has none'):
        open_broker("sqlite:///a.db", namespace="shop")


def test_what_the_address_says_wins() -> None:
    assert open_broker("sqlite:///a.db?failed_max=3", failed_max=9)._failed_max == 3
    assert open_broker("sqlite:///a.db", failed_max=9)._failed_max == 9
