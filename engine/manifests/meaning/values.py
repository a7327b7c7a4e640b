"""Single values in words: images by their tags, quantities in one unit, short texts as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from engine.manifests.images import ImageReference, parse_reference
from engine.manifests.meaning.leaves import MISSING, Leaf, Path
from engine.manifests.meaning.quantities import of_bytes, of_cores
from engine.manifests.meaning.words import Meaning, plain_words, quotable

LONGEST_TAG = 40  # characters of a tag that are shown


def in_words(made: Meaning, leaf: Leaf, prefix: Path) -> Meaning | None:
    """The meaning with the values of its only leaf, where they may be quoted; `prefix`: the path of what it names. None where
    both are the same quantity. Values of keys are never quoted: they may be secret."""
    if made.what == "key" or (made.what == "env" and leaf.path[-1] != "value"):
        return made
    if made.what in ("port", "probe") and made.change != "changed":
        return made
    return _RULES.get(made.what, _quoted)(made, leaf, prefix)


def _of_image(made: Meaning, leaf: Leaf, prefix: Path) -> Meaning:
    before, after = _image(leaf.before), _image(leaf.after)
    if before is None or after is None or before.repository != after.repository:
        return replace(made, before=short_image(before), after=short_image(after))
    if before.tag != after.tag and before.tag and after.tag:
        return replace(made, before=_tag(before), after=_tag(after))
    return replace(made, before=_tag(before) + _digest(before), after=_tag(after) + _digest(after))


def _image(value: Any) -> ImageReference | None:
    return None if value is MISSING else parse_reference(str(value))


def short_image(image: ImageReference | None) -> str:
    """`web:e8613d3`: without the registry, and with the digest only where there is no tag."""
    if image is None:
        return ""
    name = image.repository.rpartition("/")[2][:LONGEST_TAG]
    return f"{name}:{_tag(image)}" if image.tag else f"{name}{_digest(image)}"


def _tag(image: ImageReference) -> str:
    return image.tag[:LONGEST_TAG]


def _digest(image: ImageReference) -> str:
    return f"@{image.digest.partition(':')[2][:7]}" if image.digest else ""


def _of_quantity(made: Meaning, leaf: Leaf, prefix: Path) -> Meaning | None:
    values = [value for value in (leaf.before, leaf.after) if value is not MISSING]
    if any(quotable(value) is None for value in values):
        return made
    texts, unit = (of_cores if made.what == "cpu" else of_bytes)(*values)
    if len(texts) == 1:
        return replace(_set(made, leaf, texts[0]), unit=unit)
    return replace(made, before=texts[0], after=texts[1], unit=unit) if texts[0] != texts[1] else None


def _set(made: Meaning, leaf: Leaf, text: str) -> Meaning:
    return replace(made, before=text) if leaf.after is MISSING else replace(made, after=text)


def _quoted(made: Meaning, leaf: Leaf, prefix: Path) -> Meaning:
    """With the values, where they are short; a value below the named field is named, too."""
    texts = [quotable(value) if value is not MISSING else "" for value in (leaf.before, leaf.after)]
    if len(leaf.path) > len(prefix) and made.what in ("field", "probe"):
        made = replace(made, name=f"{made.name} {plain_words(leaf.path[-1])}")
    if None in texts:
        return made
    return replace(made, before=texts[0] or "", after=texts[1] or "")


_RULES: Mapping[str, Callable[[Meaning, Leaf, Path], Meaning | None]] = {
    "image": _of_image,
    "memory": _of_quantity,
    "cpu": _of_quantity,
    "storage": _of_quantity,
}
