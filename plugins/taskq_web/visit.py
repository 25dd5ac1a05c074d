"""One request, and all that a page needs to answer it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from werkzeug.wrappers import Request, Response

from taskq import TaskqError
from taskq.broker import Capability
from taskq.short_names import LONG, short, whole
from taskq_web.access import Role, Visitor
from taskq_web.parameters import Parameters, address
from taskq_web.rendering import template
from taskq_web.security import Tokens
from taskq_web.sights import Sights

if TYPE_CHECKING:
    from taskq import TaskQ
    from taskq.operator import WorkerState

__all__ = ["LIVE", "SAID", "Refused", "Visit"]

LIVE: Final = "X-Taskq-Live"
"""The header with which a page asks for itself again: what changes is answered, and times are left to the script."""

SAID: Final = "taskq_web_said"
"""The cookie that carries what an action did to the page that is shown next."""


_TABS: Final = (
    ("/", "Overview", "o"),
    ("/working", "Working", "w"),
    ("/failed", "Failed", "f"),
    ("/queues", "Queues", "q"),
    ("/workers", "Workers", "r"),
    ("/schedule", "Schedule", "s"),
    ("/delayed", "Delayed", "d"),
    ("/stats", "Stats", "t"),
    ("/enqueue", "Enqueue", "e"),
)

UNDER: Final = {
    "/delayed/all": "/delayed",
    "/failed/all": "/failed",
    "/failure": "/failed",
    "/failure/edit": "/failed",
    "/queue": "/queues",
    "/stats/key": "/stats",
    "/stats/keys": "/stats",
    "/worker": "/workers",
    "/workers/prune": "/workers",
}
"""Which tab a page belongs to, where it is none itself."""


_NAMES: Final = frozenset({"list", "name"})
"""The parameters that are names which anybody gives: of queues, failed lists and schedules."""


_SHOWS_ARGUMENTS: Final = frozenset({
    "/", "/working", "/failed", "/failure", "/failure/edit", "/queue", "/workers", "/worker", "/delayed", "/schedule",
})  # fmt: skip
"""The pages that show arguments, which they mask by what a job says of them, where its application is known."""


class Refused(Exception):
    """A request that is answered with a sentence and a status, and changes nothing."""

    def __init__(self, status: HTTPStatus, sentence: str, *, advice: str = "") -> None:
        self.status = status
        self.sentence = sentence
        self.advice = advice
        super().__init__(sentence)


@dataclass(slots=True)
class Visit:
    """A request of a visitor who may come in.

    Attributes:
        app: the application that is looked at.
        request: as Werkzeug read it.
        visitor: who asks.
        cookie: the visitor's cookie, or what it will be.
        tokens: makes the tokens of forms.
        query: what follows the question mark.
        form: what was sent; empty for a GET.
        sights: what requests have just seen.
        read_only: whether everybody only reads.
        away: whether the broker has just not answered, and need not be asked for the frame of the page that says so.
    """

    app: TaskQ
    request: Request
    visitor: Visitor
    cookie: str
    tokens: Tokens
    query: Parameters
    form: Parameters
    sights: Sights = field(default_factory=Sights)
    read_only: bool = False
    away: bool = False
    _clock: float | None = field(default=None, init=False)

    @property
    def live(self) -> bool:
        """Whether the page's own script asks, for what changed."""
        return LIVE in self.request.headers

    @property
    def layout(self) -> str:
        """The template that a page's own extends."""
        return "live.html" if self.live else "layout.html"

    @property
    def clock(self) -> float:
        """The broker's time, the same throughout the request; this machine's where the broker is away."""
        if self._clock is None and self.away:
            self._clock = time.time()
        if self._clock is None:
            try:
                self._clock = self.app.broker.now()
            except TaskqError:
                self._clock = time.time()
        return self._clock

    def workers(self) -> Sequence[WorkerState]:
        """Every worker, as the request sees it; pages that bring themselves up to date share what they see."""
        return self.sights.workers(self.app, shared=self.live)

    @property
    def token(self) -> str:
        """What the forms of this visitor carry."""
        return self.tokens.token(self.cookie, self.visitor.name)

    def may(self, role: Role) -> bool:
        """Whether the visitor may do what needs this role."""
        return self.visitor.role >= role

    def under(self, path: str) -> bool:
        """Whether this page belongs to that tab."""
        return UNDER.get(self.request.path, self.request.path) == path

    def url(self, path: str, **parameters: object) -> str:
        """The address of a page, wherever the dashboard is mounted. Long names stand there shortened."""
        return self._address(path, _shortened(parameters))

    def _address(self, path: str, parameters: Mapping[str, object]) -> str:
        return address(self.request.root_path.rstrip("/"), path, parameters)

    def named(self, parameter: str, names: Callable[[], Iterable[str]], what: str) -> str:
        """The name that a parameter of the address says.

        Args:
            parameter: which.
            names: gives those that there are.
            what: it is of, in a word.

        Raises:
            Refused: the address has none, or there is none (any more) like that.
        """
        if parameter not in self.query:
            raise Refused(HTTPStatus.BAD_REQUEST, f"Which {what}? The address names none.")
        found = whole(self.query.get(parameter), names)
        if found is None:
            raise Refused(HTTPStatus.GONE, f"There is no such {what} any more. Nothing was changed.")
        return found

    def here(self, **changed: object) -> str:
        """The address of this page, with some parameters changed; None takes one out."""
        # An empty field of a form says nothing; but a queue may have no name, and a list without one is the common one.
        kept = {name: self.query.get(name) for name in self.query if self.query.get(name) or name in _NAMES}
        # What it has of a long name is a digest already: one of that would mean nothing.
        kept |= {name: short(said) for name, said in kept.items() if name in _NAMES and len(said) > LONG}
        return self._address(self.request.path, {**kept, **_shortened(changed)})

    def render(self, name: str, /, *, status: HTTPStatus = HTTPStatus.OK, **values: object) -> Response:
        """A page made of a template, or of it what a live page needs."""
        said = None if self.live else self._said()
        text = template(name).render(visit=self, said=said, **self._frame(), **values)
        body = text.encode("utf-8", "backslashreplace")
        if self.live:
            return self._unless_unchanged(body)
        answer = Response(body, status, content_type="text/html; charset=utf-8")
        if SAID in self.request.cookies:
            answer.delete_cookie(SAID, path=self.cookie_path, httponly=True, samesite="Strict")
        return answer

    def _frame(self) -> Mapping[str, object]:
        """What stands around every page. A broker that is away hides no page that says so."""
        around: dict[str, object] = {
            "failed_count": 0, "place": "", "version": _version(), "tabs": _tabs(self),
            "nameless": self.request.path in _SHOWS_ARGUMENTS and not any(True for _ in self.app.registry),
        }  # fmt: skip
        if self.away:
            return around
        with suppress(TaskqError):
            around |= {"failed_count": self.app.failures.count(), "place": self._place()}
        return around

    def _place(self) -> str:
        broker = self.app.broker
        namespace = self.app.config.namespace
        return f"{broker.address} · {namespace}" if broker.name == "redis" and namespace else broker.address

    def back(self, said: str, path: str, /, *, wrong: bool = False, **parameters: object) -> Response:
        """After an action: go on to a page, which shows what was done."""
        sealed = self.tokens.sealed(json.dumps([said[:1500], wrong]))
        answer = Response(status=HTTPStatus.SEE_OTHER, headers={"Location": self.url(path, **parameters)})
        answer.set_cookie(
            SAID, sealed.encode("utf-8", "backslashreplace").hex(), max_age=60, path=self.cookie_path,
            secure=self.request.is_secure, httponly=True, samesite="Strict",
        )  # fmt: skip
        return answer

    def text(self, text: str, *, status: HTTPStatus = HTTPStatus.OK, kind: str = "text/plain") -> Response:
        """Plain text, or what is made of it."""
        return Response(text.encode("utf-8", "backslashreplace"), status, content_type=f"{kind}; charset=utf-8")

    def as_json(self, value: Mapping[str, object], *, status: HTTPStatus = HTTPStatus.OK) -> Response:
        """JSON for programs."""
        return self.text(json.dumps(value, indent=2, ensure_ascii=True) + "\n", status=status, kind="application/json")

    @property
    def cookie_path(self) -> str:
        """Where the cookies belong: to the dashboard alone."""
        return address(self.request.root_path.rstrip("/") or "/", "", {})

    def _said(self) -> tuple[str, bool] | None:
        try:
            sealed = bytes.fromhex(self.request.cookies.get(SAID, "")).decode()
            opened = self.tokens.opened(sealed)
            text, wrong = json.loads(opened or "null")
            return str(text), bool(wrong)
        except (ValueError, TypeError):
            return None

    def _unless_unchanged(self, body: bytes) -> Response:
        tag = hashlib.sha256(body).hexdigest()[:24]
        answer = Response(content_type="text/html; charset=utf-8")
        answer.set_etag(tag)
        if self.request.if_none_match.contains(tag):
            answer.status_code = HTTPStatus.NOT_MODIFIED
        else:
            answer.set_data(body)
        answer.headers["X-Taskq-Now"] = f"{self.clock:.3f}"
        return answer


def _shortened(parameters: Mapping[str, object]) -> dict[str, object]:
    return {
        key: short(str(value)) if key in _NAMES and value is not None else value for key, value in parameters.items()
    }


def _tabs(visit: Visit) -> Sequence[tuple[str, str, str]]:
    """The tabs that this visitor has: Resque's, in their order, and resque-scheduler's where the broker delays jobs."""
    hidden = set() if visit.may(Role.ALL) else {"/enqueue"}
    with suppress(TaskqError):
        if Capability.DELAY not in visit.app.broker.capabilities:
            hidden |= {"/schedule", "/delayed"}
    return [tab for tab in _TABS if tab[0] not in hidden]


@cache
def _version() -> str:
    return version("taskq")
