"""The plan is the promise: what a preview showed is kept, so that a click on its button does that or nothing.

When something came in between, the click is refused, and the page shows what would happen now. At its end the deploy is
held against its plan.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from core.errors import Refused
from deployments.models import Deploy, ObjectState, Plan, Release
from engine.manifests.plan import numbered_name
from engine.types import Action, ObjectRef
from projects.models import Environment
from projects.secret_files import current_versions
from runs.models import OPEN, State
from ui.states import look

KEPT = timedelta(hours=12)  # as long as the signed fields of the form
MOST_TOLD = 5
DID: dict[str, str] = {"unchanged": "stayed as it was", "change": "was changed", "create": "was made"}
PLANNED: dict[str, str] = {
    "": "was not in the preview", "unchanged": "was to stay", "change": "was to change", "create": "was to be made"
}  # fmt: skip


def keep(
    environment: Environment, *, kind: str, revision: str, secret_versions: Mapping[str, str], images: Mapping[str, str],
    actions: Iterable[tuple[ObjectRef, Action | None]],
) -> Plan:  # fmt: skip
    """Keeps what a preview shows."""
    numbers = Deploy.objects.filter(environment=environment)
    newest = numbers.order_by("-number").values_list("number", flat=True).first()
    return Plan.objects.create(
        key=uuid.uuid4().hex,
        environment=environment,
        kind=kind,
        revision=revision,
        newest=newest or 0,
        open_deploys=sorted(numbers.filter(state__in=OPEN).values_list("number", flat=True)),
        edited=environment.edited,
        secret_versions=dict(secret_versions),
        images=dict(images),
        actions={str(ref): action.value if action else None for ref, action in actions},
    )


def of_form(environment: Environment, key: str, kind: str, revision: str) -> Plan | None:
    """The plan that a form names; None without a key. Raises Refused (plan-changed) for one that is not there any more, or of
    something else."""
    if not key:
        return None
    plan = Plan.objects.filter(environment=environment, key=key, kind=kind, made_at__gt=Now() - KEPT).first()
    if plan is None:
        raise _changed("This preview is too old.")
    if plan.revision != revision:
        raise _changed(f"The preview was of {plan.revision[:7]}, and {revision[:7]} was asked for.")
    return plan


def require_same_secrets(plan: Plan) -> None:
    """Raises Refused (plan-changed) when AWS has other versions of the secrets now. Asks AWS, with short timeouts; what it does
    not answer soon counts as unchanged."""
    now = current_versions(plan.environment)
    shown: dict[str, str] = plan.secret_versions
    other = sorted(path for path, version in now.items() if path in shown and shown[path] != version)
    if other:
        raise _changed(
            f"The secrets in {', '.join(other[:MOST_TOLD])} were changed since this preview was made."
        )


def require_unchanged(plan: Plan, environment: Environment) -> None:
    """Raises Refused (plan-changed), which says what came in between. Call it with the environment's row locked."""
    told = came_between(plan)
    if environment.edited != plan.edited:
        told.append("The settings of the environment were changed.")
    if told:
        raise _changed(" ".join(told))


def came_between(plan: Plan) -> list[str]:
    """Sentences about the deploys that were asked for or ended since the preview was made."""
    newer = Q(number__gt=plan.newest) | (Q(number__in=plan.open_deploys) & ~Q(state__in=OPEN))
    deploys = Deploy.objects.filter(newer, environment=plan.environment_id).order_by("number")
    told = [
        f"Deploy #{deploy.number} of {deploy.short} by {deploy.actor_text} came in between "
        f"({look(deploy.state).word.lower()})."
        for deploy in deploys[: MOST_TOLD + 1]
    ]
    return [*told[:MOST_TOLD], "More followed."] if len(told) > MOST_TOLD else told


def _changed(what: str) -> Refused:
    return Refused(
        f"{what} Nothing was started.",
        hint="Look at what would happen now, then press the button again.",
        code="plan-changed",
    )


def differences(deploy: Deploy) -> list[str] | None:
    """How a succeeded deploy differs from its plan, in sentences; empty when it did exactly that. None where there is nothing
    to compare."""
    plan = deploy.plan
    if plan is None or deploy.state != State.SUCCEEDED or deploy.release is None:
        return None
    done = dict(ObjectState.objects.filter(run_id=deploy.run_id).values_list("ref", "action"))
    planned = {_as_done(ref, done, deploy.number): action for ref, action in plan.actions.items()}
    told = [
        _told(ref, planned.get(ref, ""), did) for ref, did in done.items() if _is_other(planned, ref, did)
    ]
    told += [f"{_short(ref)} was planned and is not in the release." for ref in planned if ref not in done]
    return told + _other_images(plan, deploy.release)


def _as_done(ref: str, done: Mapping[str, str], number: int) -> str:
    """The planned object under the name that the deploy gave it: Jobs get its number."""
    parsed = ObjectRef.parse(ref)
    if ref in done or parsed.kind != "Job":
        return ref
    return str(replace(parsed, name=numbered_name(parsed.name, number)))


def _is_other(planned: Mapping[str, str | None], ref: str, did: str) -> bool:
    """Whether an object was treated otherwise than planned. Where the dry run could not tell, nothing was promised."""
    return bool(did) and planned.get(ref, "") not in (None, did)


def _told(ref: str, planned: str | None, did: str) -> str:
    return f"{_short(ref)} {DID.get(did, did)}; it {PLANNED.get(planned or '', 'was planned otherwise')}."


def _other_images(plan: Plan, release: Release) -> list[str]:
    digests = {name: str(pin.get("digest", "")) for name, pin in release.images.items()}
    return [
        f"Image {name} has another digest: its tag was pushed again since."
        for name, digest in plan.images.items()
        if digest and digests.get(name, digest) != digest
    ]


def _short(ref: str) -> str:
    parsed = ObjectRef.parse(ref)
    return f"{parsed.kind}/{parsed.name}"


def prune() -> None:
    """Tick: deletes plans whose button nobody can press any more, and that no deploy followed."""
    Plan.objects.filter(made_at__lt=Now() - KEPT, deploys=None).delete()
