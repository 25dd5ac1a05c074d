"""The least that does the same, each in a process of its own: `python -m benchmarks.bare WHICH PORT JOBS`."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from types import ModuleType
from typing import Any

import redis

# Settle the last job, take the next one, record it.
_SCRIPT = """
if ARGV[1] == '1' then
  redis.call('DEL', KEYS[1])
  redis.call('INCR', KEYS[2])
  redis.call('INCR', KEYS[3])
end
local body = redis.call('LPOP', KEYS[4])
if body then
  redis.call('SET', KEYS[1], ARGV[2] .. body .. '}')
end
return body
"""


def loop(port: int, jobs: int) -> float:
    """One EVALSHA a job through redis-py's client, the payload parsed. Jobs a second, from the first to the last."""
    began, ended, done = _looped(port)
    assert done == jobs
    return (jobs - 1) / (ended - began)


def loops(port: int, jobs: int) -> float:
    """The same by two processes on one queue."""
    told, tell = os.pipe()
    for _ in range(2):
        if os.fork() == 0:
            os.write(tell, json.dumps(_looped(port)).encode() + b"\n")
            os._exit(0)
    os.close(tell)
    with open(told) as lines:
        told_by_each: list[tuple[float, float, int]] = [json.loads(line) for line in lines]
    assert sum(done for _, _, done in told_by_each) == jobs
    return (jobs - 1) / (max(ended for _, ended, _ in told_by_each) - max(began for began, _, _ in told_by_each))


def _looped(port: int) -> tuple[float, float, int]:
    """When the first job began and when the last one did, where this loop had them; and how many it had."""
    client: Any = redis.Redis(port=port)
    sha = client.script_load(_SCRIPT)
    keys = ["resque:worker:bare", "resque:stat:processed", "resque:stat:processed:bare", "resque:queue:bench"]
    began = ended = 0.0
    done, settled = 0, "0"
    while True:
        second = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        body = client.evalsha(sha, 4, *keys, settled, f'{{"queue":"bench","run_at":"{second}","payload":')
        if body is None:
            break
        number, last = json.loads(body)["args"]
        if number == 0:
            began = time.monotonic()
        elif number == last:
            ended = time.monotonic()
        done, settled = done + 1, "1"
    return began, ended, done


def fork(port: int, jobs: int) -> float:
    """The same, but each job is parsed and called in a child of its own, and waited for; in a process of the same size.

    Jobs a second.
    """
    ready = _as_big_as_a_worker(port)
    client: Any = redis.Redis(port=port)
    sha = client.script_load(_SCRIPT)
    keys = ["resque:worker:bare", "resque:stat:processed", "resque:stat:processed:bare", "resque:queue:bench"]
    began, settled, done = time.monotonic(), "0", 0
    while True:
        second = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        body = client.evalsha(sha, 4, *keys, settled, f'{{"queue":"bench","run_at":"{second}","payload":')
        if body is None:
            break
        pid = os.fork()
        if pid == 0:
            ready.nothing.perform(*json.loads(body)["args"])
            os._exit(0)
        os.waitpid(pid, 0)
        done, settled = done + 1, "1"
    assert done == jobs
    return jobs / (time.monotonic() - began)


def standby(port: int, jobs: int) -> float:
    """The same, but the child of the next job is forked, and stands by at a pipe, while the present one performs."""
    ready = _as_big_as_a_worker(port)
    client: Any = redis.Redis(port=port)
    sha = client.script_load(_SCRIPT)
    keys = ["resque:worker:bare", "resque:stat:processed", "resque:stat:processed:bare", "resque:queue:bench"]
    began, settled, done = time.monotonic(), "0", 0
    pid, orders = _fork_at_a_pipe(ready)
    while True:
        second = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        body = client.evalsha(sha, 4, *keys, settled, f'{{"queue":"bench","run_at":"{second}","payload":')
        if body is None:
            break
        os.write(orders, body)
        os.close(orders)
        at_work = pid
        pid, orders = _fork_at_a_pipe(ready)
        os.waitpid(at_work, 0)
        done, settled = done + 1, "1"
    os.close(orders)
    os.waitpid(pid, 0)
    assert done == jobs
    return jobs / (time.monotonic() - began)


def _fork_at_a_pipe(ready: ModuleType) -> tuple[int, int]:
    """A child that performs what comes through the pipe, if anything does."""
    told, orders = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(orders)
        if body := os.read(told, 65536):
            ready.nothing.perform(*json.loads(body)["args"])
        os._exit(0)
    os.close(told)
    return pid, orders


def empty_fork(port: int, jobs: int) -> float:
    """Fork a child that does nothing and wait, in a process of the same size. Children a second."""
    _as_big_as_a_worker(port)
    began = time.monotonic()
    for _ in range(jobs):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    return jobs / (time.monotonic() - began)


def _as_big_as_a_worker(port: int) -> ModuleType:
    """Have all in memory that a worker has; but no connection is open, whose copy a child would have to close."""
    for module in ("taskq.cli.main", "taskq.cli.worker", "taskq.worker.run", "taskq_redis"):
        importlib.import_module(module)
    jobs = importlib.import_module("benchmarks.jobs")
    from taskq.app import TaskQ

    app = TaskQ(broker=f"redis://127.0.0.1:{port}")
    app.load()
    return jobs


_WAYS = {"loop": loop, "loops": loops, "fork": fork, "standby": standby, "empty-fork": empty_fork}

if __name__ == "__main__":
    which, at, count = sys.argv[1:]
    print(_WAYS[which](int(at), int(count)))
