"""The table at the end of the long form: each fault, in each way to run jobs, and how it went."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest

TITLES = {
    1: "kill -9 at random moments, under load",
    2: "a child that dies by any means",
    3: "a crash at every single command",
    4: "a crash between end and settling",
    5: "the orphan on an idle queue",
    6: "alive, but cannot beat",
    7: "a job that kills its worker each time",
    8: "the server killed under load",
    9: "CLIENT KILL of every connection",
    10: "away at the start, and at enqueue",
    11: "read-only, full, of the wrong type",
    12: "SCRIPT FLUSH under load",
    13: "a network that cuts, delays, splits, drops",
    14: "TERM, INT, QUIT, once and twice; deploys",
    15: "bytes that are not JSON",
    16: "JSON of a wrong shape",
    17: "unknown, renamed, wrong arguments",
    18: "far too much",
    19: "payloads that name what must not run",
    22: "secrets",
    23: "races",
    24: "clocks apart, and jumping",
    25: "a soak (make soak)",
    26: "two pid namespaces, one host name",
    27: "Ruby's scheduler beside taskq's",
    28: "kill -9 of parent or supervisor alone",
    29: "signals to a group, to a child; pid 1",
}


class Tally:
    """Hears every report, on the process that all of them reach."""

    def __init__(self, seed: str, models: Sequence[str]) -> None:
        self._seed = seed
        self._models = models
        self._outcomes: defaultdict[tuple[int, str], Counter[str]] = defaultdict(Counter)
        self._kills: Counter[str] = Counter()

    def pytest_report_header(self) -> str:
        return f"TASKQ_SEED={self._seed}"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        said = dict(report.user_properties)
        numbers, model = said.get("fault"), said.get("model")
        if not isinstance(numbers, list) or not isinstance(model, str):
            return
        for number in numbers:
            self._outcomes[number, model][report.outcome] += 1
        kills = said.get("kills")
        if report.passed and isinstance(kills, int):
            self._kills[model] += kills

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        lines = list(self.table())
        if not lines:
            return
        terminalreporter.write_sep("=", f"the faults, TASKQ_SEED={self._seed}")
        for line in lines:
            terminalreporter.write_line(line)

    def table(self) -> list[str]:
        """Its lines; none where no report was about a fault."""
        models = [model for model in self._models if any(of == model for _, of in self._outcomes)]
        rows = [
            [f"{number:2} {title}", *(self._cell(number, model) for model in models)]
            for number, title in TITLES.items()
            if any(of == number for of, _ in self._outcomes)
        ]
        if not rows:
            return []
        if self._kills:
            rows.append(["   kills at random moments", *(str(self._kills[model] or "") for model in models)])
        head = ["fault", *models]
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
        return [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in [head, *rows]
        ]

    def _cell(self, number: int, model: str) -> str:
        counts = self._outcomes.get((number, model))
        if counts is None:
            return ""
        if bad := counts["failed"]:
            return f"FAILED {bad} of {counts.total()}"
        return f"{counts['passed']} ok" if counts["passed"] else "skipped"
