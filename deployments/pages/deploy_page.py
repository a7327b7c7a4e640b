"""Data for the page of one deploy, read with a constant number of queries."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.git.repository import commit_url
from audit.actors import SYSTEM
from clusters.models import Trouble
from deployments.gate import marking, plans, requests, turns, undoing
from deployments.gate.doubts import doubts
from deployments.models import Deploy, ObjectState, Release
from deployments.pages.deploy_parts import (
    FIRST,
    ImageView,
    ObjectView,
    StepView,
    earlier_attempts,
    images_of,
    object_view,
    trouble,
)
from deployments.queries import last_good, last_succeeded, light
from runs.models import ACTIVE, State, Step
from ui.states import look

MOST_OBJECTS = 30  # changed objects in the table; the others are folded


@dataclass(frozen=True)
class Page:
    """The part above the log, for the whole page and for the fragment that htmx fetches.

    `target`: the deploy that the page offers to roll back to. `target_bad`, `again_bad`: warnings when that release, or one of
    the same revision, is marked as bad (`gate.marking.warning`). `stop_target`: the deploy that "Stop and roll back" goes back
    to; without one, `why_no_stop_target` is the reason. `follower`: the rollback that follows this deploy. `waits_for`: the
    first of the `ahead` deploys that go before this one. `key`: the idempotency key of the forms. `named`: sentences that
    count secret keys, with the names of these keys; empty without the right to see them. `aftermath`: workloads that failed
    soon after it. `unlike_plan`: how it differs from its preview; empty when it did exactly that, None where that is not known.
    """

    deploy: Deploy
    steps: list[StepView]
    earlier: list[str]
    changed: list[ObjectView]
    unchanged: list[ObjectView]
    commit: str
    waits_for: Deploy | None
    ahead: int
    target: Deploy | None
    images: list[ImageView] = field(default_factory=list)
    secrets: list[tuple[str, str]] = field(default_factory=list)
    trouble: dict[str, Any] | None = field(default=None)
    key: str = ""
    target_bad: str = ""
    again_bad: str = ""
    stop_target: Deploy | None = None
    why_no_stop_target: str = ""
    follower: Deploy | None = None
    aftermath: list[Trouble] = field(default_factory=list)
    named: list[tuple[str, list[str]]] = field(default_factory=list)
    unlike_plan: list[str] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the deploy has not ended, so that the page still changes."""
        return self.deploy.is_open

    @property
    def label(self) -> str:
        """`#17`."""
        return f"#{self.deploy.number}"

    @property
    def log_title(self) -> str:
        """Accessible name of the log."""
        return f"Log of deploy {self.deploy.number}"

    @property
    def attempt_text(self) -> str:
        """`attempt 2`, shown after a worker was lost."""
        return f"attempt {self.deploy.attempt}"

    @property
    def tone(self) -> str:
        """Tone of the notice about the end."""
        return {State.SUCCEEDED: "passed", State.CANCELLED: "warning"}.get(State(self.deploy.state), "info")

    @property
    def title(self) -> str:
        """Title of the document. The state comes first, because a narrow tab shows only the beginning."""
        place = f"{self.deploy.environment.project.name} to {self.deploy.environment.name}"
        return f"{look(self.deploy.state).word} #{self.deploy.number}: {place} · Slipway"

    @property
    def is_secrets(self) -> bool:
        """Whether it deploys the secrets alone."""
        return self.deploy.kind == Deploy.Kind.SECRETS

    @property
    def favicon(self) -> str:
        """Path of the static file that shows the state in the tab."""
        return f"img/state-{look(self.deploy.state).css}.svg"

    @property
    def wrote(self) -> bool:
        """Whether the deploy reached the step `apply`, its first write."""
        return any(step.name == "apply" and step.started_at for step in self.steps)

    @property
    def shown_objects(self) -> list[ObjectView]:
        """The changed objects in the table."""
        return self.changed[:MOST_OBJECTS]

    @property
    def more_objects(self) -> list[ObjectView]:
        """The changed objects below the table, folded."""
        return self.changed[MOST_OBJECTS:]

    @property
    def object_count(self) -> int:
        """Number of all objects of the deploy."""
        return len(self.changed) + len(self.unchanged)

    @property
    def release(self) -> Release | None:
        """The release of this deploy, once it is stored."""
        return self.deploy.release

    @property
    def can_be_marked(self) -> bool:
        """Whether the release is verified (a rollback could choose it) and not marked as bad yet."""
        return self.release is not None and self.release.verified_at is not None and not self.release.is_bad

    @property
    def went_by_itself(self) -> bool:
        """Whether this is an automatic rollback after a failure."""
        return self.deploy.undoes_id is not None and self.deploy.actor_kind == SYSTEM

    @property
    def stop_button(self) -> str:
        """Label of the second button in the cancel dialog; empty without a target."""
        return f"Stop and roll back to {self.stop_target.short}" if self.stop_target else ""

    @property
    def confirm_name(self) -> str:
        """The word to type before a deploy starts: the slug in production, where no second person reviews; else empty."""
        return self.deploy.environment.slug if self.deploy.environment.is_production else ""

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Hidden fields of the forms: the idempotency key makes a double click one request."""
        return [("key", self.key)]

    @property
    def again_text(self) -> str:
        """Text of the dialog "Deploy again"."""
        return (
            f"{self.deploy.short} goes to {self.deploy.environment.name} again, with its manifests and the secrets and "
            "variables as they are now."
        )

    @property
    def again_button(self) -> str:
        """Label of its button."""
        return f"Deploy {self.deploy.short} to {self.deploy.environment.slug}"

    @property
    def rollback_text(self) -> str:
        """Text of the dialog "Roll back"; empty without a target."""
        if self.target is None:
            return ""
        return (
            f"The objects of deploy #{self.target.number} ({self.target.short} “{self.target.subject}”) are applied again: "
            "the same images by digest, the same versions of the secrets."
        )

    @property
    def rollback_title(self) -> str:
        """Title of that dialog, a question; empty without a target."""
        return f"Roll {self.deploy.environment.name} back to {self.target.short}?" if self.target else ""

    @property
    def rollback_button(self) -> str:
        """Label of its button; empty without a target."""
        return f"Roll back to {self.target.short}" if self.target else ""


def page(deploy: Deploy, *, sees_names: bool) -> Page:
    """Reads the data for the page of a deploy from `deployments.lookup.deploy_for`. `sees_names`: the reader may see the names
    of secret keys."""
    rows = steps_of(deploy)
    steps = [StepView(r.name, r.state, r.seconds, r.started_at, r.summary) for r in rows]
    objects = [object_view(row) for row in ObjectState.objects.filter(run_id=deploy.run_id).defer("evidence")]
    changed = [one for one in objects if not one.stays]
    ahead = queue_before(deploy)
    made = Page(
        deploy=deploy,
        steps=steps,
        earlier=earlier_attempts(rows, deploy.attempt),
        changed=sorted(changed, key=lambda one: FIRST.get(one.progress, 2)),
        unchanged=[one for one in objects if one.stays],
        commit=commit_url(deploy.environment.project.repository_url, deploy.revision),
        waits_for=ahead[0] if ahead else None,
        ahead=len(ahead),
        target=None,
        images=images_of(deploy.release),
        secrets=sorted(deploy.release.secret_versions.items()) if deploy.release else [],
        trouble=trouble(deploy),
        key=uuid.uuid4().hex,
        named=sorted(deploy.key_names.items()) if sees_names else [],
    )
    return with_what_follows(made)


def with_what_follows(made: Page) -> Page:
    """The page with its possible actions: cancel while the deploy runs, roll back and deploy again after its end."""
    deploy = made.deploy
    if deploy.state == State.RUNNING:
        target, why_not = undoing.after_cancel(deploy)
        return replace(made, stop_target=target, why_no_stop_target=why_not)
    made = replace(made, follower=undoing.follower(deploy))
    if deploy.is_open:
        return made
    made = replace(
        made,
        aftermath=list(Trouble.objects.filter(run_id=deploy.run_id)),
        unlike_plan=plans.differences(deploy),
    )
    target = rollback_target(deploy)
    if deploy.state != State.SUCCEEDED and not made.wrote:
        target = None  # nothing was changed, so there is nothing to roll back
    if made.follower and (made.follower.is_open or made.follower.state == State.SUCCEEDED):
        target = None  # a rollback has undone it, or will
    again_bad = " ".join(doubts(deploy.environment, deploy.revision, seen=deploy.number))
    target_bad = marking.warning(target.release) if target else ""
    return replace(made, target=target, target_bad=target_bad, again_bad=again_bad)


def steps_of(deploy: Deploy) -> list[Step]:
    """The deploy's steps in order."""
    return list(Step.objects.filter(run_id=deploy.run_id))


def queue_before(deploy: Deploy) -> list[Deploy]:
    """The deploys that go before a queued one, in order: the active one, then waiting ones. Empty in other states."""
    if deploy.state != State.QUEUED:
        return []
    active = Deploy.objects.filter(environment_id=deploy.environment_id, state__in=ACTIVE)
    before = [*light(active), *light(turns.waiting_before(deploy))]
    return sorted(before, key=turns.place)


def rollback_target(deploy: Deploy) -> Deploy | None:
    """The deploy that the page offers to roll back to, or None.

    For a deploy that did not succeed: the newest good one. For the live deploy: the newest good one with another release. For
    an older deploy that succeeded: itself, even if it is marked as bad (the dialog warns then).
    """
    if deploy.state != State.SUCCEEDED:
        return last_good(deploy.environment)
    live = last_succeeded(deploy.environment)
    if live is None or deploy.pk == live.pk:
        return last_good(deploy.environment, unlike=deploy)
    usable = not requests.why_no_rollback_to(deploy, deploy.environment, although_bad=True)
    return deploy if usable and deploy.release_id != live.release_id else None
