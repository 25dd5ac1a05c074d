from __future__ import annotations

import json
import re
import time
from html import unescape
from urllib.parse import quote, unquote

import pytest
from werkzeug.test import Client

from taskq import TaskQ
from taskq.failed_search import Bounds
from taskq.registry import Registry
from taskq.short_names import short
from taskq_web import Dashboard, Role
from taskq_web.parameters import address
from tests.web.conftest import Browser, Working
from tests.web.reading import Page


@pytest.fixture(autouse=True)
def any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """How much of a list is seen is to depend on no machine's speed."""
    monkeypatch.setattr("taskq_web.pages.failed._BOUNDS", Bounds(entries=10_000, seconds=60.0, size=8_000_000))
    monkeypatch.setattr("taskq_web.pages.sweep._FIRST", 60.0)
    monkeypatch.setattr("taskq_web.pages.sweep._SLICE", 60.0)


@pytest.fixture
def worker(app: TaskQ) -> Working:
    return Working(app)


def fail(
    app: TaskQ, worker: Working, to: str, message: str = "no answer", *, kind: str = "MailError", by_queue: bool = False
) -> None:
    app.enqueue("send_email", to)
    worker.fail("emails", kind=kind, message=message, by_queue=by_queue)


def rows(text: str) -> list[str]:
    """The rows of the failed list, as they read."""
    listed = re.search(r'<ul class="rows".*?</ul>', text, re.DOTALL)
    found = re.findall(r"<details><summary>(.*?)</summary>", listed[0]) if listed else []
    return [" ".join(Page(f"<p>{row}</p>").words.split()) for row in found]


def links(text: str, path: str) -> list[str]:
    return [each["href"] for each in Page(text).all("a") if each.get("href", "").partition("?")[0] == path]


def of_newest(app: TaskQ, path: str) -> str:
    return address("", path, {"id": app.failures.id_of(app.failures.page().jobs[0], digits=16)})


