"""The dashboard: a WSGI application that mounts anywhere.

A request goes through the same steps whatever it asks for: is there such an address, may this visitor come in, does a
POST come from our own page with our own token, may this visitor do that. Only then a page's function is called.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Collection, Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from werkzeug.exceptions import HTTPException, UnsupportedMediaType
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Request, Response

from taskq import BrokerError, BrokerRefused, BrokerUnavailable, ConfigurationError, NotSupported, TaskQ, current_app
from taskq_web import assets
from taskq_web.access import Access, BasicAuth, Role, Visitor, accounts, this_machine
from taskq_web.parameters import Parameters
from taskq_web.routes import PATHS, Method, Route
from taskq_web.security import COOKIE, HEADERS, Tokens, foreign, is_cookie, new_cookie
from taskq_web.sights import Sights
from taskq_web.visit import Refused, Visit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Dashboard"]

_log: Final = logging.getLogger("taskq.web")

_MOST_BYTES: Final = 4 * 1024 * 1024
_FORM: Final = "application/x-www-form-urlencoded"
_FOR_PROGRAMS: Final = frozenset({"/stats.txt", "/stats.json", "/metrics"})
_YEAR: Final = 365 * 24 * 3600


class Dashboard:
    """Pages that show and steer an application's queues, workers and failures. Safe to use from several threads.

    Args:
        app: the application; None is the one in force at each request.
        access: asked at each request who the visitor is; None is basic authentication where TASKQ_WEB_AUTH (or
            TASKQ_WEB_AUTH_RETRY, TASKQ_WEB_AUTH_READ) is set, and else nobody but this machine.
        read_only: whether nobody may change anything, whatever `access` says.
        secret: what forms' tokens are made with; None is TASKQ_WEB_SECRET, and without that a random one. Several
            processes that serve the same dashboard need the same one.
        proxies: how many proxies in front of it are trusted to say who asked, by which name and below which prefix
            (X-Forwarded-For, -Proto, -Host, -Prefix).
        origins: further origins that its pages may be at, `https://jobs.example.com`, where a proxy does not say so.

    Raises:
        ConfigurationError: what the environment says cannot be.
    """

    def __init__(
        self,
        app: TaskQ | None = None,
        *,
        access: Access | None = None,
        read_only: bool = False,
        secret: str | None = None,
        proxies: int = 0,
        origins: Collection[str] = (),
    ) -> None:
        self._app = app
        self._access = _by_environment(os.environ) if access is None else access
        self._read_only = read_only
        secret = os.environ.get("TASKQ_WEB_SECRET") if secret is None else secret
        self._tokens = Tokens(secret.encode() if secret else secrets.token_bytes(32))
        self._sights = Sights()
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._ailing = False
        self._answer: WSGIApplication = self._answered
        if proxies:
            self._answer = ProxyFix(self._answered, x_for=proxies, x_proto=proxies, x_host=proxies, x_prefix=proxies)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        return self._answer(environ, start_response)

    def _answered(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        request.max_content_length = _MOST_BYTES
        response = self._respond(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.add("Vary", "Cookie, Authorization, X-Taskq-Live")
        return response(environ, start_response)

    def _respond(self, request: Request) -> Response:
        method: Method
        if str(request.environ.get("SCRIPT_NAME", "")).startswith(("//", "/\\")):
            return _bare(HTTPStatus.BAD_REQUEST, "The prefix that a proxy gave leads to another host.")
        if request.method in {"GET", "HEAD"}:
            method = "GET"
        elif request.method == "POST":
            method = "POST"
        else:
            return _bare(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and POST are understood.", Allow="GET, HEAD, POST")
        if method == "GET" and (asset := assets.find(request.path)) is not None:
            kept = {"Cache-Control": f"public, max-age={_YEAR}, immutable"}
            return Response(asset.body, content_type=asset.kind, headers=kept)
        if method == "GET" and request.path == "/health":
            return self._health()
        visitor = self._visitor(request)
        if visitor is None:
            return self._turned_away()
        cookie = request.cookies.get(COOKIE, "")
        fresh = not is_cookie(cookie)
        cookie = new_cookie() if fresh else cookie
        try:
            visit = self._visit(request, visitor, cookie, method)
            response = self._page(visit, method, fresh=fresh)
        except HTTPException as wrong:  # Werkzeug's: a body that is too large, or was cut off
            return _bare(HTTPStatus(wrong.code or 400), wrong.description or "This request cannot be read.")
        except ValueError:
            return _bare(HTTPStatus.BAD_REQUEST, "This request has thousands of fields.")
        if fresh:
            response.set_cookie(
                COOKIE, cookie, path=visit.cookie_path, secure=request.is_secure, httponly=True, samesite="Strict"
            )
        return response

    def _visitor(self, request: Request) -> Visitor | None:
        found = self._access(request.environ)
        if found is None:
            return None
        visitor = Visitor(found) if isinstance(found, Role) else found
        return Visitor(Role.READ, visitor.name) if self._read_only else visitor

    def _visit(self, request: Request, visitor: Visitor, cookie: str, method: Method) -> Visit:
        form = ""
        if method == "POST":
            if request.mimetype != _FORM:
                raise UnsupportedMediaType(f"A form is sent as {_FORM}.")
            form = request.get_data(cache=False).decode("ascii", "surrogateescape")
        return Visit(
            app=current_app() if self._app is None else self._app,
            request=request,
            visitor=visitor,
            cookie=cookie,
            tokens=self._tokens,
            query=Parameters(request.query_string.decode("ascii", "surrogateescape")),
            form=Parameters(form),
            sights=self._sights,
            read_only=self._read_only,
        )

    def _page(self, visit: Visit, method: Method, *, fresh: bool) -> Response:
        """What a page answers, or the page that says why not."""
        try:
            routes = PATHS.get(visit.request.path)
            if routes is None:
                raise Refused(HTTPStatus.NOT_FOUND, "There is no such page.")
            route = routes.get(method)
            if route is None:
                raise Refused(
                    HTTPStatus.METHOD_NOT_ALLOWED, f"This address takes {' and '.join(routes)}, not {method}."
                )
            self._check(visit, route, fresh=fresh)
            return route.handler(visit)
        except Refused as refused:
            return _refusal(visit, refused.status, refused.sentence, refused.advice)
        except NotSupported as missing:
            return _refusal(visit, HTTPStatus.NOT_IMPLEMENTED, str(missing))
        except BrokerUnavailable as away:
            visit.away = True
            return _refusal(visit, HTTPStatus.SERVICE_UNAVAILABLE, str(away), "This page tries again by itself.")
        except (BrokerRefused, BrokerError, ConfigurationError) as wrong:
            return _refusal(visit, HTTPStatus.SERVICE_UNAVAILABLE, str(wrong))
        except HTTPException:
            raise
        except Exception:
            _log.exception("%s %s failed", method, visit.request.path)
            return _refusal(
                visit,
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "This page failed, which is a mistake in taskq.",
                "The log of this process has the traceback, under taskq.web.",
            )

    def _check(self, visit: Visit, route: Route, *, fresh: bool) -> None:
        """Return where the visitor may do this, and where a POST is of our own page.

        Raises:
            Refused: not so, and why.
        """
        if route.method == "POST":
            headers = visit.request.headers
            own = {visit.request.host_url.rstrip("/").lower(), *self._origins}
            elsewhere = foreign(headers.get("Sec-Fetch-Site"), headers.get("Origin"), own)
            if elsewhere:
                raise Refused(
                    HTTPStatus.FORBIDDEN,
                    f"This was not sent by a page of this dashboard: {elsewhere}. Nothing was changed.",
                    advice="Behind a proxy that hides its own name, say which it is: taskq web --behind-proxy 1 where "
                    "it sends X-Forwarded-Host, else --origin https://jobs.example.com.",
                )
            if fresh or not self._tokens.fits(visit.form.get("token"), visit.cookie, visit.visitor.name):
                raise Refused(
                    HTTPStatus.FORBIDDEN,
                    "This form is not of this session. Nothing was changed.",
                    advice="Go back, load the page again, and repeat it. Where this happens often: several processes "
                    "serve the dashboard, and need one TASKQ_WEB_SECRET.",
                )
        if not visit.may(route.role):
            why = "The dashboard is read-only." if visit.read_only else f"It needs the role {route.role.word}; "
            yours = "" if visit.read_only else f"yours is {visit.visitor.role.word}."
            raise Refused(HTTPStatus.FORBIDDEN, f"You may not do this. {why}{yours} Nothing was changed.")

    def _turned_away(self) -> Response:
        if isinstance(self._access, BasicAuth):
            challenge = 'Basic realm="taskq", charset="UTF-8"'
            return _bare(HTTPStatus.UNAUTHORIZED, "Sign in.", **{"WWW-Authenticate": challenge})
        if self._access is this_machine:
            return _bare(
                HTTPStatus.FORBIDDEN,
                "Only this machine may look at the dashboard, by the name localhost or its address, and no proxy may "
                "stand between. For others, set TASKQ_WEB_AUTH=user:password, or give Dashboard(access=...).",
            )
        return _bare(HTTPStatus.FORBIDDEN, "You may not look at this.")

    def _health(self) -> Response:
        """Whether the broker answers: for probes, which sign in nowhere. It says nothing else."""
        try:
            (current_app() if self._app is None else self._app).broker.check()
        except Exception:
            if not self._ailing:  # probes ask every few seconds
                _log.warning("the broker does not answer", exc_info=True)
            self._ailing = True
            return _bare(HTTPStatus.SERVICE_UNAVAILABLE, "the broker does not answer")
        self._ailing = False
        return _bare(HTTPStatus.OK, "ok")


def _by_environment(environ: Mapping[str, str]) -> Access:
    known = accounts(environ)
    return BasicAuth(known) if known else this_machine


def _bare(status: HTTPStatus, sentence: str, **headers: str) -> Response:
    return Response(f"{sentence}\n", status, headers=headers, content_type="text/plain; charset=utf-8")


def _refusal(visit: Visit, status: HTTPStatus, sentence: str, advice: str = "") -> Response:
    if visit.request.path in _FOR_PROGRAMS:
        return _bare(status, sentence)
    answer = visit.render("refused.html", status=status, title=status, sentence=sentence, advice=advice)
    answer.status_code = status  # a live page hears it too
    return answer
