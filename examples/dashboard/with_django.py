"""The dashboard in a Django project, below /ops/taskq/, behind Django's login. A project in one file.

python with_django.py       then http://127.0.0.1:8000/
"""

import os

import django
from django.conf import settings

settings.configure(
    SECRET_KEY=os.environ.get("SECRET_KEY", "for this example only"),
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    DEBUG=False,
    USE_TZ=True,
    LOGIN_URL="/login/",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("SITE_DB", "site.sqlite3")}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import include, path  # noqa: E402

import taskq_web.django  # noqa: E402

urlpatterns = [
    path("", lambda request: HttpResponse("The dashboard is at /ops/taskq/.")),
    # Superusers may do everything, other staff look; role=... says otherwise.
    path("ops/taskq/", include(taskq_web.django.urls())),
]

application = get_wsgi_application()

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(["with_django.py", "migrate"])
    execute_from_command_line(["with_django.py", "runserver", "8000", "--noreload"])
