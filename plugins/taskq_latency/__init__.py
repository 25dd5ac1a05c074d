"""The hook `latency`: jobs say when they were enqueued, so that it is known for how long the oldest of a queue waits.

    taskq.configure(hooks=["latency"])

It writes the further key `enqueued_at` into each payload. Without it a payload is Resque's own, byte for byte.
"""

from __future__ import annotations

from taskq_latency.hook import LatencyHook

__all__ = ["LatencyHook"]
