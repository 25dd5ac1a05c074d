"""The pytest plugin, there where taskq is installed; `-p no:taskq` turns it off.

It is imported at the start of every run of pytest, so it imports nothing of taskq before a test asks for it.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from taskq.testing.queue import Queue

__all__: list[str] = []

_SAID: Final = ("mode", "backend", "leftover")
_failed: Final = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The ini options."""
    parser.addini("taskq_mode", "swap taskq's backend in every test: queued, inline or worker", default="")
    parser.addini("taskq_backend", "the backend that taskq's is swapped for", default="memory")
    parser.addini("taskq_leftover", "jobs that a test leaves waiting: ignore, report or error", default="ignore")


def pytest_configure(config: pytest.Config) -> None:
    """The markers."""
    config.addinivalue_line(
        "markers",
        'taskq(mode="queued", backend="memory", leftover="ignore"): swap taskq\'s backend in this test, so.',
    )
    config.addinivalue_line(
        "markers", 'taskq_backends("memory", "redis", ...): run this test once on each of these backends.'
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the servers that were started for tests: a process of pytest-xdist leaves without `atexit`."""
    if stores := sys.modules.get("taskq.testing.stores"):
        stores.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a backend."""
    marker = metafunc.definition.get_closest_marker("taskq_backends")
    if marker is None:
        return
    if not marker.args or marker.kwargs:
        raise pytest.UsageError(
            f'{metafunc.definition.nodeid}: say which backends: @pytest.mark.taskq_backends("memory", "redis").'
        )
    metafunc.parametrize("taskq_backend", marker.args, indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note that a test failed: then nobody wonders what it left."""
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


@pytest.fixture
def taskq_backend(request: pytest.FixtureRequest) -> object:
    """The backend that this test runs on, by its name."""
    return getattr(request, "param", None) or _said(request).get("backend") or request.config.getini("taskq_backend")


@pytest.fixture
def _taskq_queue(request: pytest.FixtureRequest, taskq_backend: object) -> Iterator[Queue]:
    from taskq.testing.stores import NoStore
    from taskq.testing.swap import JobsLeft, swapped

    __tracebackhide__ = True
    said: Mapping[str, Any] = _said(request)
    ini = request.config.getini
    mode: Any = said.get("mode") or ini("taskq_mode") or "queued"
    leftover: Any = said.get("leftover") or ini("taskq_leftover")
    if of_itself := _swaps_itself(request):  # a fixture of the whole suite asks for it; the class says how
        mode, taskq_backend, leftover = request.cls.taskq_mode, request.cls.taskq_backend, request.cls.taskq_leftover
    left = ""
    try:
        with ExitStack() as leaving:
            queue: Queue | None = None
            wrong: ValueError | None = None
            try:
                queue = leaving.enter_context(swapped(mode=mode, backend=taskq_backend, leftover=leftover))
            except NoStore as why:
                pytest.skip(str(why))
            except ValueError as error:
                wrong = error
            if queue is None:  # said out here: within, pytest would show it twice
                pytest.fail(str(wrong), pytrace=False)
            if of_itself:
                request.instance.queue = queue
            yield queue
            if request.node.stash.get(_failed, False):
                queue.leftover = "ignore"  # of a test that broke off it says nothing
    except JobsLeft as jobs:
        left = str(jobs)
    if left:  # out here for the same reason
        pytest.fail(left, pytrace=False)


@pytest.fixture
def queue(_taskq_queue: Queue) -> Queue:
    """The queues of the application under test: a backend of this test alone is in force, empty at its start."""
    return _taskq_queue


@pytest.fixture(autouse=True)
def _taskq_suite(request: pytest.FixtureRequest, taskq_backend: object) -> None:
    """Swap the backend where nobody asks for the fixture: the ini option, or a marker, says so.

    It needs the backend's name for every test so that pytest can make one test of each backend.
    """
    node = request.node
    on_backends = node.get_closest_marker("taskq_backends") is not None
    if on_backends and not hasattr(node, "callspec"):
        pytest.fail(
            "unittest's tests cannot be run once a backend; set taskq_backend on the class (QueueMixin).", pytrace=False
        )
    wanted = on_backends or node.get_closest_marker("taskq") is not None or request.config.getini("taskq_mode")
    if wanted and not _swaps_itself(request):
        request.getfixturevalue("_taskq_queue")


def _swaps_itself(request: pytest.FixtureRequest) -> bool:
    """Whether this is a test of a `QueueMixin`, whose class says how."""
    case = sys.modules.get("taskq.testing.case")
    return case is not None and request.cls is not None and issubclass(request.cls, case.QueueMixin)


def _said(request: pytest.FixtureRequest) -> Mapping[str, object]:
    """What the nearest marker says, and where it is silent the next one."""
    said: dict[str, object] = {}
    for marker in request.node.iter_markers("taskq"):
        unknown = [name for name in marker.kwargs if name not in _SAID]
        if marker.args or unknown:
            wrong = unknown[0] if unknown else repr(marker.args[0])
            pytest.fail(
                f"@pytest.mark.taskq does not know {wrong}. It takes {', '.join(_SAID)}, by name.", pytrace=False
            )
        said = {**marker.kwargs, **said}
    return said
