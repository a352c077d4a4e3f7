"""Hatch metadata hook: resolve sibling packages from the checkout when there is one, by version otherwise.

Set ``REAL3D_SIBLINGS=name`` to get plain version requirements (editable installs of all packages at once, wheels for an index).
"""

import os
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface


class SiblingDependencies(MetadataHookInterface):
    """Fill ``project.dependencies`` with third-party requirements plus sibling packages."""

    def update(self, metadata: dict) -> None:
        """Write ``dependencies`` from the hook's own ``dependencies`` and ``siblings`` lists."""
        siblings = [self._requirement(sibling, metadata["version"]) for sibling in self.config["siblings"]]
        metadata["dependencies"] = [*self.config.get("dependencies", []), *siblings]

    def _requirement(self, sibling: str, version: str) -> str:
        folder = Path(self.root).parent / sibling
        by_path = os.environ.get("REAL3D_SIBLINGS", "path") == "path" and (folder / "pyproject.toml").is_file()
        return f"real3d-{sibling} @ {folder.as_uri()}" if by_path else f"real3d-{sibling}=={version}"
