"""The card about a deploy that failed: the cause, what still serves, what is left behind, and what probably mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deployments.models import Deploy, Release
from deployments.pages.deploy_parts import ObjectView, images_of
from engine.rollout.fixes import Fix, likely_fixes
from runs.models import State

TROUBLE = (State.FAILED, State.ERRORED, State.TIMED_OUT, State.ABANDONED)
MOST_OTHERS = 20
MOST_NAMES = 6  # objects that are named; the table has all of them
# Said better by a likely fix.
GENERAL_HINTS = (
    "Look at the last lines of its log.",
    "Check the tag: was this revision built and pushed?",
    "Check that the image exists and that the namespace's pull secret is valid.",
)


@dataclass(frozen=True)
class FixView:
    """A likely fix with its buttons. `file`: primary key of the secrets file that would take the setting or key, or None."""

    fix: Fix
    file: int | None = None


@dataclass(frozen=True)
class Card:
    """`serving`, `left`: sentences, empty where nothing is known or nothing was changed; `hint`: what to do; `others`: sentences
    about further objects; `evidence`: as `components/evidence.html` wants them."""

    tone: str
    sentence: str
    hint: str
    serving: str
    left: str
    fixes: list[FixView]
    others: list[str]
    evidence: list[dict[str, Any]]


def card(deploy: Deploy, objects: Sequence[ObjectView], *, is_undone: bool) -> Card | None:
    """The card, or None when the deploy did not fail. `is_undone`: a later deploy has replaced what it left."""
    if deploy.state not in TROUBLE:
        return None
    proofs = [
        {**item, "title": item.get("pod") or item.get("ref")}
        for item in deploy.evidence
        if item.get("pod") or item.get("events") or item.get("logs") or item.get("previous_logs")
    ]
    said = [item["sentence"] for item in deploy.evidence if item.get("sentence")]
    fixes = fixes_of(deploy)
    hint = deploy.hint.removesuffix(deploy.still_serving).strip()
    return Card(
        tone=deploy.state,
        sentence=deploy.result,
        hint="" if fixes and hint in GENERAL_HINTS else hint,
        serving=deploy.still_serving,
        left="" if is_undone else left_behind(objects),
        fixes=fixes,
        others=[sentence for sentence in said if sentence not in deploy.result][:MOST_OTHERS],
        evidence=proofs,
    )


def left_behind(objects: Sequence[ObjectView]) -> str:
    """What the deploy has created or changed and is still there, in sentences; empty when it wrote nothing."""
    new = [f"{one.kind}/{one.name}" for one in objects if one.action == "create"]
    changed = [f"{one.kind}/{one.name}" for one in objects if one.action == "change"]
    late = sum(len(one.pods) + one.more_pods for one in objects)
    told = [f"New: {_names(new)}."] if new else []
    told += [f"Changed: {_names(changed)}."] if changed else []
    told += [f"{late} pod{'' if late == 1 else 's'} not ready."] if told and late else []
    if new and changed:
        told.append("Rolling back changes the changed ones back; new ones stay, unused.")
    return " ".join(told)


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more}"


def fixes_of(deploy: Deploy) -> list[FixView]:
    """What probably mends a failed rollout. Reads the objects of its release and of the one that ran: three queries at most."""
    if deploy.release_id is None or not any(item.get("container") for item in deploy.evidence):
        return []
    before = Release.objects.filter(environment=deploy.environment_id, verified_at__lt=deploy.created_at)
    earlier = before.exclude(pk=deploy.release_id).order_by("-verified_at").first()
    mine = Release.objects.get(pk=deploy.release_id)
    found = likely_fixes(
        deploy.evidence,
        mine.stored_objects,
        earlier.stored_objects if earlier else [],
        deploy.environment.name,
        {image.reference for image in images_of(mine)},
    )
    files = dict(deploy.environment.secrets_files.values_list("path", "pk")) if found else {}
    return [FixView(fix, files.get(fix.file or _file_of(fix, mine))) for fix in found]


def _file_of(fix: Fix, release: Release) -> str:
    """The secrets file of the Secret that lacks a key; empty where it has none."""
    for entry in release.stored_objects if fix.kind == "key" else ():
        if entry.get("secret", {}).get("ref", "").rpartition("/")[2] == fix.holder.removeprefix("Secret "):
            return str(entry.get("from", {}).get("file", ""))
    return ""
