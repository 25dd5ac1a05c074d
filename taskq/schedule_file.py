"""The file of recurring jobs: YAML, with resque-scheduler's keys. All that is wrong in it is said at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from taskq.errors import ConfigurationError, Problem
from taskq.schedule_entry import Schedule, WrongSchedule, decode, misspelt

__all__ = ["read"]


def read(path: Path, check: Callable[[Schedule], None]) -> Sequence[Schedule]:
    """The recurring jobs that a file says, in its order.

    Args:
        path: the file.
        check: raises WrongSchedule where one can never be enqueued.

    Raises:
        ConfigurationError: it cannot be read, or all that is wrong in it.
    """
    source = str(path)
    try:
        import yaml
    except ImportError:
        message = 'A schedule file needs the package PyYAML: pip install "taskq[scheduler]".'
        raise ConfigurationError([Problem("schedule", source, message)]) from None
    try:
        entries = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise ConfigurationError([Problem("schedule", source, f"it cannot be read: {error.strerror}.")]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        message = f"it is no YAML: {' '.join(str(error).split())}"
        raise ConfigurationError([Problem("schedule", source, message)]) from None
    if entries is None:
        return ()
    if not isinstance(entries, dict):
        message = f"it holds a {type(entries).__name__}, where each key is a name and each value says cron or every."
        raise ConfigurationError([Problem("schedule", source, message)])
    found, problems = [], []
    for name, entry in entries.items():
        try:
            schedule = decode(name, entry)
            if slip := misspelt(schedule):
                raise WrongSchedule(slip)
            check(schedule)
            found.append(schedule)
        except WrongSchedule as wrong:
            problems.append(Problem("schedule", source, f"{name}: {wrong}"))
    if problems:
        raise ConfigurationError(problems)
    return found