class TestTheList:
    def test_one_of_a_long_name_is_filtered_paged_and_retried(
        self, app: TaskQ, browser: Browser, worker: Working
    ) -> None:
        long = "emails-" * 100
        queues = {"long": long, "short": short(long)}  # which is called as the digest of the other
        for which, queue in queues.items():
            for number in range(21):
                app.enqueue_to(queue, "send_email", f"{number}@{which}.example")
                worker.fail(queue, by_queue=True)
        listed = [path for path in links(browser.page("/failed"), "/failed") if "list=~" in unquote(path)]
        assert len(set(listed)) == 2
        seen = set()
        for path in listed:
            page = browser.page(path)
            [which] = {which for which in queues if f"@{which}.example" in page}
            [mine] = [each["href"] for each in Page(page).all("a") if each.get("aria-current") == "true"]
            [field] = [each["value"] for each in Page(page).all("input") if each.get("name") == "list"]
            assert path == mine == address("", "/failed", {"list": field})
            assert len(rows(browser.page(f"{path}&text={which}.example"))) == 20
            [older] = [each for each in links(page, "/failed") if "cursor=" in each]
            assert len(rows(browser.page(older))) == 1
            [group, *_] = [each for each in links(page, "/failed") if "group=" in each]
            [sweep] = [each for each in links(browser.page(group), "/failed/all") if "do=retry" in each]
            counted = browser.page(sweep)
            assert "<b>21</b> failures are meant" in counted
            [retry] = [form["action"] for form in Page(counted).all("form") if "all/retry" in form.get("action", "")]
            fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', counted))
            browser.act(retry, {"total": "21", "matched": "21", "top": unescape(fields["top"])})
            assert app.size(queues[which]) == 21
            seen.add(which)
        assert seen == {"long", "short"}

    def test_nothing_failed(self, browser: Browser) -> None:
        page = browser.page("/failed")
        assert "Nothing failed" in page
        assert '<form class="filter"' not in page

    def test_the_newest_is_first_over_all_pages(self, app: TaskQ, worker: Working, browser: Browser) -> None:
        for number in range(45):
            fail(app, worker, f"{number:02}@example.com")
        seen, path, lengths = [], "/failed", []
        while path:
            page = browser.page(path)
            lengths.append(len(rows(page)))
            seen += [re.findall(r'"(\d\d)@', row)[0] for row in rows(page)]
            further = [each["href"] for each in Page(page).all("a") if each.get("rel") == "next"]
            path = further[0] if further else ""
        assert seen == [f"{number:02}" for number in reversed(range(45))]
        assert lengths == [20, 20, 5]

    def test_a_group_is_a_kind_of_error_and_filters(self, app: TaskQ, worker: Working, browser: Browser) -> None:
        for number in range(3):
            fail(app, worker, "a@example.com", f"order {number} was refused")
        fail(app, worker, "b@example.com", "disk full", kind="OSError")
        page = browser.page("/failed")
        kinds = re.findall(r'data-label="Count">(\d+)<', page)
        assert kinds == ["3", "1"]
        assert "order &lt;n&gt; was refused" in page
        [group, *_] = [link for link in links(page, "/failed") if "group=" in link]
        filtered = browser.page(group)
        assert len(rows(filtered)) == 3
        [sweep, *_] = [link for link in links(filtered, "/failed/all") if "do=retry" in link]
        for path in (group, sweep):  # whoever acts on all of it reads what it is
            assert "send_email, MailError: order <n> was refused" in unescape(browser.page(path)), path

    @pytest.mark.parametrize(
        ("words", "found"),
        [
            ("class=send_email", 2), ("class=Other", 0), ("exception=OSError", 1), ("queue=emails", 2), ("queue=x", 0),
            ("text=DISK", 1), ("since=1h", 2), ("until=1h", 0), ("retried=no", 2), ("retried=yes", 0),
        ],
    )  # fmt: skip
    def test_a_filter(self, words: str, found: int, app: TaskQ, worker: Working, browser: Browser) -> None:
        fail(app, worker, "a@example.com")
        fail(app, worker, "b@example.com", "disk full", kind="OSError")
        page = browser.page(f"/failed?{words}")
        assert len(rows(page)) == found
        assert found or "No failure is like that" in page
        name, _, value = words.partition("=")
        assert f'value="{value}"' in page or name == "retried"

    def test_a_filter_that_cannot_be_is_said(self, app: TaskQ, worker: Working, browser: Browser) -> None:
        fail(app, worker, "a@example.com")
        page = browser.page("/failed?since=yesterday-ish")
        assert 'class="said wrong"' in page
        assert "yesterday-ish" in page
        assert len(rows(page)) == 1

    def test_lists_by_queue_where_they_are_kept_so(self, app: TaskQ, worker: Working, browser: Browser) -> None:
        fail(app, worker, "a@example.com")
        app.enqueue("send_email", "b@example.com")
        worker.fail("emails", by_queue=True)
        page = browser.page("/failed")
        assert len(rows(page)) == 2
        common, emails = [link for link in links(page, "/failed") if "list=" in link]
        assert len(rows(browser.page(common))) == len(rows(browser.page(emails))) == 1

    def test_secrets_are_masked_everywhere(self, app: TaskQ, worker: Working, browser: Browser) -> None:
        app.enqueue("send_email", "a@example.com", token="s3cr3t")
        worker.fail("emails", message="the token s3cr3t is wrong")
        app.enqueue_to("emails", "Other", {"deep": [{"password": "s3cr3t"}]})
        worker.fail("emails")
        app.enqueue_to("emails", "Other", {"api_key": "s3cr3t"})
        paths = ["/failed", "/queue?name=emails"]
        for failed in app.failures.list():
            ref = {"id": app.failures.id_of(failed, digits=16)}
            paths += [address("", "/failure", ref), address("", "/failure/edit", ref)]
        for path in paths:
            page = browser.page(path)
            assert "s3cr3t" not in page, path
            assert "[secret" in page, path

    def test_huge_payloads_are_a_few_rows_without_what_would_cost_seconds(
        self, app: TaskQ, worker: Working, browser: Browser
    ) -> None:
        secrets = [{"token": f"tok{number:09}"} for number in range(35_000)]
        for _ in range(12):
            app.enqueue_to("emails", "Import", secrets)
            worker.fail("emails", kind="shop.Boom", message="refused tok000000007")
        began = time.process_time()
        page = browser.page("/failed")
        assert time.process_time() - began < 5.0  # half of one; masks alone took ten
        assert 1 < len(rows(page)) < 12
        assert "of arguments" in page
        assert "shop.Boom" in page
        assert "tok0" not in page
        assert 'rel="next"' in page
        alone = browser.page(of_newest(app, "/failure"))
        assert "refused [secret]" in alone
        assert "tok0" not in alone


