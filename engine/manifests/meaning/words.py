"""What a change of an object means, in words: `image 4e6908a → e8613d3`, `memory limit 256 → 320 Mi`, `restarts 3 pods`.

`reading.py` makes these from an object before and after. They hold no value of a Secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

What = Literal[
    "new", "runs", "image", "replicas", "memory", "cpu", "schedule", "suspended", "host", "port", "storage", "key",
    "env", "probe", "container", "field", "reads", "restarts", "marks", "same", "more",
]  # fmt: skip
Change = Literal["", "added", "removed", "changed"]
MOST_TOLD = 12  # meanings of one object
_COMMIT = re.compile(r"[0-9a-f]{40}")
LONGEST = 40  # characters of a value that is quoted; a longer one only “changed”
ORDER: Mapping[str, int] = {what: place for place, what in enumerate(What.__args__)}  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Meaning:
    """One change. `name`: of the variable, key, host, probe, field. `containers`: whose it is, where not the only container's.
    `before`, `after`: values that may be quoted, with `unit` behind them; both empty where only `change` is told.
    """

    what: What
    name: str = ""
    change: Change = ""
    before: str = ""
    after: str = ""
    unit: str = ""
    containers: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The change in words."""
        words = " ".join(_WORDS.get(self.what, _told)(self).split())
        return f"{', '.join(self.containers)}: {words}" if self.containers else words

    @property
    def order(self) -> tuple[int, tuple[str, ...], str, str]:
        """Where it stands among others: what matters most comes first."""
        return ORDER[self.what], self.containers, self.name, self.text

    @property
    def is_mark(self) -> bool:
        """Whether nothing but the portal's own marks change."""
        return self.what == "marks"


def in_order(meanings: list[Meaning]) -> tuple[Meaning, ...]:
    """Each once, in their order; of many the first ones, and how many more there are."""
    found = sorted(dict.fromkeys(meanings), key=lambda one: one.order)
    if len(found) <= MOST_TOLD:
        return tuple(found)
    kept = found[: MOST_TOLD - 1]
    return (*kept, Meaning("more", after=str(len(found) - len(kept))))


def quotable(value: object) -> str | None:
    """The value as it may be quoted: short, on one line, a commit by its beginning; None for all others. Those are never cut,
    because a part of a value would not be recognised as secret."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value) if isinstance(value, (str, int, float)) else ""
    if _COMMIT.fullmatch(text):
        return text[:7]
    return text if text and len(text) <= LONGEST and text.isprintable() else None


def plain_words(field: str) -> str:
    """`minReadySeconds` as `min ready seconds`; a name of another form as it is."""
    if not re.fullmatch(r"[a-z]+(?:[A-Z][a-z]+)+", field):
        return field[:LONGEST]
    return re.sub(r"([A-Z])", r" \1", field).lower()


def _told(one: Meaning) -> str:
    """`LOG_LEVEL info → debug`, `LOG_LEVEL added`."""
    name = one.name.strip() or "a field without a name"
    if one.before and one.after:
        return f"{name} {_pair(one)}"
    return f"{name} {_pair(one)} {one.change or 'changed'}"


def _pair(one: Meaning) -> str:
    unit = f" {one.unit}" if one.unit else ""
    values = " → ".join(value for value in (one.before, one.after) if value)
    return f"{values}{unit}"


def _named(word: str) -> Callable[[Meaning], str]:
    """With a word of its own in front: `memory limit 256 → 320 Mi`."""

    def words(one: Meaning) -> str:
        name = f"{word} {one.name}".strip()
        if one.before and one.after:
            return f"{name} {_pair(one)}"
        return f"{name} {_pair(one)} {one.change}"

    return words


def _restarts(one: Meaning) -> str:
    if not one.after:
        return "restarts its pods"
    return f"restarts {one.after} pod{'' if one.after == '1' else 's'}"


def _image(one: Meaning) -> str:
    return f"image {_pair(one)}" if one.after else f"image {one.before} {one.change}"


_WORDS: Mapping[str, Callable[[Meaning], str]] = {
    "new": lambda one: "new",
    "runs": lambda one: "runs once",
    "image": _image,
    "replicas": _named("replicas"),
    "memory": _named("memory"),
    "cpu": _named("CPU"),
    "schedule": _named("schedule"),
    "suspended": lambda one: "suspended" if one.after == "true" else "no longer suspended",
    "host": _named("host"),
    "port": _named("port"),
    "storage": _named("storage"),
    "container": _named("container"),
    "reads": lambda one: f"reads changed {one.name}",
    "restarts": _restarts,
    "marks": lambda one: "only the portal’s own marks",
    "same": lambda one: "the same, written in another way",
    "more": lambda one: f"and {one.after} more",
}
