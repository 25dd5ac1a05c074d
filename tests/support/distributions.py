"""Little distributions, as pip would have installed them: metadata and modules in a folder on `sys.path`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SitePackages:
    """A folder that distributions are installed into."""

    path: Path

    def install(
        self,
        name: str,
        version: str = "1.0",
        *,
        entry_points: Mapping[str, Sequence[str]],
        modules: Mapping[str, str] | None = None,
        requires: Sequence[str] = (),
    ) -> None:
        """Install a distribution.

        Args:
            name: its name.
            version: its version.
            entry_points: lines as `name = module:object`, by namespace.
            modules: the source of each module.
            requires: its requirements, as `Requires-Dist` has them.
        """
        info = self.path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
        (info / "METADATA").write_text("\n".join(metadata) + "\n")
        groups = [f"[{namespace}]\n" + "\n".join(lines) for namespace, lines in entry_points.items()]
        (info / "entry_points.txt").write_text("\n\n".join(groups) + "\n")
        for module, source in (modules or {}).items():
            (self.path / f"{module}.py").write_text(source)
