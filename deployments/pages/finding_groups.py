"""Findings of a preview, one entry for each cause, with the objects that it touches beneath."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.findings import Finding
from deployments.pages.mending import Mend, Reader, mends
from engine.errors import Cause
from projects.models import Environment

Words = tuple[str, str]  # a sentence, and what to do


@dataclass(frozen=True)
class Group:
    """`text`: a sentence; `detail`: what to do; `places`: what it touches, each with what was found there (empty where `text`
    says it); `keys`: names of secret keys, for people who may see them."""

    state: str
    text: str
    detail: str
    places: tuple[tuple[str, str], ...] = ()
    keys: tuple[str, ...] = ()
    cause: Cause | None = None
    mend: Mend | None = None

    @property
    def is_single(self) -> bool:
        """Whether there is nothing to fold: one place, and no further words."""
        return len(self.places) <= 1 and not any(text for _, text in self.places)


def grouped(findings: Iterable[Finding], reader: Reader, revision: str = "") -> list[Group]:
    """The entries, in the order of the first finding of each."""
    found: dict[object, list[Finding]] = {}
    for finding in findings:
        key = (finding.state, finding.cause or (finding.text, finding.detail))
        found.setdefault(key, []).append(finding)
    return [_group(members, reader, revision) for members in found.values()]


def _group(members: Sequence[Finding], reader: Reader, revision: str) -> Group:
    first = members[0]
    words = _WORDS.get(first.cause.code) if first.cause else None
    text, detail = words(first.cause, members, reader.environment) if words and first.cause else _own(members)
    places = dict.fromkeys((one.subject, one.text if one.text != text else "") for one in members)
    return Group(
        first.state,
        text,
        detail,
        tuple(place for place in places if any(place)),
        tuple(dict.fromkeys(key for one in members for key in one.keys)),
        first.cause,
        mends(first.cause, reader, revision),
    )


def _own(members: Sequence[Finding]) -> Words:
    return members[0].text, members[0].detail


def _of_variable(cause: Cause, members: Sequence[Finding], environment: Environment) -> Words:
    return (
        f"The variable {cause.name} has no value in {environment.name}.",
        "Give it one here, or correct the name in the files, commit, and deploy that revision.",
    )


def _of_namespace(cause: Cause, members: Sequence[Finding], environment: Environment) -> Words:
    return (
        f"The namespace {cause.name} is not on {environment.cluster.name}.",
        "Nothing can be deployed into it before it is there.",
    )


def _of_pull_secret(cause: Cause, members: Sequence[Finding], environment: Environment) -> Words:
    if len(members) == 1:
        return _own(members)
    told = next((one for one in members if one.text.startswith("The pull secret")), members[0])
    return told.text, told.detail


def _of_images(cause: Cause, members: Sequence[Finding], environment: Environment) -> Words:
    if len(members) == 1:
        return _own(members)
    return f"{len(members)} images of this revision cannot be pulled.", members[0].detail


def _of_missing(cause: Cause, members: Sequence[Finding], environment: Environment) -> Words:
    if len(members) == 1:
        return _own(members)
    if cause.code == "missing-key":
        return f"{cause.name} lacks keys that {len(members)} objects need.", members[0].detail
    return (
        f"{cause.name} is not in the namespace {cause.place}, and {len(members)} objects need it.",
        members[0].detail,
    )


_WORDS: Mapping[str, Callable[[Cause, Sequence[Finding], Environment], Words]] = {
    "variable": _of_variable,
    "namespace": _of_namespace,
    "pull-secret": _of_pull_secret,
    "image": _of_images,
    "missing-object": _of_missing,
    "missing-key": _of_missing,
}
