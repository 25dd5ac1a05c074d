"""Every action of every page, by its buttons, with a real worker on real brokers: with scripts, without, on a phone.

Each test names the addresses that its clicks must have sent a form to; test_routes.py wants all there are among them.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.browser.conftest import Site, Window, until

pytestmark = pytest.mark.long

Open = Callable[..., Window]


SCREENS: dict[str, dict[str, Any]] = {
    "scripts": {},
    "no scripts": {"java_script_enabled": False},
    "a phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True},
}


@pytest.fixture(params=SCREENS)
def opened(request: pytest.FixtureRequest, site: Site, window: Open) -> Window:
    return window(site, **SCREENS[request.param])


def fail(site: Site, *addresses: str, token: str = "") -> None:
    for address in addresses:
        site.app.enqueue("send_email", address, token=token)
    site.work_off()


@pytest.mark.posts("/failure/retry")
def test_retry_one_from_the_list(site: Site, opened: Window) -> None:
    fail(site, "nobody")
    page = opened.open("/failed")
    page.locator(".rows > li > details > summary").click()
    page.get_by_role("button", name="Retry", exact=True).click()
    assert opened.said() == "send_email is in its queue again."
    assert site.app.size("emails") == 1
    site.work_off()
    assert site.app.failures.count() == 2


@pytest.mark.posts("/failure/remove")
def test_remove_one_from_its_page(site: Site, opened: Window) -> None:
    fail(site, "nobody")
    page = opened.open("/failed")
    page.locator(".rows > li > details > summary").click()
    page.get_by_role("link", name="All of it").click()
    page.locator("summary", has_text="Remove").click()
    page.get_by_role("button", name="Remove it").click()
    assert opened.said() == "Removed the failure."
    assert site.app.failures.count() == 0
    assert "Nothing failed" in page.locator("main").inner_text()


@pytest.mark.posts("/failure/remove")
def test_remove_one_from_the_list(site: Site, opened: Window) -> None:
    fail(site, "one", "two")
    page = opened.open("/failed")
    page.locator(".rows > li > details > summary").first.click()
    page.locator(".more summary", has_text="Remove").first.click()
    page.get_by_role("button", name="Remove it").locator("visible=true").click()
    assert opened.said() == "Removed the failure."
    assert site.app.failures.count() == 1


@pytest.mark.posts("/failure/edit")
def test_edit_and_retry_with_a_secret(site: Site, opened: Window) -> None:
    fail(site, "nobody", token="s3cr3t")
    page = opened.open("/failed")
    page.locator(".rows > li > details > summary").click()
    page.get_by_role("link", name="Edit and retry").click()
    area = page.get_by_label("Arguments, a list in JSON")
    text = area.input_value()
    assert "s3cr3t" not in text
    area.fill(text.replace("nobody", "a@example.com").rstrip("]\n"))
    page.get_by_role("button", name="Retry with these").click()
    assert "cannot be read" in opened.said()
    area.fill(text.replace("nobody", "a@example.com"))
    page.get_by_role("button", name="Retry with these").click()
    assert opened.said() == "send_email is in its queue again."
    [body] = site.app.broker.peek("emails", 0, 9)
    assert b"s3cr3t" in body
    assert b"a@example.com" in body
    site.work_off()
    assert site.app.failures.count() == 1
    opened.problems.clear()


@pytest.mark.posts("/failed/retry", "/failed/remove")
def test_what_is_ticked_is_retried_and_removed(site: Site, opened: Window) -> None:
    fail(site, "one", "two", "three")
    page = opened.open("/failed")
    removal = page.locator("summary", has_text="Remove ticked")
    if page.locator("[aria-disabled]").count():  # the script is there: what asks about those ticked waits for one
        removal.click(force=True)
        assert not page.get_by_text("This removes those that are ticked").is_visible()
    page.locator(".rows input").nth(0).check()
    page.locator(".rows input").nth(2).check()
    page.get_by_role("button", name="Retry ticked").click()
    assert opened.said() == "Requeued 2 failures."
    assert site.app.size("emails") == 2
    page.locator(".rows input").nth(1).check()
    removal.click()
    page.get_by_role("button", name="Remove them").click()
    assert opened.said() == "Removed 1 failure."
    assert site.app.failures.count() == 2


@pytest.mark.posts("/failed/all/retry", "/failed/all/remove")
def test_all_that_match_and_all(site: Site, opened: Window) -> None:
    fail(site, *(f"nobody-{number}" for number in range(30)))
    page = opened.open("/failed")
    page.get_by_role("link", name="ValueError").click()
    assert page.locator(".rows > li").count() == 20
    page.get_by_role("link", name="Retry all that match").click()
    page.get_by_role("button", name="Retry 30").click()
    assert opened.said() == "Requeued 30 failures."
    assert site.app.size("emails") == 30
    page.get_by_role("link", name="Clear retried").click()
    page.get_by_role("button", name="Remove 30").click()
    assert opened.said() == "Removed 30 failures."
    fail(site, "nobody")
    page = opened.open("/failed")
    page.get_by_role("link", name="Clear all").click()
    page.get_by_role("button", name=re.compile("Remove")).click()
    assert "Removed" in opened.said()
    assert site.app.failures.count() == 0


@pytest.mark.posts("/enqueue")
def test_enqueue_by_hand_and_again(site: Site, opened: Window) -> None:
    page = opened.open("/enqueue")
    page.get_by_role("link", name="send_email").click()
    assert "It goes out at once." in page.locator("main").inner_text()
    page.get_by_label("to", exact=True).fill("nobody")
    page.get_by_role("button", name="Enqueue", exact=True).click()
    assert opened.said() == "send_email is in the queue emails. No worker serves that queue."
    site.work_off()
    page = opened.open("/failed")
    page.locator(".rows > li > details > summary").click()
    page.get_by_role("link", name="All of it").click()
    page.get_by_role("link", name="Enqueue again").click()
    to = page.get_by_label("to", exact=True)
    assert to.input_value() == "nobody"
    to.fill("a@example.com")
    page.get_by_label("Queue").fill("vip")
    page.get_by_role("button", name="Enqueue", exact=True).click()
    assert opened.said().startswith("send_email is in the queue vip.")
    page = opened.open("/enqueue")
    page.get_by_role("link", name="A job of another program, by its name").click()
    page.get_by_label("Class").fill("Billing::Charge")
    page.get_by_label("Arguments, a list in JSON").fill('[7, {"k": null}]')
    page.get_by_label("Queue").fill("ruby")
    page.get_by_role("button", name="Enqueue", exact=True).click()
    assert opened.said().startswith("Billing::Charge is in the queue ruby.")
    assert site.app.broker.peek("ruby", 0, 2) == [b'{"class":"Billing::Charge","args":[7,{"k":null}]}']
    page = opened.open("/enqueue?job=send_email")
    page.get_by_label("to", exact=True).fill("later@example.com")
    page.get_by_label("When").fill("2h")
    page.get_by_role("button", name="Enqueue", exact=True).click()
    assert opened.said().startswith("send_email goes into the queue emails at 20")
    assert site.app.delayed.count() == 1
    opened.problems.clear()


@pytest.mark.posts(
    "/queue/pause", "/queue/unpause", "/queues/pause", "/queues/unpause", "/queue/job/remove", "/queue/remove"
)
def test_queues_are_paused_go_on_and_are_removed(site: Site, opened: Window) -> None:
    site.app.enqueue("send_email", "a@example.com")
    site.app.enqueue("send_email", "b@example.com")
    page = opened.open("/queues")
    page.get_by_role("button", name="Pause emails").click()
    assert opened.said() == "emails is paused. Jobs in hand go on."
    site.work_off()
    assert site.app.size("emails") == 2
    page.get_by_role("button", name="Go on with emails").click()
    page.get_by_role("button", name="Pause all queues").click()
    site.work_off()
    assert site.app.size("emails") == 2
    page.get_by_role("button", name="Go on with all queues").click()
    page.get_by_role("link", name="emails").click()
    page.locator("tr", has_text="b@example.com").locator("summary").click()
    page.get_by_role("button", name="Remove it").locator("visible=true").click()
    assert opened.said() == "Removed the job."
    page.locator("summary", has_text="Remove the queue").click()
    page.get_by_label("Its name, to be sure:").fill("emials")
    page.get_by_role("button", name="Remove queue and jobs").click()
    assert "Nothing was removed" in page.locator("main").inner_text()
    page = opened.open("/queue?name=emails")
    page.locator("summary", has_text="Remove the queue").click()
    page.get_by_label("Its name, to be sure:").fill("emails")
    page.get_by_role("button", name="Remove queue and jobs").click()
    assert opened.said() == "Removed emails with 1 job."
    opened.problems.clear()


@pytest.fixture
def busy(site: Site) -> Iterator[subprocess.Popen[bytes]]:
    """A worker with a job in hand."""
    site.app.enqueue("wait_for", str(site.folder / "go"), 60)
    worker = site.worker("--queues", "slow,emails", "--shutdown-timeout", "0")
    until(lambda: site.app.working())
    yield worker
    worker.kill()
    worker.wait()


def test_a_worker_and_what_it_does(site: Site, opened: Window, busy: subprocess.Popen[bytes]) -> None:
    page = opened.open("/working")
    assert "wait_for" in page.locator("main").inner_text()
    page.locator("tbody a").nth(1).click()
    assert "working" in page.locator("h1").inner_text()
    assert "wait_for" in page.locator("main").inner_text()
    (site.folder / "go").touch()
    until(lambda: not site.app.working())
    page = opened.open("/workers")
    assert "idle" in page.locator("tbody").inner_text()


@pytest.mark.posts("/workers/prune")
def test_the_dead_are_pruned(site: Site, opened: Window, busy: subprocess.Popen[bytes]) -> None:
    busy.kill()
    busy.wait()
    page = opened.open("/workers")
    page.get_by_role("link", name=re.compile("prune")).click()
    assert "failed list" in page.locator("tbody").inner_text()

    def pruned() -> bool:
        button = page.get_by_role("button", name=re.compile("^Prune"))
        if not button.count():
            page.reload()
            return False
        button.click()
        return "pruned" in opened.said()

    until(pruned, 40)
    assert site.app.failures.count() == 1
    assert site.app.workers() == []


def test_stats_and_keys(site: Site, opened: Window) -> None:
    fail(site, "nobody", token="s3cr3t")
    page = opened.open("/stats")
    assert page.get_by_text("Failures kept").count() == 1
    keys = page.get_by_role("link", name="Keys")
    if not site.app.operator.can_show_keys():
        assert keys.count() == 0
        return
    keys.click()
    failed = page.get_by_role("link", name=re.compile("^[^:]+:failed$"))
    while not failed.count():  # other tests' keys lie between
        page.get_by_role("link", name="Further keys").click()
    failed.click()
    text = page.locator("main").inner_text()
    assert "nobody" in text
    assert "s3cr3t" not in text


@pytest.mark.posts("/delayed/now", "/delayed/time/now", "/delayed/remove", "/delayed/clear")
def test_delayed_jobs_are_enqueued_now_removed_and_cleared(site: Site, opened: Window) -> None:
    at, later = datetime(2096, 10, 2, 7, tzinfo=UTC), datetime(2096, 10, 2, 8, tzinfo=UTC)
    for name, when in (("one", at), ("two", at), ("three", at), ("one", later), ("four", later)):
        site.app.options(at=when).enqueue("send_email", name)
    page = opened.open("/delayed")
    page.get_by_role("link", name="All times of job 1", exact=True).click()
    times = page.locator("main section")
    assert "All times of send_email" in times.inner_text()
    assert times.locator("time").count() == 2
    page.get_by_role("button", name="Enqueue job 1 now").click()
    assert opened.said() == "The job is in its queue."
    site.work_off()
    assert site.app.failures.count() == 1
    page.locator("tr", has_text="two").locator("summary").click()
    page.get_by_role("button", name="Remove it").locator("visible=true").click()
    assert opened.said() == "Removed the job."
    page.locator("tr", has_text="four").get_by_role("link").first.click()
    assert page.locator("tbody tr").count() == 2
    page.get_by_role("button", name="Enqueue all of this time now").click()
    assert opened.said() == "2 jobs are in their queues."
    site.work_off()
    assert site.app.failures.count() == 3
    page.get_by_role("link", name="Clear all").click()
    page.get_by_label("Type clear, to be sure:").fill("clear")
    page.get_by_role("button", name="Remove 1").click()
    assert opened.said() == "Removed 1 delayed job: all there were."
    assert "Nothing is delayed" in page.locator("main").inner_text()


def test_a_delayed_job_that_is_gone_harms_no_other(site: Site, opened: Window) -> None:
    for name in ("one", "two"):
        site.app.options(at=datetime(2096, 10, 2, tzinfo=UTC)).enqueue("send_email", name)
    page = opened.open("/delayed")
    site.app.delayed.enqueue_now(site.app.delayed.list().jobs[0])
    page.get_by_role("button", name="Enqueue job 1 now").click()
    assert "already gone" in opened.said()
    assert [job.payload and job.payload.args for job in site.app.delayed.list().jobs] == [("two",)]


@pytest.mark.posts("/schedule/run", "/schedule/disable", "/schedule/enable")
def test_what_recurs_is_run_now_and_switched_off_and_on(site: Site, opened: Window) -> None:
    site.app.schedules.set("nightly", site.app.call("send_email", "nobody"), cron="0 3 * * *")
    site.app.schedules.set("hourly", site.app.call("send_email", "somebody"), every="1h")
    page = opened.open("/schedule")
    page.get_by_role("button", name="Run now: nightly").click()
    assert opened.said() == "send_email is in the queue emails."
    site.work_off()
    [failed] = site.app.failures.list()
    assert failed.payload is not None
    assert failed.payload.args == ("nobody",)
    page.get_by_role("button", name="Disable nightly").click()
    assert opened.said() == "nightly is disabled."
    assert "disabled" in page.locator("tr", has_text="nightly").inner_text()
    assert page.get_by_role("button", name="Disable hourly").count() == 1
    page.get_by_role("button", name="Enable nightly").click()
    assert opened.said() == "nightly is enabled."
    assert page.get_by_role("button", name="Disable nightly").count() == 1
