"""The preview says in a line that the portal's own addition was left out."""

from __future__ import annotations

from core.findings import WARNING
from deployments.preparation.preflight import change_findings
from engine.cluster.changes import ObjectChange
from engine.types import Action, ObjectRef


def test_the_preview_says_that_the_addition_was_left_out() -> None:
    web = ObjectRef("Deployment", "apps", "shop", "web")
    words = "minReadySeconds stays as kubectl edit set it: Slipway leaves out its own"
    (finding,) = change_findings([ObjectChange(web, Action.CHANGE, yielded=words)], {web: "web.yaml:4"})
    assert (finding.state, finding.text) == (WARNING, f"Deployment web: {words}.")
    assert finding.subject == "web.yaml:4"
