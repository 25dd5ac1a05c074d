"""The dashboard in a Flask application, below /taskq, behind the application's own login.

python with_flask.py        then http://127.0.0.1:8000/
"""

import os

from flask import Flask, redirect, request, session
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import taskq
from taskq_web import Dashboard, Role, Visitor

STAFF = {"ada": Role.ALL, "grace": Role.RETRY, "edsger": Role.READ}


@taskq.job(queue="emails")
def send_welcome(to: str) -> None:
    """Send the first email."""


app = Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY", "for this example only")


@app.get("/")
def home() -> str:
    return f"Hello {session.get('user', 'stranger')}. The dashboard is at /taskq/."


@app.post("/sign-in")
def sign_in():
    session["user"] = request.form["user"]  # after a look at the password, in an application
    return redirect("/taskq/")


@app.post("/sign-up")
def sign_up() -> str:
    send_welcome.enqueue(request.form["email"])
    return "Welcome.\n"


def who(environ):
    """Asked at each request: who is this, and what may they do? The answer None turns them away."""
    with app.request_context(environ):
        user = session.get("user")
    return Visitor(STAFF[user], user) if user in STAFF else None


app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/taskq": Dashboard(access=who, secret=app.secret_key)})

if __name__ == "__main__":
    app.run(port=8000)
