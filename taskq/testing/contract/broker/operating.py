"""Operating: what was sampled over time, and what a broker tells of itself and its keys."""

from __future__ import annotations

import pytest

from taskq.broker import Broker, Capability
from taskq.errors import NotSupported
from taskq.inspection import Finding, KeyInfo, Section
from taskq.testing.contract.broker.failures import fill
from taskq.testing.contract.broker.holder import Holder, job
from taskq.testing.contract.broker.stage import OnABroker

__all__ = ["Operating"]


class Operating(OnABroker):
    """Operating: what was sampled over time, and what a broker tells of itself and its keys."""

    def test_samples_are_the_newest_of_their_series(self, broker: Broker, other: Broker) -> None:
        """The oldest of them first, byte for byte, and others see them; another series has its own."""
        for number in range(5):
            broker.add_sample("minutes", b"\x00\xff%d" % number, keep=10)
        broker.add_sample("hours", b"other", keep=10)
        assert list(other.samples("minutes", 2)) == [b"\x00\xff3", b"\x00\xff4"]
        assert list(other.samples("minutes", 99)) == [b"\x00\xff%d" % number for number in range(5)]
        assert list(other.samples("hours", 99)) == [b"other"]
        assert list(other.samples("none", 9)) == []
        assert list(other.samples("minutes", 0)) == []

    def test_add_sample_keeps_the_newest(self, broker: Broker) -> None:
        """However many are added, no more are kept than was said."""
        for number in range(7):
            broker.add_sample("minutes", b"%d" % number, keep=3)
        assert list(broker.samples("minutes", 99)) == [b"4", b"5", b"6"]

    def test_server_tells_facts_as_text(self, broker: Broker) -> None:
        """Sections, of names and values that people read; none where the backend has none."""
        for section in broker.server():
            assert isinstance(section, Section)
            assert section.name
            assert section.facts
            assert all(isinstance(name, str) and isinstance(value, str) for name, value in section.facts)

    def test_diagnose_finds_and_changes_nothing(self, broker: Broker) -> None:
        """Each finding is a sentence, and what is not well has some advice or speaks for itself."""
        broker.push("q", [b"1"])
        for finding in broker.diagnose():
            assert isinstance(finding, Finding)
            assert finding.level in {"ok", "warning", "error"}
            assert finding.check
            assert finding.said.endswith(".")
        assert list(broker.peek("q", 0, 9)) == [b"1"]

    def test_keys_are_refused_where_there_are_none(self, broker: Broker) -> None:
        """Where INSPECT is not declared, the error names the backend."""
        if Capability.INSPECT in broker.capabilities:
            pytest.skip(f"{broker.name} can INSPECT")
        for call in (lambda: broker.keys(), lambda: broker.key("q")):
            with pytest.raises(NotSupported) as raised:
                call()
            assert raised.value.backend == broker.name
            assert raised.value.capability == Capability.INSPECT.value

    def test_keys_are_all_found_page_by_page(self, broker: Broker, holder: Holder) -> None:
        """Each at least once, with its type; a page says where to go on, and the last one says that it is."""
        self.needs_inspection(broker)
        before = {key.name for key in _all_keys(broker)}
        for number in range(60):
            broker.push(f"queue{number}", [job(number)])
        new = {key.name: key for key in _all_keys(broker) if key.name not in before}
        assert len([name for name in new if "queue" in name]) >= 60
        assert all(key.type for key in new.values())
        assert any(key.size == 1 for key in new.values())

    def test_key_is_read_part_by_part(self, broker: Broker, holder: Holder) -> None:
        """A key with many elements gives some, and a cursor for the next ones; together they are what is there."""
        self.needs_inspection(broker)
        entries = fill(broker, holder, 7)
        found = [key for key in _all_keys(broker) if key.size == 7]
        parts = {key.name: _whole(broker, key) for key in found}
        assert [(entry,) for entry in entries] in parts.values()

    def test_key_of_nobody_is_none(self, broker: Broker) -> None:
        """Neither is one there that is not this broker's."""
        self.needs_inspection(broker)
        assert broker.key("no such key anywhere") is None

    def test_keys_refuse_what_is_no_cursor(self, broker: Broker) -> None:
        """A stranger's cursor is a mistake that is said, and nothing else."""
        self.needs_inspection(broker)
        with pytest.raises(ValueError, match="cursor"):
            broker.keys("no cursor")

    def needs_inspection(self, broker: Broker) -> None:
        """Skip where the backend is not made of keys."""
        if Capability.INSPECT not in broker.capabilities:
            pytest.skip(f"{broker.name} cannot INSPECT")


def _all_keys(broker: Broker) -> list[KeyInfo]:
    page = broker.keys("", 10)
    found = list(page.keys)
    for _ in range(1000):
        if not page.cursor:
            return found
        page = broker.keys(page.cursor, 10)
        found += page.keys
    raise AssertionError("keys() never comes to an end")


def _whole(broker: Broker, key: KeyInfo) -> list[tuple[bytes, ...]]:
    part = broker.key(key.name, "", 3)
    assert part is not None
    items = list(part.items)
    for _ in range(1000):
        if not part.cursor:
            return items
        part = broker.key(key.name, part.cursor, 3)
        assert part is not None
        items += part.items
    raise AssertionError("key() never comes to an end")
