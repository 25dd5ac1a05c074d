"""The dashboard in a Django project, behind Django's own login: `path("taskq/", include(taskq_web.django.urls()))`.

A view, and no middleware: Django's session says who asks, and `role` what they may do. It runs under WSGI and ASGI.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings  # type: ignore[import-untyped]
from django.contrib.auth.views import redirect_to_login  # type: ignore[import-untyped]
from django.core.exceptions import PermissionDenied  # type: ignore[import-untyped]
from django.http import HttpResponse  # type: ignore[import-untyped]
from django.urls import re_path  # type: ignore[import-untyped]
from django.views.decorators.csrf import csrf_exempt  # type: ignore[import-untyped]

from taskq_web.access import Role, Visitor
from taskq_web.dashboard import Dashboard
from taskq_web.visit import LIVE

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from django.http import HttpRequest

    from taskq import TaskQ

__all__ = ["urls"]

_VISITOR: Final = "taskq_web.visitor"
_LIVE: Final = f"HTTP_{LIVE.upper().replace('-', '_')}"


def superusers(request: HttpRequest) -> Role | None:
    """What a visitor may do where a project says nothing else: superusers everything, other staff look."""
    user: Any = request.user
    if not (user.is_active and user.is_staff):
        return None
    return Role.ALL if user.is_superuser else Role.READ


def urls(
    app: TaskQ | None = None,
    *,
    role: Callable[[HttpRequest], Role | None] = superusers,
    read_only: bool = False,
    origins: Collection[str] = (),
) -> list[Any]:
    """The URL patterns to include, under whatever path.

    Args:
        app: the application; None is the one in force.
        role: what the visitor of a request may do; None sends whoever is not signed in to the login page, and refuses
            the others.
        read_only: whether nobody may change anything.
        origins: further origins that its pages may be at, `https://jobs.example.com`, where a proxy does not say so.
    """
    dashboard = Dashboard(app, access=_visitor, read_only=read_only, secret=settings.SECRET_KEY, origins=origins)

    def view(request: HttpRequest, path: str) -> HttpResponse:
        if path == "health":  # for probes, which sign in nowhere
            return _answer(dashboard, _environ(request, "/health", None))
        allowed = role(request)
        if allowed is None:
            if request.user.is_authenticated:
                raise PermissionDenied("You may not look at the dashboard.")
            if _LIVE in request.META:  # a page that brings itself up to date has no use for another one
                return HttpResponse("Sign in.\n", status=401, content_type="text/plain; charset=utf-8")
            return redirect_to_login(request.get_full_path())
        visitor = Visitor(allowed, request.user.get_username())
        return _answer(dashboard, _environ(request, f"/{path}", visitor))

    # Its forms have tokens of their own, which need no session.
    return [re_path(r"^(?P<path>.*)$", csrf_exempt(view), name="taskq_dashboard")]


def _visitor(environ: WSGIEnvironment) -> Visitor | None:
    found = environ.get(_VISITOR)
    return found if isinstance(found, Visitor) else None


def _environ(request: HttpRequest, path: str, visitor: Visitor | None) -> WSGIEnvironment:
    # WSGI's paths are bytes, written as Latin-1.
    whole = request.path.encode().decode("latin-1")
    path = path.encode().decode("latin-1")
    root = whole.removesuffix(path) if whole.endswith(path) else whole.rstrip("/")
    body = request.body
    return {
        **request.META,
        "HTTP_HOST": request.get_host(),  # as a proxy said it, where the project trusts one
        "SCRIPT_NAME": root,
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
        "wsgi.url_scheme": request.scheme,
        _VISITOR: visitor,
    }


def _answer(dashboard: Dashboard, environ: WSGIEnvironment) -> HttpResponse:
    answer = HttpResponse()

    def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], object]:
        answer.status_code = int(status.split(" ", 1)[0])
        del answer["Content-Type"]
        for name, value in headers:
            if name.lower() == "set-cookie":
                answer.cookies.load(value)
            elif name.lower() == "vary" and name in answer:
                answer[name] += f", {value}"
            elif name.lower() != "content-length":
                answer[name] = value
        write: Callable[[bytes], object] = answer.write
        return write

    parts: Iterable[bytes] = dashboard(environ, start)
    answer.content = b"".join(parts)
    close = getattr(parts, "close", None)
    if close is not None:
        close()
    return answer
