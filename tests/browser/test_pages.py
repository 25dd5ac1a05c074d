"""Every page: light, whole at the width of a phone, and with nothing that axe finds, in both themes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page, Response

from taskq.testing import stores
from taskq_web.parameters import address
from tests.browser.conftest import Site, Window
from tests.support import node
from tests.web.conftest import Working

Open = Callable[..., Window]

MOST_BYTES, MOST_REQUESTS, MOST_NODES = 60_000, 5, 1_500
MOST_HIGH = 100  # pixels of a row of a table: four lines


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=[pytest.mark.redis, pytest.mark.long])])
def store(request: pytest.FixtureRequest) -> str:
    return str(stores.fresh(request.param))


@pytest.fixture
def pages(site: Site) -> dict[str, str]:
    """A site with much of everything, and the address of each page."""
    app = site.app
    long = "a long argument that goes on and on, " * 20
    for number in range(60):
        app.enqueue_to("emails", "send_email", f"customer-{number}@example.com", long)
        app.enqueue_to(f"queue-{number}", "Billing::Invoice", {"customer": number, "password": "hush", "note": long})
    worker = Working(app, "web-1.example.internal:4711:emails,reports,*")
    for number in range(40):
        worker.fail("emails", kind="shop.errors.MailError" if number % 3 else "ValueError", message=f"{long} {number}")
    for number in range(30):
        host = f"web-{number % 3}.prod.internal.example.com"
        of_many = Working(app, f"{host}:{5000 + number}:emails,reports,imports,images")
        of_many.take("emails" if number < 15 else f"queue-{number}")
    app.pause("queue-3")
    for number in range(60):
        body = b'{"class":"Billing::Invoice","args":[%d,"%s"]}' % (number, long.encode())
        app.broker.schedule(2e9 + number // 3, f"queue-{number}", [body])
        app.schedules.set(f"every-{number}", app.call("send_email", long), every=f"{number + 1}m", description=long)
    [failed, *_] = app.failures.list()
    failure = app.failures.id_of(failed, digits=32)
    group = app.failures.groups().groups[0].key
    keys = {"keys": "/stats/keys"} if app.operator.can_show_keys() else {}
    return {
        **keys,
        "overview": "/",
        "working": "/working",
        "failed": "/failed",
        "group": address("", "/failed", {"group": group}),
        "sweep": address("", "/failed/all", {"do": "retry", "group": group}),
        "failure": address("", "/failure", {"id": failure}),
        "edit": address("", "/failure/edit", {"id": failure}),
        "queues": "/queues",
        "queue": "/queue?name=emails",
        "workers": "/workers",
        "worker": address("", "/worker", {"id": worker.id}),
        "prune": "/workers/prune",
        "schedule": "/schedule",
        "delayed": "/delayed",
        "of a time": "/delayed?at=2000000000.0",
        "stats": "/stats",
        "jobs": "/enqueue",
        "enqueue": "/enqueue?job=send_email",
        "foreign": "/enqueue?foreign=1",
        "no page": "/nowhere",
    }


@pytest.fixture
def empty(site: Site) -> dict[str, str]:
    """A site with nothing."""
    return {
        name: f"/{name}"
        for name in ("", "working", "failed", "queues", "workers", "workers/prune", "schedule", "delayed", "stats")
    } | {"queue": "/queue?name=x"}


def test_each_is_light(pages: dict[str, str], site: Site, window: Open) -> None:
    for name, path in pages.items():
        opened = window(site)
        answers: list[Response] = []
        opened.page.on("response", _into(answers))
        page = opened.open(path)
        page.wait_for_load_state("networkidle")
        sizes = [len(answer.body()) for answer in answers]
        nodes = page.evaluate("document.querySelectorAll('*').length")
        rows = "[...document.querySelectorAll('tbody tr')].map(row => row.offsetHeight)"
        tallest = page.evaluate(f"Math.max(0, ...{rows})")
        said = f"{name}: {sum(sizes)} bytes, {len(sizes)} requests, {nodes} nodes"
        print(said)
        assert sum(sizes) <= MOST_BYTES, said
        assert len(sizes) <= MOST_REQUESTS, said
        assert nodes <= MOST_NODES, said
        assert tallest <= MOST_HIGH, f"{name}: a row of {tallest} pixels"
        opened.problems[:] = [each for each in opened.problems if "404" not in each or name != "no page"]


@pytest.mark.long
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("which", ["pages", "empty"])
def test_axe_finds_nothing(
    theme: str, width: int, which: str, site: Site, window: Open, request: pytest.FixtureRequest
) -> None:
    addresses: dict[str, str] = request.getfixturevalue(which)
    axe = (node.packages(Path(__file__).parent) / "node_modules" / "axe-core" / "axe.min.js").read_text()
    found: list[str] = []
    opened = window(site, color_scheme=theme, viewport={"width": width, "height": 900}, bypass_csp=True)
    for name, path in addresses.items():
        page = opened.open(path)
        open_all(page)
        page.evaluate(axe)
        result: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        found += [
            f"{name}: {each['id']} ({each['impact']}): {[part['html'][:150] for part in each['nodes'][:2]]}"
            for each in result["violations"]
        ]
        opened.problems.clear()
    assert found == []


@pytest.mark.long
@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_nothing_is_wider_than_a_phone(scripts: bool, pages: dict[str, str], site: Site, window: Open) -> None:
    opened = window(site, viewport={"width": 390, "height": 844}, java_script_enabled=scripts)
    for name, path in pages.items():
        page = opened.open(path)
        if scripts:
            open_all(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
        main = page.locator("main").bounding_box()
        assert main is not None
        assert main["width"] <= 390, name
        opened.problems.clear()


def _into(answers: list[Response]) -> Callable[[Response], None]:
    return lambda answer: answers.append(answer)


def open_all(page: Page) -> None:
    """Open what opens, but one at most of those that lie over the page."""
    which = "main details:not(.sure), main details.sure:first-of-type"
    page.evaluate(f"[...document.querySelectorAll('{which}')].slice(0, 4).forEach((each) => {{ each.open = true; }})")
