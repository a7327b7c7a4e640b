"""Whose object it is: an object that another environment has applied is not taken over, and nothing of it is shown."""

from __future__ import annotations

from engine.errors import SlipwayError
from engine.types import ENVIRONMENT_LABEL, OBJECT_ANNOTATION, Json, Manifest


def check_owner(manifest: Manifest, live: Json) -> None:
    """Raises SlipwayError when the live object belongs to another environment. A copy of an object of another environment,
    whose annotation names the original, belongs to nobody."""
    metadata = live["metadata"]
    theirs = (metadata.get("labels") or {}).get(ENVIRONMENT_LABEL)
    ours = (manifest.body["metadata"].get("labels") or {}).get(ENVIRONMENT_LABEL)
    if not theirs or theirs == ours:
        return
    if (metadata.get("annotations") or {}).get(OBJECT_ANNOTATION) != str(manifest.ref):
        return
    raise SlipwayError(
        f"{manifest.ref.kind} {manifest.ref.name} belongs to another environment of this cluster.",
        hint=f"Choose another name. If that environment no longer exists, remove the object's label {ENVIRONMENT_LABEL}.",
    )
