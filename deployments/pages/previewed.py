"""The right side of the new deploy page: the preview, and what the button needs."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from adapters.git.repository import commit_url
from builds.pages.build_parts import may_deploy
from builds.pages.standing import Standing, standings
from core.findings import WARNING, Finding
from deployments.gate import plans, turns
from deployments.gate.doubts import doubts_of, untried
from deployments.models import Deploy, Plan
from deployments.pages.choosing import Choice
from deployments.pages.finding_groups import grouped
from deployments.pages.forms import DeployForm
from deployments.pages.mending import Reader, reader_of
from deployments.pages.shown_versions import sealed
from deployments.preparation.preflight import plural
from deployments.preparation.preview import Preview, preview
from deployments.preparation.secret_people import changed_by
from deployments.queries import light
from deployments.records import Record, records, tried_first
from engine.cluster.changes import ObjectChange
from engine.cluster.summary import summary
from engine.manifests.meaning.words import Meaning
from engine.types import Action
from projects.access import may_secret, role_in
from projects.image_availability import in_registry
from projects.models import Environment
from runs.models import OPEN

TICK = "Deploying it all the same is possible: tick the box beside the button."
UNTRIED = "Nothing stops it; what runs there first is seen before customers see it."


@dataclass(frozen=True)
class Changed:
    """An object that changes, as this person may see it. `is_open`: its difference is unfolded."""

    change: ObjectChange
    is_open: bool


def context_of(
    request: HttpRequest, place: Environment, choice: Choice, *, see: bool, form: DeployForm | None = None
) -> dict[str, Any]:
    """The page's context. With `see` the preview is made now, else the page fetches it after loading."""
    record, against = _record(place, choice)
    made = (
        preview(place, choice.chosen, choice.kind, person_id=request.user.pk)
        if see and choice.chosen
        else None
    )
    return {
        "environment": place,
        "project": place.project,
        "choice": choice,
        "preview": made,
        "record": record,
        "against": against,
        "form": form or DeployForm(environment=place),
        "key": uuid.uuid4().hex,
        "may_build": may_deploy(role_in(request.user, place.project)),
        **(_seen(request, place, choice, made, record, against) if made else {}),
    }


def _record(place: Environment, choice: Choice) -> tuple[Record | None, tuple[str, ...]]:
    """The record of the chosen revision, and what speaks against deploying it. Secrets alone leave the revision as it is."""
    if choice.chosen is None or choice.is_secrets:
        return None, ()
    known = {pick.commit.sha: pick.record for pick in choice.picks}
    sha = choice.chosen.sha
    record = known.get(sha) or records(place.project, [sha])[sha]
    return record, doubts_of(place, record)


def _seen(
    request: HttpRequest,
    place: Environment,
    choice: Choice,
    made: Preview,
    record: Record | None,
    against: Sequence[str],
) -> dict[str, Any]:
    """What is shown of a preview."""
    sees_names = may_secret(request.user, place, "names")
    doubtful = tuple(Finding(WARNING, sentence, TICK) for sentence in against)
    if record is not None and (told := untried(place, record, tried_first(place))):
        doubtful = (*doubtful, Finding(WARNING, told, UNTRIED))
    made = replace(made, findings=(*made.findings, *doubtful))
    address = f"{reverse('deployments:new', args=[place.project.slug, place.slug])}?{choice.query}&see=1"
    reader = reader_of(request.user, place, address)
    return {
        "preview": made,
        **_checks(made, reader),
        "commits": [
            (commit, commit_url(place.project.repository_url, commit.sha)) for commit in made.commits
        ],
        "summary": summary(made.changes),
        "changed": changed_of(made, sees_names=sees_names, all_open="open" in request.GET),
        "unchanged": [change for change in made.changes if change.action == Action.UNCHANGED],
        "standing": standing_of(place, choice),
        "back": address,
        "sees_names": sees_names,
        "changed_by": people(place, made) if sees_names else "",
        "secret_versions": sealed(place, made.secret_versions),
        "plan": plan_of(place, made, choice.kind).key,
        "open_deploys": sorted(
            light(Deploy.objects.filter(environment=place, state__in=OPEN)), key=turns.place
        ),
    }


def _checks(made: Preview, reader: Reader) -> dict[str, Any]:
    """The findings by their causes, and how many entries there are."""
    errors = grouped(made.errors, reader, made.commit.sha)
    warnings = grouped(made.warnings, reader, made.commit.sha)
    return {
        "errors": errors,
        "warnings": warnings,
        "errors_text": f"{len(errors)} would stop it",
        "warnings_text": plural(len(warnings), "warning"),
        "checks_count": len(errors) + len(warnings) + len(made.notes),
    }


def plan_of(place: Environment, made: Preview, kind: str) -> Plan:
    """Keeps what the preview shows, for the click."""
    return plans.keep(
        place,
        kind=kind,
        revision=made.commit.sha,
        secret_versions=dict(made.secret_versions),
        images={image.name: image.digest for image in made.images},
        actions=[(change.ref, change.action) for change in made.changes],
    )


def standing_of(place: Environment, choice: Choice) -> Standing | None:
    """How the images of the chosen revision stand; what the registry said is known from the list of revisions."""
    if choice.chosen is None or choice.is_secrets:
        return None
    sha = choice.chosen.sha
    return standings(place.project, [sha], in_registry(place.project, [sha])).get(sha)


def people(place: Environment, made: Preview) -> str:
    """Who changed the keys, for people who may see their names."""
    return changed_by(place, dict(made.live_versions), dict(made.secret_versions), made.secret_changes)


def changed_of(made: Preview, *, sees_names: bool, all_open: bool) -> list[Changed]:
    """The objects that change: what is refused first, then real changes, then those of the portal's own marks. A refusal whose
    cause stands among the checks stays folded."""
    found = [shown(change, sees_names) for change in made.changes if change.action != Action.UNCHANGED]
    found.sort(key=lambda change: (not change.error, any(one.is_mark for one in change.meaning)))
    return [Changed(change, all_open or bool(change.error and not change.cause)) for change in found]


def shown(change: ObjectChange, sees_names: bool) -> ObjectChange:
    """The change as this person may see it: the diff of a Secret names its keys."""
    if sees_names or change.ref.kind != "Secret":
        return change
    meaning = tuple(one for one in change.meaning if one.what != "key")
    keys = len(change.meaning) - len(meaning)
    counted = (Meaning("field", f"{keys} key{'' if keys == 1 else 's'}", "changed"),) if keys else ()
    return replace(change, diff=(), meaning=(*counted, *meaning))
