"""Which secrets a Dockerfile mounts. Pure."""

from __future__ import annotations

import re
from posixpath import basename

_MOUNT = re.compile(r"--mount=(\S+)")


def secret_ids(dockerfile: str) -> list[str]:
    """The ids of `RUN --mount=type=secret,…`, in their order. Without `id` the name of the target counts, as for BuildKit."""
    found: list[str] = []
    for match in _MOUNT.finditer(dockerfile):
        parts = dict(part.partition("=")[::2] for part in match[1].strip("\"'").split(","))
        if parts.get("type") == "secret":
            target = parts.get("target") or parts.get("dst") or parts.get("destination") or ""
            found.append(parts.get("id") or basename(target))
    return list(dict.fromkeys(name for name in found if name))
