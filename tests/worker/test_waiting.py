"""Waiting for descriptors."""

from __future__ import annotations

import math
import os
import resource
import time
from collections.abc import Iterator

import pytest

from taskq.worker.waiting import readable


@pytest.fixture
def pipes() -> Iterator[list[tuple[int, int]]]:
    made = [os.pipe() for _ in range(3)]
    yield made
    for pair in made:
        for fd in pair:
            try:
                os.close(fd)
            except OSError:
                pass  # the test did


class TestReadable:
    def test_waits_for_as_long_as_it_takes_where_nothing_is_due(self, pipes: list[tuple[int, int]]) -> None:
        os.close(pipes[0][1])
        assert readable([pipes[0][0]], math.inf) == {pipes[0][0]}

    def test_waits_for_longer_than_the_system_knows_how(self, pipes: list[tuple[int, int]]) -> None:
        os.close(pipes[0][1])
        assert readable([pipes[0][0]], 1e12) == {pipes[0][0]}

    def test_has_those_that_can_be_read(self, pipes: list[tuple[int, int]]) -> None:
        os.write(pipes[1][1], b"!")
        assert readable([reader for reader, _ in pipes], 60.0) == {pipes[1][0]}

    def test_has_one_whose_other_end_is_closed(self, pipes: list[tuple[int, int]]) -> None:
        os.close(pipes[2][1])
        assert readable([reader for reader, _ in pipes], 60.0) == {pipes[2][0]}

    def test_has_one_that_takes_something_where_it_is_asked(self, pipes: list[tuple[int, int]]) -> None:
        (reader, writer), (_, full), _ = pipes
        os.set_blocking(full, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(full, bytes(4096))
        assert readable([reader], 60.0, writing=[writer, full]) == {writer}

    def test_has_one_whose_reader_is_gone(self, pipes: list[tuple[int, int]]) -> None:
        reader, writer = pipes[0]
        os.close(reader)
        assert readable([], 60.0, writing=[writer]) == {writer}

    @pytest.mark.parametrize("seconds", [0.0, -1.0])
    def test_looks_only_where_there_is_no_time(self, pipes: list[tuple[int, int]], seconds: float) -> None:
        assert readable([pipes[0][0]], seconds) == set()

    def test_waits_no_shorter_than_it_was_told(self, pipes: list[tuple[int, int]]) -> None:
        """A wait that ends a moment early makes the caller spin until its time has come."""
        began = time.monotonic()
        readable([pipes[0][0]], 0.0105)
        assert time.monotonic() - began >= 0.0105

    def test_knows_descriptors_over_1023(self, pipes: list[tuple[int, int]]) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < 2000:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2000), hard))
        high = os.dup2(pipes[0][0], 1999)
        try:
            os.write(pipes[0][1], b"!")
            assert readable([high], 60.0) == {high}
        finally:
            os.close(high)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
