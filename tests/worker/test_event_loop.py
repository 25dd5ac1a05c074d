"""`async def` jobs at once on one loop: what each sees of it, how they are cancelled, who is named that blocks it."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

import taskq
from taskq import events
from taskq.hook import Hook, PerformContext
from taskq.worker.control import Manners
from tests.support.bench import SideBySide, failed_jobs
from tests.worker.test_threads import id_of, interrupted, send

LONG = 30.0
AT_ONCE = Manners(shutdown_timeout=0.0)

log: list[object] = []
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="")


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> None:
    log.clear()


def on_loop(*written: object, **more: object) -> SideBySide:
    return SideBySide(*written, model="async", **more)  # type: ignore[arg-type]  # passed on as it is


def failures(many: SideBySide) -> list[tuple[str, str]]:
    return [(failed.exception, failed.error) for failed in failed_jobs(many.broker)]


class Together:
    """Async jobs that are to be at one point at the same time."""

    def __init__(self, parties: int) -> None:
        self.left = parties
        self.here: asyncio.Event | None = None

    async def wait(self) -> None:
        if self.here is None:
            self.here = asyncio.Event()
        self.left -= 1
        if not self.left:
            self.here.set()
        await asyncio.wait_for(self.here.wait(), LONG)


class TestPerform:
    def test_as_many_at_once_as_there_are_places_on_one_loop_each_a_worker_of_its_own(self) -> None:
        together = Together(3)

        async def job() -> None:
            log.append((id(asyncio.get_running_loop()), threading.current_thread().name))
            await together.wait()
            if not together.left:
                together.left = -1
                log.append({info.id for info in many.broker.workers() if info.job is not None})

        many = on_loop(job)
        many.push("job", times=3)
        assert not many.works()
        workers = [entry for entry in log if isinstance(entry, set)]
        assert workers == [{id_of(0), id_of(1), id_of(2)}]
        assert len({entry for entry in log if isinstance(entry, tuple)}) == 1
        assert many.broker.stats().processed == 3

    def test_plain_functions_run_in_threads_beside_it(self) -> None:
        met = threading.Event()

        async def job() -> None:
            while not met.is_set():
                await asyncio.sleep(0.001)
            log.append("async")

        def plain() -> None:
            log.append(threading.current_thread().name.startswith("taskq worker"))
            met.set()

        many = on_loop(job, plain, at_once=2)
        many.push("job")
        many.push("plain")
        many.works()
        assert log == [True, "async"]

    def test_what_a_plain_function_returns_to_be_awaited_is_awaited_on_it(self) -> None:
        async def inner() -> None:
            log.append(threading.current_thread().name)

        def plain() -> Awaitable[None]:
            return inner()

        many = on_loop(plain)
        many.push("plain")
        many.works()
        assert log == ["taskq event loop"]

    def test_what_it_raises_fails_it_with_the_jobs_own_frames(self) -> None:
        async def job() -> None:
            await asyncio.sleep(0)
            raise ValueError("its own")

        many = on_loop(job)
        many.push("job")
        many.works()
        [failed] = failed_jobs(many.broker)
        assert (failed.exception, failed.error) == ("ValueError", "its own")
        assert [line.rpartition(":in ")[2] for line in failed.backtrace] == [f"'{job.__qualname__}'"]

    def test_an_exit_fails_it_and_the_loop_turns_on_for_the_others(self) -> None:
        together = Together(2)

        async def exits() -> None:
            await together.wait()
            sys.exit(3)

        async def job() -> None:
            await together.wait()
            await asyncio.sleep(0.01)
            log.append("done")

        many = on_loop(exits, job, at_once=2)
        many.push("exits")
        many.push("job")
        many.works()
        assert failures(many) == [("SystemExit", "exit 3")]
        assert log == ["done"]

    def test_one_that_stops_the_loop_stops_nothing(self) -> None:
        together = Together(2)

        async def stops() -> None:
            await together.wait()
            asyncio.get_running_loop().stop()
            await asyncio.sleep(0)

        async def job() -> None:
            await together.wait()
            await asyncio.sleep(0.01)
            log.append("done")

        many = on_loop(stops, job, at_once=2)
        many.push("stops")
        many.push("job")
        many.works()
        assert failures(many) == []
        assert log == ["done"]

    def test_an_exit_of_a_task_that_a_job_left_behind_ends_nothing_else(self) -> None:
        async def leaves() -> None:
            async def later() -> None:
                sys.exit(3)

            log.append(asyncio.get_running_loop().create_task(later()))

        async def job() -> None:
            await asyncio.sleep(0.01)
            log.append("done")

        many = on_loop(leaves, job, at_once=1)
        many.push("leaves")
        many.push("job")
        many.works()
        assert log[1:] == ["done"]
        [warned] = many.told.of(events.Warned)
        assert "raised SystemExit; it ends nothing else" in warned.message
        assert isinstance(log[0], asyncio.Task)
        with pytest.raises(SystemExit):
            log[0].result()

    def test_what_exits_when_it_is_cancelled_at_the_end_leaves_no_loop_open_and_hurries_nobody(self) -> None:
        async def leaves() -> None:
            async def exits() -> None:
                try:
                    await asyncio.sleep(LONG)
                finally:
                    sys.exit(3)

            async def cleans_up() -> None:
                try:
                    await asyncio.sleep(LONG)
                finally:
                    await asyncio.sleep(0.01)
                    log.append("clean")

            loop = asyncio.get_running_loop()
            loops.append(loop)
            tasks.extend((loop.create_task(exits()), loop.create_task(cleans_up())))
            await asyncio.sleep(0.01)  # so that both have begun

        loops: list[asyncio.AbstractEventLoop] = []
        tasks: list[asyncio.Task[None]] = []
        many = on_loop(leaves, at_once=1)
        many.push("leaves")
        many.works()
        assert ([loop.is_closed() for loop in loops], log) == ([True], ["clean"])
        with pytest.raises(SystemExit):
            tasks[0].result()

    def test_one_that_cancels_itself_is_a_failure(self) -> None:
        async def job() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(LONG)

        many = on_loop(job)
        many.push("job")
        many.works()
        [(exception, _)] = failures(many)
        assert exception == "asyncio.exceptions.CancelledError"

    def test_what_is_set_in_its_context_ends_with_it_and_the_application_is_there(self) -> None:
        async def job() -> None:
            log.append((variable.get(), taskq.current_app() is many.app))
            variable.set("left behind")

        many = on_loop(job, at_once=1)
        many.push("job", times=2)
        many.works()
        assert log == [("", True)] * 2

    def test_is_wrapped_on_the_loop_by_asynchronous_hooks_and_in_its_thread_by_plain_ones(self) -> None:
        class Both(Hook):
            async def awrap_perform(
                self, context: PerformContext, call_next: Callable[[PerformContext], Awaitable[object]]
            ) -> object:
                log.append(("awrap", threading.current_thread().name, variable.get()))
                return await call_next(context)

        class Plain(Hook):
            def wrap_perform(self, context: PerformContext, call_next: Callable[[PerformContext], object]) -> object:
                log.append(("wrap", threading.current_thread().name))
                variable.set("by the plain one")
                return call_next(context)

        async def job() -> None:
            log.append(("job", variable.get()))

        many = on_loop(job, at_once=1, hooks=[Plain(), Both()])
        many.push("job")
        many.works()
        assert log == [
            ("wrap", "taskq worker 0"),
            ("awrap", "taskq event loop", "by the plain one"),
            ("job", "by the plain one"),
        ]

    def test_may_start_processes(self) -> None:
        async def job() -> None:
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)")
            log.append(await process.wait())

        many = on_loop(job)
        many.push("job")
        many.works()
        assert log == [7]


class TestTimeLimit:
    def test_is_raised_where_the_job_waits_and_another_on_the_loop_is_not_touched(self) -> None:
        over = threading.Event()

        async def limited() -> None:
            try:
                await asyncio.sleep(LONG)
            finally:
                over.set()

        async def job() -> None:
            while not over.is_set():
                await asyncio.sleep(0.001)
            log.append("done")

        many = on_loop(job, at_once=2)
        taskq.job(queue="jobs", registry=many.app.registry, timeout=0.05)(limited)
        many.push("limited")
        many.push("job")
        many.works()
        assert failures(many) == [("taskq.errors.JobTimeout", "The job went over its time limit of 0.05 s.")]
        assert log == ["done"]

    def test_of_a_plain_function_beside_it_is_held_in_its_thread(self) -> None:
        def limited() -> None:
            while True:
                time.sleep(0.001)

        many = on_loop(at_once=1)
        taskq.job(queue="jobs", registry=many.app.registry, timeout=0.05)(limited)
        many.push("limited")
        many.works()
        assert failures(many) == [("taskq.errors.JobTimeout", "The job went over its time limit of 0.05 s.")]


class TestStopping:
    def test_jobs_in_hand_end_and_no_other_is_taken(self) -> None:
        together = Together(3)
        stopping = threading.Event()

        async def job() -> None:
            await together.wait()
            if not together.left:
                together.left = -1
                send(signal.SIGTERM)
            while not stopping.is_set():
                await asyncio.sleep(0.001)

        def tell(event: events.Event) -> None:
            if isinstance(event, events.Stopping):
                stopping.set()

        many = on_loop(job, burst=False, tell=tell)
        many.push("job", times=4)
        assert not many.works()
        assert (many.broker.stats().processed, many.broker.size("jobs")) == (3, 1)

    @pytest.mark.usefixtures("unhurried")
    def test_when_their_time_is_over_they_are_cancelled_and_clean_up(self) -> None:
        together = Together(2)

        async def job() -> None:
            try:
                await together.wait()
                send(signal.SIGTERM)
                await asyncio.sleep(LONG)
            finally:
                await asyncio.sleep(0.01)
                log.append("cleaned up")

        many = on_loop(job, burst=False, at_once=2, manners=AT_ONCE)
        many.push("job", times=2)
        assert not many.works()
        assert interrupted(many) == ["SIGTERM"] * 2
        assert log == ["cleaned up"] * 2
        assert many.broker.workers() == []

    @pytest.mark.filterwarnings("ignore:coroutine 'Tools._call_async' was never awaited")
    def test_one_that_is_told_to_end_before_it_began_there_is_cancelled_too(self) -> None:
        """Between the thread that asks for it and the loop that begins it."""

        class Stops(Hook):
            def wrap_perform(self, context: PerformContext, call_next: Callable[[PerformContext], object]) -> object:
                send(signal.SIGTERM)
                return call_next(context)

        async def job() -> None:
            await asyncio.sleep(LONG)

        many = on_loop(job, burst=False, at_once=1, manners=AT_ONCE, hooks=[Stops()])
        many.push("job")
        assert not many.works()
        assert interrupted(many) == ["SIGTERM"]

    def test_one_that_will_not_be_cancelled_is_settled_and_left(self) -> None:
        released = threading.Event()

        async def job() -> None:
            send(signal.SIGTERM)
            while not released.is_set():
                try:
                    await asyncio.sleep(0.001)
                except asyncio.CancelledError:
                    log.append("ignored")

        many = on_loop(job, burst=False, manners=AT_ONCE)
        many.push("job")
        assert many.works()
        assert log == ["ignored"]
        [(exception, error)] = failures(many)
        assert exception == "Resque::DirtyExit"
        assert "the worker was told to stop, and its time was over" in error
        assert many.broker.workers() == []
        released.set()

    def test_usr1_cancels_what_is_in_hand_and_the_worker_goes_on(self) -> None:
        async def job() -> None:
            send(signal.SIGUSR1)
            await asyncio.sleep(LONG)

        many = on_loop(job, send, burst=False, at_once=1)
        many.push("job")
        many.push("send", signal.SIGQUIT)
        assert not many.works()
        assert interrupted(many) == ["USR1 asked for it"]

    def test_what_jobs_left_on_the_loop_is_cancelled_at_its_end(self) -> None:
        async def job() -> None:
            async def later() -> None:
                try:
                    await asyncio.sleep(LONG)
                finally:
                    log.append("cancelled")

            log.append(asyncio.get_running_loop().create_task(later()))
            await asyncio.sleep(0)

        many = on_loop(job)
        many.push("job")
        assert not many.works()
        assert log[1:] == ["cancelled"]

    def test_what_jobs_left_in_a_thread_keeps_the_process_from_an_end_in_order(self) -> None:
        released = threading.Event()

        async def job() -> None:
            log.append(asyncio.get_running_loop().run_in_executor(None, released.wait))
            await asyncio.sleep(0)

        many = on_loop(job)
        many.push("job")
        assert many.works()
        released.set()


class TestStandingStill:
    def test_the_job_that_blocks_the_loop_is_named_with_the_line_it_is_at(self) -> None:
        told = threading.Event()

        async def blocks() -> None:
            assert told.wait(LONG)

        async def innocent() -> None:
            await asyncio.sleep(0.001)

        many = on_loop(
            blocks, innocent, tell=lambda event: told.set() if isinstance(event, events.LoopStands) else None
        )
        many.push("blocks")
        many.push("innocent")
        many.works()
        [stands] = many.told.of(events.LoopStands)
        assert stands.task is not None
        assert stands.task.name == "blocks"
        assert stands.seconds >= 0.5
        assert any("in blocks: assert told.wait(LONG)" in line for line in stands.stack)
        assert not any("/asyncio/" in line or "taskq/worker" in line for line in stands.stack)
        said = many.out.getvalue()
        assert "The event loop has stood still for" in said
        assert "(Job{jobs} | blocks | [])" in said

    def test_a_task_that_the_job_started_is_the_jobs_doing(self) -> None:
        told = threading.Event()

        async def blocks() -> None:
            async def deep() -> None:
                assert told.wait(LONG)

            await asyncio.gather(deep(), asyncio.sleep(0))

        many = on_loop(blocks, tell=lambda event: told.set() if isinstance(event, events.LoopStands) else None)
        many.push("blocks")
        many.works()
        [stands] = many.told.of(events.LoopStands)
        assert stands.task is not None
        assert stands.task.name == "blocks"

    def test_that_it_turns_again_is_said_once(self) -> None:
        stood, turned = threading.Event(), threading.Event()

        async def blocks() -> None:
            assert stood.wait(LONG)
            while not turned.is_set():
                await asyncio.sleep(0.001)

        def tell(event: events.Event) -> None:
            if isinstance(event, events.LoopStands):
                stood.set()
            elif isinstance(event, events.LoopTurns):
                turned.set()

        many = on_loop(blocks, tell=tell)
        many.push("blocks")
        many.works()
        [turns] = many.told.of(events.LoopTurns)
        assert turns.seconds >= 0.25

    def test_jobs_that_await_are_no_reason_to_say_anything(self) -> None:
        async def job() -> None:
            await asyncio.sleep(1.2)

        many = on_loop(job)
        many.push("job", times=3)
        many.works()
        assert many.told.of(events.LoopStands) == []


def test_a_plain_job_that_computes_does_not_keep_the_loop_from_turning() -> None:
    done = threading.Event()

    def computes() -> None:
        ends = time.monotonic() + 1.0
        while time.monotonic() < ends:
            pass
        done.set()

    async def job() -> None:
        while not done.is_set():
            log.append(1)
            await asyncio.sleep(0.01)

    many = on_loop(computes, job, at_once=2)
    many.push("computes")
    many.push("job")
    many.works()
    assert len(log) > 5
