"""Delayed jobs, recurring ones, and enqueueing by hand."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
from werkzeug.test import Client

import taskq
from taskq import TaskQ
from taskq_web import Dashboard, everybody
from taskq_web.parameters import address
from tests.web.conftest import Browser, Working
from tests.web.reading import Page


def _fields_of(page: str) -> dict[str, str]:
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.partition("data-goes-on>")[2]))


def actions(text: str, path: str) -> list[str]:
    return [each["action"] for each in Page(text).all("form") if each.get("action", "").partition("?")[0] == path]


class TestDelayed:
    def test_they_are_listed_by_time_page_by_page(self, app: TaskQ, browser: Browser) -> None:
        assert "Nothing is delayed" in browser.page("/delayed")
        for number in range(30):
            body = b'{"class":"send_email","args":["%02d@example.com"]}' % number
            app.broker.schedule(2e9 + number % 3 * 100, "emails", [body])
        seen, path = [], "/delayed"
        while path:
            page = browser.page(path)
            assert "3 times" in page
            seen += re.findall(r"(\d\d)@example.com", page)
            further = [each["href"] for each in Page(page).all("a") if each.get("rel") == "next"]
            path = further[0] if further else ""
        assert sorted(seen) == [f"{number:02}" for number in range(30)]
        assert [int(number) % 3 for number in seen] == sorted(number % 3 for number in range(30))

    def test_one_is_enqueued_now_and_one_removed(self, app: TaskQ, browser: Browser) -> None:
        for name in ("a", "b", "c"):
            app.options(delay=1000).enqueue("send_email", f"{name}@example.com")
        page = browser.page("/delayed")
        now, remove = actions(page, "/delayed/now"), actions(page, "/delayed/remove")
        assert browser.act(now[0]) == "The job is in its queue."
        assert browser.act(remove[1]) == "Removed the job."
        for stale in (now[0], now[1], remove[0]):
            assert "already gone" in browser.act(stale)
        assert app.size("emails") == 1
        assert app.delayed.count() == 1

    def test_all_of_one_time_and_all_times_of_one_job(self, app: TaskQ, browser: Browser) -> None:
        at = 2_000_000_000.0
        app.enqueue("send_email", "a@example.com")
        [body] = app.broker.peek("emails", 0, 1)
        app.remove_queue("emails")
        app.broker.schedule(at, "emails", [body, body])
        app.broker.schedule(at + 60, "emails", [body])
        page = browser.page("/delayed")
        times = [each["href"] for each in Page(page).all("a") if "times=" in each.get("href", "")]
        found = browser.page(times[0])
        assert "2033-05-18 03:33:20 UTC</time>, <time" in found
        one = browser.page(address("", "/delayed", {"at": repr(at)}))
        [now] = actions(one, "/delayed/time/now")
        assert browser.act(now) == "2 jobs are in their queues."
        assert app.delayed.count() == 1

    @pytest.mark.parametrize("path", ["/delayed/clear", "/delayed/time/now?at=2000000000.0"])
    def test_many_go_a_slice_a_request_until_it_is_stopped(
        self, path: str, app: TaskQ, browser: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("taskq_web.pages.delayed._SLICE", 0.0)
        monkeypatch.setattr("taskq.delayed_jobs._PAGE", 2)
        monkeypatch.setattr("taskq_web.pages.delayed._STEP", 2)
        for at in (2e9, 2e9 + 1):
            app.broker.schedule(at, "emails", [b'{"class":"send_email","args":["a"]}'] * 3)
        total = 6 if path == "/delayed/clear" else 3
        asked = "/delayed/all"
        while "Go on counting" in (counted := browser.page(asked)):
            asked = address("", "/delayed/all", _fields_of(counted))
        assert "<b>6</b> jobs are delayed." in counted
        form, far = {"sure": "clear", "total": str(total)}, []
        while (answer := browser.post(path, form)).status_code == 200:
            assert "data-goes-on" in answer.text
            form = {**form, **_fields_of(answer.text)}
            far.append((form["done"], form["total"]))
        assert answer.status_code == 303
        assert far[0] == ("2", str(total))
        assert app.delayed.count() == 6 - total

    def test_the_times_of_a_job_are_looked_for_a_part_at_a_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("taskq_web.pages.delayed._FIRST", 0.0)
        monkeypatch.setattr("taskq_sqlite.broker._A_PART", 2)
        with TaskQ(broker=f"sqlite:///{tmp_path}/jobs.db") as app:
            browser = Browser(Client(Dashboard(app, access=everybody)))
            for hour in range(5):
                bodies = [b'{"class":"A","args":[%d]}' % number for number in (1, hour + 2)]
                app.broker.schedule(2e9 + 3600 * hour, "emails", bodies)
            path = next(each["href"] for each in Page(browser.page("/delayed")).all("a") if "times=" in each["href"])
            found, parts = set(), 0
            while path:
                page = browser.page(path)
                part = page.partition('data-key="times"')[2].partition("</section>")[0]
                assert "<h2>Times of" in part
                found |= set(re.findall(r"2033-05-18 (\d\d):33:20 UTC", part))
                parts += 1
                on = [each["href"] for each in Page(page).all("a") if "looked=" in each["href"] and "Go on" in page]
                path = on[0] if on else ""
            assert found == {f"{3 + hour:02}" for hour in range(5)}
            assert parts > 2

    def test_all_are_cleared_when_the_word_was_typed(self, app: TaskQ, browser: Browser) -> None:
        app.options(delay=1000).enqueue("send_email", "a@example.com")
        app.enqueue("send_email", "b@example.com")
        assert browser.post("/delayed/clear", {"sure": "yes"}).status_code == 409
        assert app.delayed.count() == 1
        assert browser.act("/delayed/clear", {"sure": "clear"}) == "Removed 1 delayed job: all there were."
        assert app.delayed.count() == 0

    def test_a_time_beyond_the_calendar_is_a_number_and_its_page_is_there(self, app: TaskQ, browser: Browser) -> None:
        app.broker.schedule(99_999_999_999_999, "emails", [b'{"class":"send_email","args":["a@example.com"]}'])
        [link] = [each["href"] for each in Page(browser.page("/delayed")).all("a") if "?at=" in each.get("href", "")]
        one = browser.page(link)
        assert "a@example.com" in one
        assert "99999999999999</time>" in one
        [now] = actions(one, "/delayed/now")
        assert browser.act(now) == "The job is in its queue."

    @pytest.mark.parametrize("at", ["nan", "inf", "1e400", "x", "", "-1e300"])
    def test_a_time_that_is_none_is_refused(self, at: str, app: TaskQ, browser: Browser) -> None:
        app.enqueue("send_email", "a@example.com")
        assert browser.post(address("", "/delayed/time/now", {"at": at})).status_code == 400


class TestSchedule:
    def test_what_recurs_is_told_in_words_and_run(self, app: TaskQ, browser: Browser) -> None:
        assert "Nothing recurs" in browser.page("/schedule")
        app.schedules.set("nightly", app.call("send_email", "a@example.com", token="s3cr3t"), every="5m")
        page = browser.page("/schedule")
        assert "nightly" in page
        assert "s3cr3t" not in page
        assert "Every 5 minutes" in page
        assert "No scheduler of taskq runs." in page
        run = next(each for each in actions(page, "/schedule/run"))
        assert browser.act(run) == "send_email is in the queue emails."
        assert app.size("emails") == 1
        [disable] = actions(page, "/schedule/disable")
        assert browser.act(disable) == "nightly is disabled."
        page = browser.page("/schedule")
        assert "disabled</span>" in page
        assert "was changed meanwhile" in browser.act(disable)
        assert "was changed meanwhile" in browser.act(run)
        assert app.size("emails") == 1
        [enable] = actions(page, "/schedule/enable")
        assert browser.act(enable) == "nightly is enabled."
        assert "There is no schedule" in unescape(browser.act("/schedule/run?name=nightli"))

    def test_one_without_a_queue_of_a_job_that_is_unknown_here_says_so(self, app: TaskQ, browser: Browser) -> None:
        app.broker.put_schedule("odd", b'{"class":"Elsewhere","args":[],"every":"5m"}')
        [run] = actions(browser.page("/schedule"), "/schedule/run")
        assert "it says no queue" in browser.act(run)

    def test_one_that_cannot_be_read_is_listed(self, app: TaskQ, browser: Browser) -> None:
        app.broker.put_schedule("odd", b'{"every": "now and then"}')
        page = browser.page("/schedule")
        assert "unreadable" in page
        assert "Run now: odd" not in page


class TestEnqueueing:
    def test_by_a_form_of_its_signature(self, app: TaskQ, browser: Browser) -> None:
        page = browser.page("/enqueue?job=send_email")
        fields = [each["name"] for each in Page(page).all("input") if each.get("name", "").startswith("arg.")]
        assert fields == ["arg.to", "arg.subject", "arg.token"]
        assert "Send an email to a customer." in page
        form = {"arg.to": "5", "arg.subject": "", "arg.token": "t", "queue": "emails"}
        said = browser.act("/enqueue?job=send_email", form)
        assert said == "send_email is in the queue emails. No worker serves that queue."
        [job] = app.peek("emails", 0, 9)
        assert job.payload is not None
        assert job.payload.args == ("5", {"taskq:kw": {"token": "t"}})

    def test_a_wrong_call_is_said_and_what_was_typed_stays(self, app: TaskQ, browser: Browser) -> None:
        app.enqueue_to("x", "y")
        answer = browser.post("/enqueue?job=send_email", {"arg.subject": "<Hello>", "arg.token": "t0", "queue": "q"})
        assert answer.status_code == 422
        assert 'send_email() misses the argument "to".' in unescape(answer.text)
        assert 'value="&lt;Hello&gt;"' in answer.text
        assert "t0" not in answer.text
        assert app.size("q") == 0

    def test_what_is_masked_by_its_name_is_no_open_field(self, app: TaskQ, browser: Browser) -> None:
        @taskq.job(registry=app.registry)
        def sign_in(user: str, password: str = "S3CR3T") -> None: ...

        assert "empty for its default" in browser.page("/enqueue?job=sign_in")
        wrong = browser.post("/enqueue?job=sign_in", {"arg.password": "hush", "queue": "default"})
        assert wrong.status_code == 422
        assert 'name="arg.password" value="" type="password"' in wrong.text

    @pytest.mark.parametrize(
        ("form", "said"),
        [
            ({"args": "[" * 100_000}, "nested too deeply"),
            ({"args": "[]", "when": "9999999 d"}, "is no time that is understood"),
            ({"args": "[]", "when": "2020-01-01"}, "2020-01-01 00:00:00 UTC is past"),
        ],
    )
    def test_what_cannot_be_is_said_in_a_sentence(
        self, form: dict[str, str], said: str, app: TaskQ, browser: Browser
    ) -> None:
        answer = browser.post("/enqueue?foreign=1", {"job": "Job", "queue": "emails", **form})
        assert answer.status_code == 422
        assert said in answer.text
        assert app.size("emails") == 0

    def test_later(self, app: TaskQ, browser: Browser) -> None:
        form = {"arg.to": "a@example.com", "queue": "emails", "when": "2h"}
        app.enqueue_to("x", "y")
        assert browser.act("/enqueue?job=send_email", form).startswith("send_email goes into the queue emails at 20")
        [job] = app.delayed.list().jobs
        assert 7000 < job.at - app.broker.now() < 7300
        answer = browser.post("/enqueue?job=send_email", {**form, "when": "tomorrow-ish"})
        assert answer.status_code == 422
        assert "tomorrow-ish" in answer.text

    @pytest.mark.parametrize("args", ["{", "5", '{"a": 1}', '["[secret: token]"]', '["[secret 1]"]', "[NaN", ""])
    def test_a_job_of_another_program(self, args: str, app: TaskQ, browser: Browser) -> None:
        app.enqueue_to("x", "y")
        form = {"job": "Billing::Charge", "queue": "ruby", "args": '[1, {"k": null}]'}
        assert browser.act("/enqueue?foreign=1", form).startswith("Billing::Charge is in the queue ruby.")
        answer = browser.post("/enqueue?foreign=1", {**form, "args": args})
        assert answer.status_code == (422 if args else 303)
        assert app.broker.peek("ruby", 0, 9)[0] == b'{"class":"Billing::Charge","args":[1,{"k":null}]}'

    def test_a_failure_again_without_its_secret(self, app: TaskQ, browser: Browser) -> None:
        app.enqueue("send_email", "a@example.com", token="s3cr3t")
        Working(app).fail("emails")
        again = address("", "/enqueue", {"again": app.failures.id_of(app.failures.page().jobs[0], digits=16)})
        page = browser.page(again)
        assert 'value="a@example.com"' in page
        assert "s3cr3t" not in page
