"""Which images of a build are in the registry, in words."""

from __future__ import annotations

from collections.abc import Sequence

from builds.models import BuiltImage

DONE = (BuiltImage.State.SUCCEEDED, BuiltImage.State.EXISTED)


def pushed_sentence(images: Sequence[BuiltImage]) -> str:
    """What was pushed so far, in a sentence. The hint of a build that failed ends with it."""
    done = [image.name for image in images if image.state in DONE]
    if not done:
        return "Nothing was pushed."
    verb = "is" if len(done) == 1 else "are"
    return f"{len(done)} of {len(images)} images {verb} in the registry ({', '.join(done)})."