class TestActing:
    def test_one_is_retried_and_stays_marked(self, app: TaskQ, worker: Working, browser: Browser) -> None:
        fail(app, worker, "a@example.com")
        path = of_newest(app, "/failure/retry")
        assert browser.act(path) == "send_email is in its queue again."
        assert app.size("emails") == 1
        assert app.failures.list()[0].retried_at is not None
        refused = browser.post(path)
        assert refused.status_code == 410
        assert "already retried" in refused.text
        assert app.size("emails") == 1

    def test_a_stale_page_never_hits_another(self, app: TaskQ, worker: Working, browser: Browser) -> None:
        fail(app, worker, "a@example.com")
        path = of_newest(app, "/failure/remove")
        fail(app, worker, "b@example.com")
        assert browser.act(path) == "Removed the failure."
        assert browser.post(path).status_code == 410
        [left] = app.failures.list()
        assert left.payload is not None
        assert left.payload.args == ("b@example.com",)

    def test_what_is_ticked(self, app: TaskQ, worker: Working, browser: Browser) -> None:
        for number in range(5):
            fail(app, worker, f"{number}@example.com")
        page = Page(browser.page("/failed"))
        ids = [unescape(each["value"]) for each in page.all("input") if each.get("name") == "id"]
        app.failures.remove(app.failures.list()[2])
        assert browser.act("/failed/retry", {"id": ids[1:4]}) == "Requeued 2 failures. 1 was already gone."
        assert app.size("emails") == 2
        assert browser.act("/failed/remove", {"id": [ids[0], ids[4]]}) == "Removed 2 failures."
        assert app.failures.count() == 2
        assert "Nothing was ticked" in browser.post("/failed/retry").text

    def test_arguments_are_edited_and_what_is_masked_stays(self, app: TaskQ, worker: Working, browser: Browser) -> None:
        app.enqueue("send_email", "nobody", token="s3cr3t")
        worker.fail("emails")
        path = of_newest(app, "/failure/edit")
        page = Page(browser.page(path))
        text = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page.html, re.DOTALL)
        assert text
        typed = unescape(text[1])
        wrong = browser.post(path, {"text": "[1, 2, 3, 4", "queue": "emails"})
        assert wrong.status_code == 422
        assert "[1, 2, 3, 4" in wrong.text
        wrong = browser.post(path, {"text": "[]", "queue": "emails"})
        assert "misses the argument" in unescape(wrong.text)
        assert app.size("emails") == 0
        assert browser.act(path, {"text": typed.replace("nobody", "a@example.com"), "queue": "vip"})
        [body] = app.broker.peek("vip", 0, 9)
        assert json.loads(body)["args"][0] == "a@example.com"
        assert "s3cr3t" in str(json.loads(body)["args"])

    def test_a_class_that_is_not_here_is_retried(self, app: TaskQ, worker: Working, browser: Browser) -> None:
        app.enqueue_to("ruby", "Billing::Charge", 7)
        worker.fail("ruby")
        assert browser.act(of_newest(app, "/failure/retry")) == "Billing::Charge is in its queue again."
        assert app.peek("ruby", 0, 1)[0].payload is not None

    def test_rubbish_cannot_be_requeued_and_says_why(self, app: TaskQ, worker: Working, browser: Browser) -> None:
        app.broker.push("emails", [b"rubbish"])
        worker.fail("emails")
        path = of_newest(app, "/failure/retry")
        assert "It cannot be requeued" in browser.page(of_newest(app, "/failure"))
        refused = browser.post(path)
        assert refused.status_code == 409
        assert app.failures.count() == 1


def test_a_place_alone_is_no_address_of_an_action(app: TaskQ, worker: Working, browser: Browser) -> None:
    fail(app, worker, "a@example.com")
    short = app.failures.id_of(app.failures.list()[0])
    for path in ("/failure/retry", "/failure/remove", "/failure/edit"):
        for bare in ("0", short):
            assert browser.post(f"{path}?id={bare}", {"text": "[]"}).status_code == 400
    assert "Requeued 0" in browser.act("/failed/retry", {"id": "0"})
    assert app.size("emails") == 0
    assert browser.get(f"/failure?id={short}").status_code == 200


