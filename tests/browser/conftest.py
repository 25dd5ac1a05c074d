"""A real browser before a real dashboard: with a worker, on real brokers.

`make test` runs a small slice of this where Chromium and Playwright are there; `make browser` all of it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import pytest
from waitress.server import create_server
from waitress.wasyncore import close_all

from taskq import TaskQ
from taskq.testing import stores
from taskq_web import Access, Dashboard, everybody
from taskq_web.command import port_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

T = TypeVar("T")

LONG = bool(os.environ.get("TASKQ_BROWSER"))
"""Whether this is the long form (`make browser`)."""

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def chromium() -> str | None:
    """The browser; CHROMIUM names another one."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def missing() -> str:
    """Why no browser can be had here; empty where one can."""
    if importlib.util.find_spec("playwright") is None:
        return 'playwright is not installed: pip install "taskq[browser]"'
    return "" if chromium() else "no chromium on PATH: apt-get install chromium"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    why = missing()
    if why and LONG:
        raise pytest.UsageError(why)
    for item in items:
        if not item.path.is_relative_to(here):
            continue
        if why:
            item.add_marker(pytest.mark.skip(reason=why))
        elif item.get_closest_marker("long") is not None and not LONG:
            item.add_marker(pytest.mark.skip(reason="the long form: make browser"))
        elif LONG:  # axe over twenty pages is a minute of work where others are at work too
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def chrome() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Site:
    """A dashboard that is served, and the application behind it."""

    app: TaskQ
    address: str
    folder: Path

    def worker(self, *args: str) -> subprocess.Popen[bytes]:
        """A real worker, until the test ends."""
        broker = str(self.app.config.broker)
        command = [sys.executable, "-m", "taskq", "worker", "-b", broker, "--app", "tests.browser.jobs", *args]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def work_off(self) -> None:
        """Have everything performed that waits."""
        assert self.worker("--burst", "--inline").wait(60) == 0


@pytest.fixture(params=[pytest.param("redis", marks=pytest.mark.redis), "sqlite"])
def store(request: pytest.FixtureRequest) -> str:
    return str(stores.fresh(request.param))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Serves dashboards until the test ends."""
    from contextlib import ExitStack

    import tests.browser.jobs  # noqa: F401 - the jobs that the form of a job is made of

    with ExitStack() as ending:

        def serve(broker: str, *, access: Access = everybody, **more: Any) -> Site:
            app = ending.enter_context(TaskQ(broker=broker))
            sockets: dict[int, Any] = {}
            dashboard = Dashboard(app, access=access, **more)
            server: Any = create_server(dashboard, map=sockets, host="127.0.0.1", port=0, threads=4)
            thread = threading.Thread(target=server.run, daemon=True)
            thread.start()

            def end() -> None:
                server.task_dispatcher.shutdown()
                # In the thread that waits for its sockets: closed by another, they would be gone from beneath it.
                server.trigger.pull_trigger(lambda: close_all(sockets))
                thread.join(10)
                assert not thread.is_alive()

            ending.callback(end)
            return Site(app, f"http://127.0.0.1:{port_of(server)}", tmp_path)

        yield serve


@pytest.fixture
def site(served: Callable[..., Site], store: str) -> Site:
    return served(store)


@dataclass
class Window:
    """A page of the browser, and all that went wrong in it."""

    page: Page
    address: str
    problems: list[str]

    def open(self, path: str) -> Page:
        self.page.goto(self.address + path)
        return self.page

    def said(self) -> str:
        return str(self.page.locator("p.said").inner_text())


@pytest.fixture
def window(chrome: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., Window]]:
    """Opens windows; at the end of the test none of them may have had anything to complain about.

    What the test is marked to send forms to must have been sent one.
    """
    opened: list[Window] = []
    contexts = []
    sent: set[str] = set()

    def note(asked: Request) -> None:
        if asked.method == "POST":
            sent.add(urlsplit(asked.url).path)

    def open_one(site: Site, **options: Any) -> Window:
        context = chrome.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        problems: list[str] = []
        page.on("request", note)
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("console", lambda said: problems.append(f"console: {said.text}") if said.type == "error" else None)
        opened.append(Window(page, site.address, problems))
        return opened[-1]

    yield open_one
    for context in contexts:
        context.close()
    assert [problem for each in opened for problem in each.problems] == []
    marked = request.node.get_closest_marker("posts")
    assert set(marked.args if marked else ()) <= sent


def until(look: Callable[[], T], seconds: float = 20) -> T:
    """What `look` gives, once it gives something."""
    ends = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < ends:
        time.sleep(0.02)
    assert found
    return found
