"""Charts, drawn here as SVG."""

from __future__ import annotations

__all__: list[str] = []
