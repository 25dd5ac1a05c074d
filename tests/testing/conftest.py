"""The application whose backend these tests swap."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import taskq
from tests.testing import jobs


@pytest.fixture(scope="module", autouse=True)
def application() -> Iterator[taskq.TaskQ]:
    with taskq.TaskQ(broker="memory://", registry=jobs.REGISTRY) as app, taskq.using(app):
        yield app


@pytest.fixture(autouse=True)
def sent() -> list[str]:
    jobs.SENT.clear()
    jobs.GATE.clear()
    return jobs.SENT
