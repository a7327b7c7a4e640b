"""What a whole deploy would change, on a few lines: `web, worker: image 4e6908a → e8613d3 · migrate runs once · 2 new`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from engine.cluster.changes import ObjectChange
from engine.manifests.meaning.words import ORDER, Meaning
from engine.types import Action, ObjectRef

MOST = 10  # entries of a summary
# Counted, or told of single objects only.
_LEFT_OUT = frozenset({"new", "runs", "marks", "same", "more", "restarts"})


@dataclass(frozen=True)
class Said:
    """One entry: the objects that a change is of, and the change in words; without objects, a count."""

    refs: tuple[ObjectRef, ...]
    text: str

    @property
    def names(self) -> str:
        """`web, worker`."""
        return ", ".join(dict.fromkeys(ref.name for ref in self.refs))


def summary(changes: Sequence[ObjectChange]) -> tuple[Said, ...]:
    """The entries, the most important first; of many the first ones and how many objects more change. Keys of Secrets are
    only counted."""
    refs: dict[Meaning, list[ObjectRef]] = {}
    for change in changes:
        for one in _told_of(change):
            refs.setdefault(one, []).append(change.ref)
    found = sorted(
        refs.items(), key=lambda pair: (ORDER[pair[0].what], [str(ref) for ref in pair[1]], pair[0].text)
    )
    said = [Said(tuple(of), one.text) for one, of in found]
    runs = tuple(change.ref for change in changes if any(one.what == "runs" for one in change.meaning))
    jobs = [Said(runs, "run once" if len(runs) > 1 else "runs once")] if runs else []
    more = [Said((), f"{len(said) - MOST} further changes")] if len(said) > MOST else []
    return (*said[:MOST], *more, *jobs, *_counts(changes))


def _told_of(change: ObjectChange) -> Iterator[Meaning]:
    if change.action != Action.CHANGE:
        return
    keys = [one for one in change.meaning if one.what == "key"]
    if keys and change.ref.kind == "Secret":
        more = sum(int(one.after) for one in change.meaning if one.what == "more")
        count = len(keys) + more
        yield Meaning("field", f"{count} key{'' if count == 1 else 's'}", "changed")
        return
    yield from (replace(one, containers=()) for one in change.meaning if one.what not in _LEFT_OUT)


def _counts(changes: Sequence[ObjectChange]) -> Iterator[Said]:
    new = sum(1 for change in changes if change.action == Action.CREATE and not _runs(change))
    if new:
        yield Said((), f"{new} new")
    yield from _restarts(changes)
    marks = sum(1 for change in changes if change.meaning and all(one.is_mark for one in change.meaning))
    if marks:
        yield Said((), f"{marks} with nothing but the portal’s own marks")


def _restarts(changes: Sequence[ObjectChange]) -> Iterator[Said]:
    """Whose pods are replaced, and how many; a DaemonSet's are not counted."""
    found = [
        (change.ref, one.after) for change in changes for one in change.meaning if one.what == "restarts"
    ]
    if not found:
        return
    count = sum(int(after or 0) for _, after in found)
    verb = "restarts" if len(found) == 1 else "restart"
    pods = (
        "their pods" if not all(after for _, after in found) else "1 pod" if count == 1 else f"{count} pods"
    )
    yield Said(tuple(ref for ref, _ in found), f"{verb} {pods}")


def _runs(change: ObjectChange) -> bool:
    return any(one.what == "runs" for one in change.meaning)
