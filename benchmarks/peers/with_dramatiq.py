"""Dramatiq on Redis."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks import work
from benchmarks.peers.producing import produce

dramatiq.set_broker(RedisBroker(port=int(os.environ["BENCH_PORT"])))
nothing = dramatiq.actor(work.nothing)
started = dramatiq.actor(work.started)

if __name__ == "__main__":
    produce(nothing.send, started.send)
