"""The dashboard in a Starlette application, below /taskq; in FastAPI it is the same `app.mount(...)`.

uvicorn with_starlette:app        then http://127.0.0.1:8000/
"""

from a2wsgi import WSGIMiddleware
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from taskq_web import Dashboard, Role, Visitor


async def home(request):
    return PlainTextResponse("The dashboard is at /taskq/.")


def who(environ):
    """Asked at each request. A gateway in front has signed people in, and says so in a header that only it can set."""
    user = environ.get("HTTP_X_REMOTE_USER")
    return Visitor(Role.ALL if user == "ada" else Role.READ, user) if user else None


dashboard = WSGIMiddleware(Dashboard(access=who), workers=4)

app = Starlette(routes=[Route("/", home), Mount("/taskq", app=dashboard)])
