"""The jobs that the faults befall. A worker imports this module with `--app tests.support.fault_jobs`."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import itertools
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import deque

import taskq
from taskq.errors import JobTimeout, TermException
from tests.support.journal import note


def journal() -> str:
    return os.environ["TASKQ_TEST_JOURNAL"]


@taskq.job(queue="q")
def numbered(number: int, seconds: float = 0.0) -> None:
    """Start, work for so long, end."""
    note(journal(), "start", number)
    if seconds:
        time.sleep(seconds)
    note(journal(), "end", number)


@taskq.job(queue="q")
async def awaits(number: int, seconds: float = 0.0) -> None:
    """As `numbered`, on an event loop."""
    note(journal(), "start", number)
    await asyncio.sleep(seconds)
    note(journal(), "end", number)


@taskq.job(queue="q")
async def blocks(number: int, seconds: float) -> None:
    """Has the loop stand still for so long."""
    note(journal(), "start", number)
    time.sleep(seconds)
    note(journal(), "end", number)


@taskq.job(queue="q")
def does_nothing() -> None:
    """Do nothing, and note nothing."""


@taskq.job(queue="q")
def fails() -> None:
    """Raise, and note nothing."""
    raise ValueError("as it should")


@taskq.job(queue="q")
def tells_pid(number: int) -> None:
    """Note who performs it."""
    note(journal(), "pid", os.getpid())


@taskq.job(queue="q")
def tells_frozen(number: int) -> None:
    """Note how many objects the collector leaves alone."""
    note(journal(), "frozen", gc.get_freeze_count())


@taskq.job(queue="q")
def grows(number: int, mib: int) -> None:
    """Note who performs it, and keep so much memory."""
    note(journal(), "pid", os.getpid())
    globals()["kept"] = bytearray(b"x") * (mib * 2**20)


@taskq.job(queue="q")
def until(number: int, path: str) -> None:
    """Start, and end once the file is there."""
    note(journal(), "start", number)
    while not os.path.exists(path):
        time.sleep(0.005)
    note(journal(), "end", number)


@taskq.job(queue="q")
def cleans_up(number: int) -> None:
    """Works for ever, and cleans up where it is told to end."""
    note(journal(), "start", number)
    try:
        time.sleep(600)
    except TermException:
        note(journal(), "end", number)
        raise


@taskq.job(queue="q")
def computes(number: int) -> None:
    """Runs Python for ever, and cleans up where it is told to end."""
    note(journal(), "start", number)
    try:
        while True:
            time.sleep(0.001)
    except TermException:
        note(journal(), "end", number)
        raise


@taskq.job(queue="q")
def swallows(number: int) -> None:
    """Works on when told to end."""
    note(journal(), "start", number)
    try:
        time.sleep(600)
    except TermException:
        note(journal(), "end", number)


@taskq.job(queue="q")
def ignores(number: int) -> None:
    """Hears nothing."""
    note(journal(), "start", number)
    while True:
        try:
            time.sleep(600)
        except BaseException:
            note(journal(), "ignored", number)


@taskq.job(queue="q")
def leaves_thread(number: int) -> None:
    """Leaves a thread running, for which an interpreter would wait at its end."""
    threading.Thread(target=time.sleep, args=(600,), name="a job's own", daemon=False).start()


@taskq.job(queue="q")
def holds_gil(number: int, seconds: int) -> None:
    """Keeps the interpreter's lock for so long: a sleep in C that does not give it up."""
    note(journal(), "start", number)
    libc = ctypes.PyDLL(None)
    libc.sleep(seconds)
    note(journal(), "end", number)


