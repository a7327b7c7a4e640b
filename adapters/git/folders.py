"""The folders of mirrors: how large they are, links between them, and removing those that nobody uses."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path


def size_of(folder: Path) -> int:
    """The bytes of all files below a folder. Files that go away meanwhile do not count."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(place, name)).st_size
    return size


def link_objects(source: Path, target: Path) -> None:
    """Links the objects and packs of one mirror into another; what cannot be linked is fetched. A pack comes before its
    index, so that no index names a pack that is not there."""
    loose = source.glob("[0-9a-f][0-9a-f]/*")
    packs = [path for end in ("pack", "idx") for path in sorted((source / "pack").glob(f"pack-*.{end}"))]
    for path in [*loose, *packs]:
        place = target / path.parent.name / path.name
        if path.suffix == ".idx" and not place.with_suffix(".pack").exists():
            continue
        place.parent.mkdir(exist_ok=True)
        with contextlib.suppress(OSError):
            os.link(path, place)


def remove_unused(folder: Path, *, used: set[str], older_than: float) -> list[str]:
    """Removes the mirrors that no project uses any more, e.g. after its credential changed, once they have not been fetched
    for `older_than` seconds. `used`: names of directories. Returns the removed names."""
    removed = []
    for path in sorted(folder.glob("*.git")):
        stamps = [stamp.stat().st_mtime for stamp in (path / "slipway").glob("*") if stamp.is_file()]
        newest = max([path.stat().st_mtime, *stamps])
        if path.name not in used and newest < time.time() - older_than:
            shutil.rmtree(path, ignore_errors=True)
            path.with_suffix(".lock").unlink(missing_ok=True)
            removed.append(path.name)
    return removed
