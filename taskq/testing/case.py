"""The kit for `unittest`."""

from __future__ import annotations

import unittest
from typing import ClassVar

from taskq.testing.queue import Leftover, Mode, Queue
from taskq.testing.stores import NoStore
from taskq.testing.swap import swapped

__all__ = ["QueueMixin", "QueueTestCase"]


class QueueMixin(unittest.TestCase):
    """Each test has its own backend, empty, and looks at it by `self.queue`.

    For a test case of another kind, Django's for instance, put it first: `class MailTest(QueueMixin, TestCase)`.

    Attributes:
        queue: the queues of the application under test.
        taskq_mode: see `swapped`.
        taskq_backend: see `swapped`. Where no store of it can be had, the test is skipped with the reason.
        taskq_leftover: see `swapped`.
    """

    queue: Queue
    taskq_mode: ClassVar[Mode] = "queued"
    taskq_backend: ClassVar[object] = "memory"
    taskq_leftover: ClassVar[Leftover] = "ignore"

    def setUp(self) -> None:
        """Swap the backend; undone after the test's own `tearDown` and its clean-ups."""
        try:
            if "queue" not in vars(self):  # else pytest's fixture has swapped it, as the class says
                self.queue = self.enterContext(
                    swapped(mode=self.taskq_mode, backend=self.taskq_backend, leftover=self.taskq_leftover)
                )
                self.queue.test = self.id()  # a warning of unittest's says no test's name
        except NoStore as why:
            self.skipTest(str(why))
        super().setUp()


class QueueTestCase(QueueMixin):
    """A test case whose tests have their own backend; see `QueueMixin`."""