@pytest.mark.parametrize("secret", ["[secret]", "[secret: password]", "[secret 7]"])
def test_what_stands_for_a_secret_elsewhere_is_no_argument(
    secret: str, app: TaskQ, worker: Working, browser: Browser
) -> None:
    app.enqueue("send_email", "a@example.com", token="s3cr3t")
    worker.fail("emails")
    refused = browser.post(of_newest(app, "/failure/edit"), {"text": json.dumps(["a", secret]), "queue": "emails"})
    assert refused.status_code == 422
    assert "stands for no argument of this job" in refused.text
    assert app.size("emails") == 0


def test_a_long_traceback_and_long_names_keep_the_page_small(app: TaskQ, browser: Browser) -> None:
    lines = [f"{'/app' if n % 2 else '/usr/lib/ruby/gems/x'}/a{n}.rb:{n}:in `call'" for n in range(900)]
    entry = {
        "failed_at": "2026/11/28 10:00:00 UTC", "payload": {"class": "C" * 50_000, "args": []}, "worker": "h:1:q",
        "exception": "E" * 100_000, "error": "m" * 50_000, "backtrace": lines, "queue": "q" * 5_000,
    }  # fmt: skip
    app.broker.add_failure(json.dumps(entry).encode())
    page = browser.page(of_newest(app, "/failure"))
    assert len(page) < 60_000 - 27_000  # what the style and the script take of it
    assert page.count("<") < 1_500
    assert re.search(r"[78]\d\d further lines: <code>taskq failed show 0-", page)
    assert page.count("It goes on. All of it: <code>taskq failed show 0-") == 3


def test_what_travelled_along_is_masked(app: TaskQ, worker: Working, browser: Browser) -> None:
    app.broker.push("emails", [b'{"class":"Other","args":[],"api_key":"leakme","meta":{"token":"leakme"},"tries":3}'])
    worker.fail("emails")
    page = browser.page(of_newest(app, "/failure"))
    assert "leakme" not in page
    assert "[secret: api_key]" in page