@taskq.job(queue="q")
def dies(number: int, how: str) -> None:
    """End the process that performs, somehow."""
    note(journal(), "start", number)
    match how:
        case "sigkill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "sigkill, later":
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGKILL)
        case "sigsegv":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "_exit 0":
            os._exit(0)
        case "_exit 3":
            os._exit(3)
        case "sys.exit":
            sys.exit(4)
        case "stack":
            libc = ctypes.CDLL(None)
            compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)

            def deeper(left: int, right: int) -> int:
                values = (ctypes.c_int * 2)(2, 1)
                libc.qsort(values, 2, ctypes.sizeof(ctypes.c_int), again)
                return 0

            again = compare(deeper)
            sys.setrecursionlimit(10**9)
            # Python 3.12 counts calls through C, and would end this by an exception before 8 MB are full.
            resource.setrlimit(resource.RLIMIT_STACK, (512 * 1024, resource.getrlimit(resource.RLIMIT_STACK)[1]))
            deeper(0, 0)
        case "memory":
            resource.setrlimit(resource.RLIMIT_AS, (512 * 1024 * 1024,) * 2)
            held = []
            while True:
                held.append(bytearray(16 * 1024 * 1024))
        case "stdout":
            os.close(1)
            os.close(2)
        case "descriptors":
            # Whatever the number of the worker's pipe was, it is this file's now.
            os.closerange(3, 256)
            for _ in range(64):
                os.open(f"{journal()}.other", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        case "children":
            if os.fork() == 0:  # it holds every descriptor, the pipe to the worker among them, longer than the job runs
                os.close(1)
                os.close(2)
                time.sleep(5)
                os._exit(0)
        case "orphan and kill":
            child = subprocess.Popen(["sleep", "30"])
            note(journal(), "grandchild", child.pid)
            os.kill(os.getpid(), signal.SIGKILL)
        case _:
            raise ValueError(how)
    note(journal(), "end", number)


@taskq.job(queue="q")
def raises(number: int, text: str = "") -> None:
    note(journal(), "start", number)
    raise RuntimeError(text)


@taskq.job(queue="q", secret=("token",))
def secretive(number: int, token: str) -> None:
    note(journal(), "start", number)
    note(journal(), "end", number)


@taskq.job(queue="q")
def long_text(number: int, length: int) -> None:
    note(journal(), "start", number)
    raise RuntimeError("\ud800\x00\x1b" + "x" * length)


@taskq.job(queue="q")
def enqueues(number: int, more: int) -> None:
    """A job that enqueues others, through the application that the worker runs for."""
    note(journal(), "start", number)
    for offset in range(1, more + 1):
        numbered.enqueue(number + offset)
    note(journal(), "end", number)


@taskq.job(queue="q")
def leaves_orphan(number: int) -> None:
    """Leave a process behind that ends soon after its parent."""
    note(journal(), "start", number)
    subprocess.Popen(["sleep", "0.3"], stdout=subprocess.DEVNULL)
    note(journal(), "end", number)


@taskq.job(queue="q")
def spreads(number: int, to: str) -> None:
    """Enqueue the next number into another queue."""
    note(journal(), "start", number)
    numbered.options(queue=to).enqueue(number + 1)
    note(journal(), "end", number)


@taskq.job(queue="q", timeout=0.2)
def limited(number: int, how: str) -> None:
    """Goes over its time limit, and takes it somehow."""
    note(journal(), "start", number)
    match how:
        case "lets go":
            time.sleep(600)
        case "cleans up":
            try:
                time.sleep(600)
            except JobTimeout:
                note(journal(), "end", number)
                raise
        case "returns":
            try:
                time.sleep(600)
            except JobTimeout:
                note(journal(), "end", number)
        case "ignores":
            while True:
                try:
                    time.sleep(600)
                except JobTimeout:
                    note(journal(), "heard", number)
        case "spins":
            while True:
                time.sleep(0.001)
        case "in C":
            deque(itertools.repeat(None, 10**12), maxlen=0)
        case "takes its own alarm":
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            time.sleep(600)
        case _:
            raise ValueError(how)


@taskq.job(queue="q", timeout=0.5)
def limited_until(number: int, path: str) -> None:
    """Ends in time, once there is a file."""
    until(number, path)


@taskq.job(queue="q", timeout=0.2)
async def limited_async(number: int) -> None:
    """Waits for ever on its loop."""
    note(journal(), "start", number)
    try:
        await asyncio.sleep(600)
    except JobTimeout:
        note(journal(), "end", number)
        raise


@taskq.job(queue="q")
def steps(number: int, seconds: float) -> None:
    """Start, work for so long in short steps of Python's own, end."""
    note(journal(), "start", number)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        time.sleep(0.01)
    note(journal(), "end", number)
