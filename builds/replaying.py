"""Replays a delivery: decides it anew in one project, by the rules as they are now, because a person asks."""

from __future__ import annotations

from django.db import transaction

from audit.actors import Actor
from audit.record import record
from builds.concerned import SEEN, named_by, projects_of
from builds.deciding import ask_git, follow, pushed
from builds.models import Decision, Delivery
from builds.requests import require_deployer
from core.errors import Refused
from projects.models import Project

PATIENCE = 10.0  # seconds that a person waits for Git


def replay(actor: Actor, delivery: Delivery, project: Project) -> Decision:
    """Adds a decision, and its build where there is one. A build that goes on for the same revision is the answer.

    Raises Refused (role; no push, or of another repository: not-replayable), ExternalError while Git does not answer.
    """
    require_deployer(actor, project)
    if delivery.event not in ("push", SEEN) or delivery.state == Delivery.State.REFUSED:
        raise Refused("Only pushes can be replayed.", code="not-replayable")
    if project not in projects_of(delivery):
        raise _not_of(delivery, project)
    verdict = ask_git(project, delivery, patience=PATIENCE)
    with transaction.atomic():
        decision = follow(delivery, pushed(delivery), verdict, actor, asked=True)
        record(
            actor, "delivery.replayed", target_kind="delivery", target_id=delivery.pk,
            target_text=f"{delivery.repository} {delivery.ref}", project=project.slug,
            data={"delivery": delivery.delivery_id, "followed": decision.sentence},
        )  # fmt: skip
    return decision


def _not_of(delivery: Delivery, project: Project) -> Refused:
    """Why a delivery does not concern a project any more."""
    if delivery.event != SEEN and project in named_by(delivery):
        said = f"The address of the repository is not allotted to {project} any more, so the site's secret does not count for it."
        return Refused(said, hint="Ask an admin to allot it again.", code="not-replayable")
    return Refused(
        f"The delivery is of another repository than {project}'s.",
        hint="The project's address was changed since.",
        code="not-replayable",
    )
