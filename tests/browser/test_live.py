"""What the script does: it brings what is new, and disturbs nobody who reads."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import Site, Window

Open = Callable[..., Window]


def fail(site: Site, *addresses: str) -> None:
    for address in addresses:
        site.app.enqueue("send_email", address)
    site.work_off()


@pytest.fixture(params=["sqlite"])
def store(request: pytest.FixtureRequest) -> str:
    """What the script does is the same on all of them."""
    from taskq.testing import stores

    return str(stores.fresh(request.param))


@pytest.mark.long
def test_figures_change_without_loading_anew(site: Site, window: Open) -> None:
    page = window(site).open("/")
    page.evaluate("window.kept = true")
    site.app.enqueue("send_email", "a@example.com")
    page.locator(".figures .value", has_text="1").first.wait_for()
    page.locator("a", has_text="emails").first.wait_for()
    assert page.evaluate("window.kept")


def test_new_failures_wait_and_what_is_read_stays(site: Site, window: Open) -> None:
    fail(site, "one", "two")
    page = window(site).open("/failed")
    row = page.locator(".rows > li").first
    row.locator("summary").first.click()
    row.locator("input[type=checkbox]").check()
    row.locator("summary").first.focus()
    fail(site, "three", "four", "five")
    page.get_by_role("button", name="3 new").wait_for()
    assert page.locator(".badge").inner_text().startswith("5")
    assert page.locator(".rows > li").count() == 2
    assert row.locator("details").first.get_attribute("open") is not None
    assert row.locator("input").is_checked()
    assert page.evaluate("document.activeElement.localName") == "summary"
    page.get_by_role("button", name="3 new").click()
    assert page.locator(".rows > li").count() == 5
    assert "five" in page.locator(".rows > li").first.inner_text()


@pytest.mark.long
def test_it_asks_with_a_tag_and_nothing_is_sent_twice(site: Site, window: Open) -> None:
    site.app.enqueue("send_email", "a@example.com")
    opened = window(site)
    answers: list[int] = []
    opened.page.on("response", lambda answer: answers.append(answer.status) if answer.url.endswith("/queues") else None)
    page = opened.open("/queues")
    with page.expect_response(lambda answer: answer.url.endswith("/queues") and answer.status == 304, timeout=20_000):
        pass
    assert answers[:2] == [200, 200]
    assert set(answers[2:]) == {304}


@pytest.mark.long
def test_it_pauses_and_goes_on(site: Site, window: Open) -> None:
    page = window(site).open("/")
    page.get_by_role("button", name="Pause").click()
    assert page.locator("#pulse").inner_text() == "paused"
    page.get_by_role("button", name="Go on").click()
    page.locator("#pulse", has_text="updated").wait_for()


@pytest.mark.long
def test_a_server_that_is_away_is_said_and_found_again(site: Site, window: Open) -> None:
    opened = window(site)
    page = opened.open("/")
    page.route("**/*", lambda route: route.abort())
    page.locator("#pulse", has_text="no answer").wait_for(timeout=20_000)
    page.unroute("**/*")
    page.locator("#pulse", has_text="updated").wait_for(timeout=30_000)
    opened.problems[:] = [each for each in opened.problems if "ERR_FAILED" not in each]


@pytest.mark.long
def test_keys_lead_everywhere(site: Site, window: Open) -> None:
    fail(site, "one", "two")
    page = window(site).open("/")
    page.keyboard.press("g")
    page.keyboard.press("f")
    page.wait_for_url("**/failed")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    assert page.locator(".rows input:checked").count() == 1
    assert page.locator("[data-ticked]").inner_text() == "1 selected"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "find"
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("?")
    page.locator("dialog[open]").wait_for()
    page.get_by_label("Single keys do this").uncheck()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("g")
    page.keyboard.press("q")
    page.keyboard.press("Tab")
    assert page.url.endswith("/failed")


@pytest.mark.long
def test_what_an_action_did_stays_until_the_visitor_goes_on(site: Site, window: Open) -> None:
    site.app.enqueue("send_email", "a@example.com")
    opened = window(site)
    page = opened.open("/queues")
    page.get_by_role("button", name="Pause emails").click()
    for number in (2, 3):
        site.app.enqueue("send_email", f"{number}@example.com")
        page.locator("td[data-label=Jobs]", has_text=str(number)).wait_for()
    assert opened.said() == "emails is paused. Jobs in hand go on."


@pytest.mark.long
def test_a_login_page_is_not_taken_for_this_one(site: Site, window: Open) -> None:
    site.app.enqueue("send_email", "a@example.com")
    page = window(site).open("/queues")
    page.route("**/queues", lambda route: route.fulfill(status=200, body="<main><h1>Sign in</h1></main>"))
    page.locator("#pulse", has_text="signed out: load the page again").wait_for()
    assert page.locator("h1").inner_text().startswith("Queues")
