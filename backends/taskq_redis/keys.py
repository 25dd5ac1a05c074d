"""The names of all that lies in Redis (WIRE.md section 1), one method a key. A key's text is spelled nowhere else.

Names and ids come from anybody, so they need not be UTF-8: what is not survives as surrogate escapes.
"""

from __future__ import annotations

import os

__all__ = ["Keys", "from_bytes", "to_bytes"]


def to_bytes(text: str) -> bytes:
    """Text as it lies in Redis."""
    return text.encode("utf-8", "surrogateescape")


def from_bytes(data: bytes) -> str:
    """The text that `to_bytes` gives these bytes for, whatever they are."""
    return data.decode("utf-8", "surrogateescape")


class Keys:
    """The keys of one namespace, as bytes."""

    __slots__ = (
        "changed_schedules",
        "failed",
        "failed_queues",
        "fired",
        "heartbeats",
        "holders",
        "last_enqueued",
        "looking",
        "namespace",
        "pause_all",
        "paused",
        "prefix",
        "pruning",
        "queue_prefix",
        "queues",
        "scheduler_lock",
        "schedules",
        "scratch",
        "stat_failed",
        "stat_processed",
        "times",
        "timestamps_prefix",
        "workers",
    )

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.prefix = self._key("")
        # Resque's own (WIRE.md section 1).
        self.queues = self._key("queues")
        self.queue_prefix = self._key("queue:")
        self.workers = self._key("workers")
        self.heartbeats = self._key("workers:heartbeat")
        self.pruning = self._key("pruning_dead_workers_in_progress")
        self.stat_processed = self._key("stat:processed")
        self.stat_failed = self._key("stat:failed")
        self.failed = self._key("failed")
        self.failed_queues = self._key("failed_queues")
        self.pause_all = self._key("pause-all-workers")
        # resque-scheduler's (WIRE.md section 9). The namespace stands twice in the key of its lock, and the variable,
        # which is Ruby's own, sets a part of that key.
        self.times = self._key("delayed_queue_schedule")
        self.timestamps_prefix = self._key("timestamps:")
        self.schedules = self._key("persistent_schedules")
        self.changed_schedules = self._key("schedules_changed")
        self.last_enqueued = self._key("delayed:last_enqueued_at")
        part = os.environ.get("RESQUE_SCHEDULER_MASTER_LOCK_PREFIX", "")
        self.scheduler_lock = self._key(f"{namespace}:{part}{part and ':'}resque_scheduler_master_lock")
        # taskq's own, which no other program touches.
        self.holders = self._key("taskq:workers")
        self.paused = self._key("taskq:paused")
        self.looking = self._key("taskq:looking")
        self.fired = self._key("taskq:fired")
        self.scratch = self._key("taskq:scratch")

    def _key(self, name: str) -> bytes:
        return to_bytes(f"{self.namespace}:{name}")

    def queue(self, queue: str) -> bytes:
        """The list of a queue's waiting payloads, the next to be reserved first."""
        return self.queue_prefix + to_bytes(queue)

    def worker(self, worker: str) -> bytes:
        """The record of what a worker has in hand (WIRE.md section 4, step 5)."""
        return self._key(f"worker:{worker}")

    def started(self, worker: str) -> bytes:
        """When a worker registered."""
        return self._key(f"worker:{worker}:started")

    def worker_processed(self, worker: str) -> bytes:
        """How many jobs a worker settled since it registered."""
        return self._key(f"stat:processed:{worker}")

    def worker_failed(self, worker: str) -> bytes:
        """How many of those failed."""
        return self._key(f"stat:failed:{worker}")

    def failed_list(self, queue: str | None) -> bytes:
        """The common failed list, or a queue's own (WIRE.md section 7, RedisMultiQueue)."""
        return self.failed if queue is None else self._key(f"{queue}_failed")

    def token(self, worker: str) -> bytes:
        """The last token of a registered worker (16 bytes), its answer (1), and how often the worker beat since."""
        return self._key(f"taskq:token:{worker}")

    def ahead(self, worker: str) -> bytes:
        """The list of ready records of what a worker reserved and has not begun, the next to begin first."""
        return self._key(f"taskq:ahead:{worker}")

    def registration(self, worker: str) -> bytes:
        """What a worker said of itself, and the CLIENT IDs of its connections, as JSON."""
        return self._key(f"taskq:registration:{worker}")

    def delayed(self, time: bytes) -> bytes:
        """The list of the items that wait for a time, the first one first."""
        return self.prefix + b"delayed:" + time

    def timestamps(self, item: bytes) -> bytes:
        """The set of the times for which exactly this item waits, each as `delayed:TIME`."""
        return self.timestamps_prefix + item

    def plain(self, key: str) -> bytes:
        """A key of a plugin's own."""
        return self._key(f"taskq:key:{key}")

    def foreign(self, key: str) -> bytes:
        """A key of another program's."""
        return self._key(key)

    def series(self, series: str) -> bytes:
        """The list of what was sampled, the newest last."""
        return self._key(f"taskq:history:{series}")
