"""`taskq doctor`: checks the set-up, and says what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

import click

from taskq.cli.endings import DONE, NOT_REACHED, SOME_FAILED, USAGE, WITHOUT_A_SERVER
from taskq.cli.output import Style, complain, json_option, on_terminal, say, show, show_json
from taskq.cli.session import common, examples, the_session
from taskq.inspection import Finding

__all__ = ["doctor"]

_STYLES: Final[Mapping[str, Style]] = {"ok": "good", "warning": "doubtful", "error": "bad"}


@click.command(epilog=examples("taskq doctor --app shop.jobs", "taskq doctor --json"))
@common
@json_option
def doctor(as_json: bool) -> int:
    """Check the set-up: the broker and what it keeps, clocks, plugins, workers, queues, jobs, failures.

    In a pipe: level, what was looked at, what was found, what to do, with tabs between. It ends with 1 where something
    is an error, with 69 where the broker does not answer, with 2 where it refuses.
    """
    session = the_session()
    seen: Counter[str] = Counter()
    code = DONE
    for finding in session.application().operator.doctor():
        seen[finding.level] += 1
        if finding.level == "error":
            code = {"broker": NOT_REACHED, "access": USAGE}.get(finding.check, code or SOME_FAILED)
        if as_json:
            record = {"level": finding.level, "check": finding.check, "said": finding.said}
            show_json("finding/1", {**record, "advice": finding.advice or None})
        else:
            _show(finding)
    if not as_json and on_terminal():
        bad = [f"{count} {level}{'s' if count > 1 else ''}" for level, count in seen.items() if level != "ok"]
        say("")
        say(f"{', '.join(bad)}." if bad else "All is well.")
    if code == NOT_REACHED and not session.broker_is_said:
        complain(WITHOUT_A_SERVER)
    return code


def _show(finding: Finding) -> None:
    if not on_terminal():
        show((), [(finding.level, finding.check, finding.said, finding.advice)])
        return
    say((finding.level.ljust(8), _STYLES[finding.level]), f" {finding.check.ljust(12)} {finding.said}")
    if finding.advice and finding.level != "ok":
        say(" " * 22, (finding.advice, "dim"))
