"""taskq_web: a dashboard that shows and steers queues, workers and failures; `taskq web` serves it.

It is a WSGI application, made of the public names of taskq alone, so it works on every backend:

    from taskq_web import Dashboard, Role, Visitor

    dashboard = Dashboard(access=lambda environ: Role.READ)
"""

from __future__ import annotations

from taskq_web.access import Access, Account, BasicAuth, Role, Visitor, everybody, this_machine
from taskq_web.dashboard import Dashboard

__all__ = ["Access", "Account", "BasicAuth", "Dashboard", "Role", "Visitor", "everybody", "this_machine"]
