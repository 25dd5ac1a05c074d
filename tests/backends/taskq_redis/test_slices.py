"""Parts of long lists, read from the nearer end, are what they are read from the other."""

from __future__ import annotations

import pytest
import redis

from taskq_redis import RedisBroker


def test_a_part_is_the_same_from_either_end(
    broker: RedisBroker, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, length = "resque:failed", 40
    client.delete(key)
    client.rpush(key, *(b"%d" % place for place in range(length)))
    monkeypatch.setattr("taskq_redis.calls._FAR", 0)
    client.config_resetstat()
    for start in range(length + 3):
        for count in (1, 2, 7, 50):
            found = [(one.position, one.entry) for one in broker.failures(start, count)]
            assert found == [(place, b"%d" % place) for place in range(start, min(start + count, length))]
    ways = client.info("commandstats")
    assert ways["cmdstat_lrange"]["calls"] > 0
    assert ways["cmdstat_lindex"]["calls"] > 0
