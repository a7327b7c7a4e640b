"""What the checks pass on of the cluster: its own warnings, and workloads that do not replace their pods by themselves."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from core.findings import WARNING
from deployments.gate.ending import on_end
from deployments.models import Deploy
from deployments.pages.drift import LiveRevision, what_runs
from deployments.pipeline import outcomes, stages
from deployments.pipeline.work import Work
from deployments.preparation.preflight import change_findings
from engine.cluster.changes import Notice, ObjectChange
from engine.types import Action, ObjectRef
from runs.life.hooks import End
from runs.models import State
from tests.factories import make_deploy, make_release

WEB, API = (ObjectRef("Deployment", "apps", "shop", name) for name in ("web", "api"))
HELD = "Deployment web is paused: 2 of 2 pods still run what ran before."


def test_a_warning_of_the_server_is_told_once_with_its_place() -> None:
    deprecated, other = "v1beta1 is deprecated", "would violate PodSecurity"
    changes = [
        ObjectChange(WEB, Action.CREATE, told=(deprecated, other)),
        ObjectChange(API, Action.CREATE, told=(deprecated,)),
    ]
    found = change_findings(changes, {WEB: "kubernetes/staging/web.yaml:3"})
    assert [(f.state, f.text, f.detail, f.subject) for f in found] == [
        (WARNING, f"The cluster warns: {deprecated}", "Of 2 objects.", "kubernetes/staging/web.yaml:3"),
        (WARNING, f"The cluster warns: {other}", "", "kubernetes/staging/web.yaml:3"),
    ]


def test_notices_are_warnings() -> None:
    change = ObjectChange(WEB, Action.CHANGE, notices=(Notice("It is paused.", "Resume it.", "spec.paused"),))
    (finding,) = change_findings([change])
    assert (finding.state, finding.text, finding.detail) == (WARNING, "It is paused.", "Resume it.")


@pytest.mark.django_db
class TestWhatDoesNotRoll:
    @pytest.fixture
    def deploy(self, environment: Any) -> Deploy:
        release = make_release(environment, place=environment.place)
        return make_deploy(
            environment, State.RUNNING, release=release, started_at=timezone.now(), ended_at=timezone.now()
        )

    def work(self, deploy: Deploy) -> Work:
        class Held:
            def held(self) -> Any:
                from contextlib import nullcontext

                return nullcontext()

        return Work(run=deploy, fence=Held(), journal=None, deadline=0.0)  # type: ignore[arg-type]

    def test_its_release_is_not_verified_and_the_result_says_so(self, deploy: Deploy) -> None:
        work = self.work(deploy)
        stages.note_held(work, (HELD, "another"))
        place = deploy.environment.name
        assert outcomes.succeeded(work) == (
            f"{deploy.short} is applied in {place}, but does not run everywhere. {HELD} And 1 more."
        )
        on_end(deploy, End(State.SUCCEEDED, "done"))
        deploy.release.refresh_from_db()  # type: ignore[union-attr]
        assert deploy.release.verified_at is None  # type: ignore[union-attr]

    def test_what_rolls_is_verified(self, deploy: Deploy) -> None:
        work = self.work(deploy)
        stages.note_held(work, ())
        assert outcomes.succeeded(work).endswith("every object is ready.")
        on_end(deploy, End(State.SUCCEEDED, "done"))
        deploy.release.refresh_from_db()  # type: ignore[union-attr]
        assert deploy.release.verified_at is not None  # type: ignore[union-attr]

    def test_what_runs_is_not_said_to_come_from_outside(self, environment: Any, deploy: Deploy) -> None:
        old = make_release(environment, revision="b" * 40)
        found = LiveRevision(old, compared=True, held="web")
        release, words, outside = what_runs(deploy, None, None, found)
        assert (release, outside) == (old, False)
        assert words.startswith(
            "web does not replace its pods by itself: the cluster runs bbbbbbb, deployed is"
        )
