"""The title of the process, as `ps` shows it. Ruby's pruner reads it: a worker whose title does not match is pruned.

It looks for `resque-[0-9]`, so titles are `resque-3 taskq: ...` (WIRE.md sections 3 and 8).
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["setter", "text"]


def text(prefix: str, what: str) -> str:
    """A title that keeps this process alive in the eyes of Ruby's pruner."""
    return f"{prefix}resque-3 taskq: {what}"


def setter() -> tuple[Callable[[str], None] | None, str]:
    """What sets the title; or None, and why it cannot be set."""
    try:
        import setproctitle
    except ImportError as error:
        return None, f"setproctitle cannot be imported ({error})"
    setproctitle.setproctitle(text("", "Starting"))
    if text("", "") not in setproctitle.getproctitle():
        return None, "the system keeps the title it was started with"
    return setproctitle.setproctitle, ""
