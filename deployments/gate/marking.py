"""Marking a release as bad: its rollout succeeded, but a person found a fault later.

No automatic rollback chooses such a release; a person can, after a confirmation. A release that was never verified needs
no mark, because no rollback can choose it.
"""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from audit.actors import Actor
from audit.record import before_after
from core.errors import Refused
from core.storable import storable_text
from deployments.gate.kind import DEPLOY
from deployments.gate.lengths import LONGEST_MARK, require_short
from deployments.models import Deploy, Release
from projects import access
from projects.models import Environment, Role


def mark_bad(actor: Actor, *, deploy: Deploy, reason: str) -> bool:
    """Marks the release of a deploy as bad. Returns whether the mark is new. Idempotent: the first mark stays.

    Raises Refused when the role is too low, `reason` is empty, or the release was never verified.
    """
    access.require(actor, deploy.environment, Role.DEPLOYER)
    reason = storable_text(reason.strip())
    if not reason:
        raise Refused("Say why the release is bad. Nothing was marked.", code="reason")
    require_short(reason, LONGEST_MARK, "marked")
    release = deploy.release
    if release is None or release.verified_at is None:
        raise Refused(
            f"The release of deploy #{deploy.number} was never verified; nothing can go back to it, marked or not.",
            code="not-verified",
        )
    mark = {"marked_bad_by": actor.text[:150], "marked_bad_at": timezone.now(), "bad_reason": reason}
    with transaction.atomic():
        if Release.objects.filter(pk=release.pk, marked_bad_by="").update(**mark) != 1:
            return False
        DEPLOY.audit(actor, "release.marked_bad", deploy, reason=reason)
    return True


def unmark(actor: Actor, *, deploy: Deploy) -> bool:
    """Removes the mark from the release of a deploy. Returns whether there was one. Idempotent. Raises Refused when the role
    is too low."""
    access.require(actor, deploy.environment, Role.DEPLOYER)
    if deploy.release is None:
        return False
    with transaction.atomic():
        rows = Release.objects.filter(pk=deploy.release.pk).exclude(marked_bad_by="")
        held = rows.select_for_update().values("marked_bad_by", "bad_reason").first()
        if held is None:
            return False
        rows.update(marked_bad_by="", marked_bad_at=None, bad_reason="")
        was = f"{held['marked_bad_by']}: {held['bad_reason']}"
        DEPLOY.audit(actor, "release.unmarked", deploy, mark=before_after(was, ""))
    return True


def bad_release_of(environment: Environment, revision: str) -> Release | None:
    """The newest release of a revision that is marked bad, unless a newer release of it was verified without a mark; else None.

    The same commit with other secrets or variables is another release, but the person who deploys it again should know.
    """
    bad = Release.objects.filter(environment=environment, revision=revision).exclude(marked_bad_by="")
    found = bad.defer("objects_compressed").order_by("-pk").first()
    if found is None:
        return None
    newer = Release.objects.filter(
        environment=environment,
        revision=revision,
        pk__gt=found.pk,
        verified_at__isnull=False,
        marked_bad_by="",
    )
    return None if newer.exists() else found


def warning(release: Release | None) -> str:
    """The warning before a release marked as bad is deployed again; empty for None and for a release without the mark."""
    if release is None or not release.is_bad:
        return ""
    return words(release.marked_bad_by, release.revision, release.bad_reason)


def words(by: str, revision: str, reason: str, where: str = "") -> str:
    """A mark in words; `where`: ` in Staging`, where it is of another environment."""
    return f"{by} marked the release of {revision[:7]} as bad{where}: {reason}"
