from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import taskq
from taskq import application
from taskq.errors import ConfigurationError
from taskq.hook import Hook
from taskq.jobs import job
from taskq.registry import Registry

REGISTRY = Registry()


@job(registry=REGISTRY)
def send(to: str) -> None: ...


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """As in a process that has just begun, with no configuration anywhere."""
    for name in ("TASKQ_BROKER", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(application, "_process", application._Process())
    yield
    if application._process.default is not None:
        application._process.default.close()


def in_thread(work: Callable[[], object]) -> object:
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def test_the_default_application_is_made_once_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKQ_BROKER", "memory://")
    app = taskq.current_app()
    assert app.config.broker == "memory://"
    assert taskq.current_app() is app is in_thread(taskq.current_app)


def test_the_default_broker_is_redis_on_this_machine() -> None:
    assert taskq.current_app().config.broker == "redis://localhost:6379/0"


def test_configure_sets_the_default_application() -> None:
    app = taskq.configure(broker="memory://", max_payload=100)
    assert taskq.current_app() is app
    assert app.config.max_payload == 100
    send.enqueue("a")
    assert app.size("default") == 1


def test_configure_takes_an_application_or_a_configuration() -> None:
    app = taskq.TaskQ(broker="memory://")
    assert taskq.configure(app) is app
    assert taskq.configure(app.config).config is app.config
    with pytest.raises(TypeError, match="not both"):
        taskq.configure(app, broker="memory://")


def test_configure_says_all_mistakes_and_leaves_what_was() -> None:
    app = taskq.configure(broker="memory://")
    with pytest.raises(ConfigurationError) as caught:
        taskq.configure(max_payload=-1, brker="x")
    assert len(caught.value.problems) == 2
    assert taskq.current_app() is app


def test_configure_closes_what_it_made_and_leaves_what_it_was_given() -> None:
    closed: list[str] = []

    class Watched(taskq.TaskQ):
        def close(self) -> None:
            closed.append("given")
            super().close()

    mine = taskq.configure(broker="memory://")
    broker = mine.broker
    taskq.configure(Watched(broker="memory://"))
    assert mine.broker is not broker
    taskq.configure(broker="memory://")
    assert closed == []


def test_using_puts_another_broker_in_force_for_a_while() -> None:
    taskq.configure(broker="memory://")
    with taskq.using("memory://") as app:
        assert taskq.current_app() is app
        send.enqueue("a")
        taskq.enqueue(send, "b")
        assert taskq.size("default") == app.size("default") == 2
    assert taskq.size("default") == 0


def test_using_keeps_everything_else_as_it_is_configured() -> None:
    hook = Hook()
    taskq.configure(taskq.TaskQ(broker="nosuch://", registry=REGISTRY, hooks=[hook], max_payload=99))
    with taskq.using("memory://") as app:
        assert app.hooks.hooks == (hook,)
        assert (app.config.max_payload, app.registry) == (99, REGISTRY)
        assert app.config.source("broker") == "using(...)"


def test_using_an_application_leaves_it_open() -> None:
    with taskq.TaskQ(broker="memory://") as app:
        with taskq.using(app) as same:
            assert same is app
            send.enqueue("a")
        assert app.size("default") == 1


def test_using_may_be_nested_and_ends_with_an_exception() -> None:
    with taskq.using("memory://") as outer:
        with pytest.raises(RuntimeError), taskq.using("memory://") as inner:
            assert taskq.current_app() is inner is not outer
            raise RuntimeError
        assert taskq.current_app() is outer
    assert application.application_in_force() is None


def test_using_makes_no_default_application() -> None:
    with taskq.using("memory://"):
        pass
    assert application._process.default is None


def test_a_mistyped_address_shows_where_it_is_used() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean memory://"), taskq.using("memry://"):
        pass
    assert application.application_in_force() is None


def test_threads_see_what_the_main_thread_uses() -> None:
    with taskq.using("memory://") as app:
        assert in_thread(taskq.current_app) is app
        in_thread(lambda: send.enqueue("a"))
        assert app.size("default") == 1
    assert in_thread(application.application_in_force) is None


def test_what_a_thread_uses_is_its_own() -> None:
    default = taskq.configure(broker="memory://")
    seen: list[object] = []

    def work() -> None:
        with taskq.using("memory://") as app:
            seen.extend([taskq.current_app() is app, in_thread(taskq.current_app)])

    in_thread(work)
    assert seen == [True, default]


def test_a_threads_own_wins_over_the_main_threads() -> None:
    def work() -> bool:
        with taskq.using("memory://") as app:
            return taskq.current_app() is app

    with taskq.using("memory://") as outer:
        assert in_thread(work)
        assert taskq.current_app() is outer


def test_what_a_task_uses_is_its_own() -> None:
    default = taskq.configure(broker="memory://")

    async def main() -> None:
        entered, looked = asyncio.Event(), asyncio.Event()

        async def one() -> None:
            with taskq.using("memory://") as app:
                entered.set()
                await looked.wait()
                assert taskq.current_app() is app
                assert await asyncio.to_thread(taskq.current_app) is app

        async def other() -> None:
            await entered.wait()
            assert taskq.current_app() is default
            looked.set()

        await asyncio.gather(one(), other())

    asyncio.run(main())


def test_a_task_sees_what_was_used_around_its_loop() -> None:
    async def main() -> taskq.TaskQ:
        return taskq.current_app()

    with taskq.using("memory://") as app:
        assert asyncio.run(main()) is app


def test_it_may_be_left_in_another_context_than_it_was_entered_in() -> None:
    import contextvars

    block = taskq.using("memory://")
    contextvars.copy_context().run(block.__enter__)
    assert taskq.current_app().config.broker == "memory://"
    block.__exit__(None, None, None)
    assert application.application_in_force() is None


def test_the_verbs_of_the_module_ask_the_application_in_force() -> None:
    with taskq.using("memory://") as app:
        taskq.enqueue_to("vip", "Ruby::Job", 1)
        taskq.enqueue_many([send.call("a"), taskq.options(queue="low").call(send, "b")])
        assert taskq.queues() == ["default", "low", "vip"]
        assert taskq.sizes(["vip"]) == {"vip": 1}
        assert [each.body for each in taskq.peek("vip")] == [b'{"class":"Ruby::Job","args":[1]}']
        assert taskq.info() == app.info()
        assert (taskq.workers(), taskq.working()) == ([], [])
        taskq.pause("vip")
        assert app.broker.paused().queues == frozenset({"vip"})
        taskq.unpause("vip")
        assert app.broker.paused().queues == frozenset()
        assert taskq.dequeue(send) == 1
        assert taskq.remove_queue("low") == 1
        assert taskq.failures.count() == 0
