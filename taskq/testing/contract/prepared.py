"""What the contracts need before they are imported: the packages, and pytest's explanation of a failed assert."""

from __future__ import annotations

try:
    import hypothesis  # noqa: F401
    import pytest
except ModuleNotFoundError as missing:
    if missing.name not in {"hypothesis", "pytest"}:
        raise
    raise ModuleNotFoundError(
        f'taskq.testing.contract needs the package {missing.name}: pip install "taskq[testing]".', name=missing.name
    ) from None

__all__: list[str] = []

# pytest rewrites the asserts of test modules only, and of those that it hears of before they are imported.
for _module in ("alongside", "broker", "failure_handler", "hook", "serializer"):
    pytest.register_assert_rewrite(f"taskq.testing.contract.{_module}")