class TestAllThatMatch:
    @pytest.mark.parametrize(("verb", "said"), [("retry", "Requeued 30 failures."), ("remove", "Removed 30 failures.")])
    def test_counted_first_then_done_slice_by_slice(
        self, verb: str, said: str, app: TaskQ, worker: Working, browser: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(40):
            fail(app, worker, f"{number}@example.com", kind="OSError" if number % 4 else "ValueError")
        monkeypatch.setattr("taskq_web.pages.sweep._SLICE", 0.0)
        monkeypatch.setattr("taskq_web.pages.sweep._AT_ONCE", 7)
        counted = browser.page(f"/failed/all?do={verb}&exception=OSError")
        while "data-goes-on" in counted:
            counted = browser.page("/failed/all?" + _fields_of(counted))
        assert "<b>30</b> failures are meant, of 40." in counted
        form, answers = {"total": "40", "matched": "30"}, 0
        while True:
            answer = browser.post(f"/failed/all/{verb}?exception=OSError", form)
            answers += 1
            if answer.status_code == 303:
                break
            form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', answer.text.partition("data-goes-on>")[2]))
            assert 'progress max="40"' in answer.text
        assert answers > 3
        assert said in browser.client.get(answer.headers["Location"]).text
        assert app.size("emails") == (30 if verb == "retry" else 0)
        assert app.failures.count() == (40 if verb == "retry" else 10)

    def test_what_failed_first_is_retried_first(
        self, app: TaskQ, worker: Working, browser: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(20):
            fail(app, worker, f"{number:02}")
        monkeypatch.setattr("taskq_web.pages.sweep._SLICE", 0.0)
        monkeypatch.setattr("taskq_web.pages.sweep._AT_ONCE", 7)
        form: dict[str, str] = {}
        while (answer := browser.post("/failed/all/retry", form)).status_code == 200:
            form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', answer.text.partition("data-goes-on>")[2]))
        queued = [job.payload.args[0] for job in app.peek("emails", 0, 99) if job.payload]
        assert queued == [f"{number:02}" for number in range(20)]

    def test_all_are_cleared_and_only_those_retried(self, app: TaskQ, worker: Working, browser: Browser) -> None:
        for number in range(3):
            fail(app, worker, f"{number}@example.com")
        app.failures.requeue(app.failures.list()[1])
        assert browser.act("/failed/all/remove?retried=yes") == "Removed 1 failure."
        assert app.failures.count() == 2
        assert "<b>2</b> failures are meant" in browser.page("/failed/all?do=remove")
        assert browser.act("/failed/all/remove") == "Removed 2 failures."
        assert app.failures.count() == 0

    def test_retry_leaves_alone_what_was_retried(self, app: TaskQ, worker: Working, browser: Browser) -> None:
        for number in range(3):
            fail(app, worker, f"{number}@example.com")
        app.failures.requeue(app.failures.list()[1])
        assert "<b>3</b> failures are meant, 1 of them retried already." in browser.page("/failed/all?do=retry")
        assert browser.act("/failed/all/retry") == "Requeued 2 failures. 1 had been retried already."
        assert browser.act("/failed/all/retry") == "Requeued 0 failures. 3 had been retried already."
        assert app.size("emails") == 3
        counted = browser.page("/failed/all?do=retry")
        assert "<b>3</b> match, all of them retried already" in counted
        assert "<form method=post" not in counted

    @pytest.mark.parametrize(("verb", "done"), [("retry", "Requeued"), ("remove", "Removed")])
    @pytest.mark.parametrize("words", ["", "class=send_email&until=1970-01-01", "class=send_email&since=2h"])
    def test_what_fails_after_the_count_is_not_meant(
        self, verb: str, done: str, words: str, app: TaskQ, worker: Working, browser: Browser
    ) -> None:
        for number in range(3):
            fail(app, worker, f"{number}@example.com")
        fail(app, worker, "own", by_queue=True)
        words = words.replace("1970-01-01", f"{time.time() + 60:.0f}")
        counted = browser.page(f"/failed/all?do={verb}&{words}")
        assert "<b>4</b>" in counted
        form = counted.partition('<form method="post"')[2]
        address = unescape(re.findall(r'action="([^"]*)"', form)[0])
        assert "since=2h" not in address
        for number in range(4):
            fail(app, worker, f"late-{number}@example.com")
            fail(app, worker, f"late-{number}@example.com", by_queue=True)
        said = browser.act(address, dict(re.findall(r'name="(\w+)" value="([^"]*)"', form)))
        assert said == f"{done} 4 failures."
        assert app.failures.count() == (12 if verb == "retry" else 8)

    def test_who_may_only_retry_is_shown_no_removal(self, app: TaskQ, worker: Working) -> None:
        fail(app, worker, "a@example.com")
        browser = Browser(Client(Dashboard(app, access=lambda environ: Role.RETRY)))
        assert browser.get("/failed/all?do=retry").status_code == 200
        assert browser.get("/failed/all?do=remove").status_code == 403

    def test_numbers_that_come_back_are_believed_by_nobody(self, app: TaskQ, worker: Working, browser: Browser) -> None:
        fail(app, worker, "a@example.com")
        odd = {"done": "-5", "total": "1e99", "searched": "<b>", "matched": "9" * 40}
        assert browser.act("/failed/all/retry?class=send_email", odd) == "Requeued 1 failure."
        assert browser.post("/failed/all/retry", {"cursor": "nonsense"}).status_code == 400
        assert browser.post("/failed/all/retry", {"top": "nonsense"}).status_code == 400


def _fields_of(page: str) -> str:
    found = re.findall(r'name="(\w+)" value="([^"]*)"', page.partition("data-goes-on>")[2])
    return "&".join(f"{name}={quote(unescape(value))}" for name, value in found)


def test_the_commands_of_a_page_can_be_typed(app: TaskQ, worker: Working, browser: Browser) -> None:
    app.enqueue_to("emails", "Other", "it's", {"a": [1, None]})
    worker.fail("emails")
    commands = re.findall(r'<pre id="command-\d">(.*?)</pre>', browser.page(of_newest(app, "/failure")))
    ref = app.failures.id_of(app.failures.list()[0])
    assert unescape(commands[0]) == f"taskq failed show {ref}"
    import shlex

    assert shlex.split(unescape(commands[2])) == [
        "taskq", "enqueue", "--queue", "emails", "Other", '"it\'s"', '{"a": [1, null]}'
    ]  # fmt: skip


def test_nothing_is_imported_to_show_a_job(app: TaskQ, worker: Working, browser: Browser) -> None:
    app.enqueue_to("emails", "os:system", "touch x")
    worker.fail("emails")
    assert isinstance(app.registry, Registry)
    assert "os:system" in browser.page("/failed")
    assert app.registry.find("os:system") is None
