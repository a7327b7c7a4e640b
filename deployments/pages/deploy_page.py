"""Data for the page of one deploy, and its texts (read by deploy_reading.py)."""

from __future__ import annotations

from dataclasses import dataclass, field

from audit.actors import SYSTEM
from clusters.models import Trouble
from deployments.gate import undoing
from deployments.models import Deploy, Release
from deployments.pages.deploy_parts import ImageView, ObjectView, StepView
from deployments.pages.expected import Expected
from deployments.pages.failure_card import Card
from deployments.pages.lifetime import Lifetime
from deployments.pages.overview import EnvironmentView, WayBack
from runs.models import State, StepState
from ui.states import look

MOST_OBJECTS = 30  # changed objects in the table; the others are folded
MOST_WITH_PODS = 5  # objects whose pods are listed


@dataclass(frozen=True)
class Page:
    """The part above the log, for the whole page and for the fragment that htmx fetches.

    `target`: the deploy that the page offers to roll back to. `target_bad`, `again_bad`: warnings when that release, or one of
    the same revision, is marked as bad (`gate.marking.warning`). `stop_target`: the deploy that "Stop and roll back" goes back
    to; without one, `why_no_stop_target` is the reason. `follower`: the rollback that follows this deploy. `waits_for`: the
    first of the `ahead` deploys that go before this one. `key`: the idempotency key of the forms. `named`: sentences that
    count secret keys, with the names of these keys; empty without the right to see them. `aftermath`: workloads that failed
    soon after it. `unlike_plan`: how it differs from its preview; empty when it did exactly that, None where that is not known.
    `expected`: when it should be done; None where that cannot be told. `lifetime`: what took its place; `now`: its environment as
    it is. Both None while it is open.
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
    trouble: Card | None = None
    key: str = ""
    target_bad: str = ""
    again_bad: str = ""
    stop_target: Deploy | None = None
    why_no_stop_target: str = ""
    follower: Deploy | None = None
    aftermath: list[Trouble] = field(default_factory=list)
    named: list[tuple[str, list[str]]] = field(default_factory=list)
    unlike_plan: list[str] | None = None
    expected: Expected | None = None
    lifetime: Lifetime | None = None
    now: EnvironmentView | None = None

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
    def announcement(self) -> str:
        """What a screen reader is told at the end: the outcome, once."""
        what = "Rollback" if self.deploy.kind == Deploy.Kind.ROLLBACK else "Deploy"
        said = f"{what} #{self.deploy.number} to {self.deploy.environment.name} {look(self.deploy.state).word.lower()}"
        return f"{said}: {self.result}" if self.result and self.trouble else said

    @property
    def result(self) -> str:
        """The result, without the rollback that follows: that has a notice of its own."""
        told = f"; {undoing.sentence(self.follower)}." if self.follower else ""
        cut = self.deploy.result.removesuffix(told) if told else self.deploy.result
        return f"{cut}." if cut != self.deploy.result else cut

    @property
    def doing(self) -> str:
        """What the running step is doing now, in words; empty when it does not say."""
        running = (step for step in self.steps if step.state == StepState.RUNNING and step.summary)
        return next((f"{step.name.capitalize()}: {step.summary}" for step in running), "")

    @property
    def is_newest(self) -> bool:
        """Whether no later deploy has replaced or undone it, so that rolling back from it is the thing to do."""
        return self.lifetime is None and self.follower is None

    @property
    def with_pods(self) -> list[ObjectView]:
        """The objects with pods that are not ready."""
        return [one for one in self.changed if one.pods][:MOST_WITH_PODS]

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
        return f"Deploy {self.deploy.short} to {self.deploy.environment.name}"

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
        place = self.deploy.environment.name
        return f"Roll {place} back to {self.rollback_button.rpartition(' ')[2]}?" if self.target else ""

    @property
    def rollback_button(self) -> str:
        """Label of its button; empty without a target."""
        return WayBack(self.target, self.deploy).text if self.target else ""
