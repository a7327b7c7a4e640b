"""Whose fields are whose, and what a take-over does."""

from __future__ import annotations

import pytest

from engine.cluster.client import Cause
from engine.cluster.fieldsets import union, without_fields
from engine.cluster.ownership import (
    conflicts_of,
    dropped_fields,
    predecessors,
    taken_over,
)
from engine.types import Json


def entry(manager: str, operation: str, fields: Json, **more: str) -> Json:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **more,
    }


KUBECTL = entry(
    "kubectl-client-side-apply",
    "Update",
    {"f:data": {".": {}, "f:a": {}, "f:old": {}}},
    time="2026-01-01T00:00:00Z",
)
OURS = entry("slipway", "Apply", {"f:data": {"f:a": {}}})
STATUS = entry("kube-controller-manager", "Update", {"f:status": {}}, subresource="status")


def test_predecessors_are_named_until_the_object_is_ours() -> None:
    assert predecessors([KUBECTL, STATUS]) == ("kubectl-client-side-apply",)
    assert predecessors([entry("helm", "Update", {}), entry("kubectl", "Apply", {})]) == ("helm", "kubectl")
    assert predecessors([KUBECTL, OURS]) == ()
    assert predecessors([entry("kubectl-edit", "Update", {}), STATUS]) == ()


def test_kubectl_scale_is_not_kubectl_apply() -> None:
    scaled = entry("kubectl", "Update", {"f:spec": {"f:replicas": {}}}, subresource="scale")
    assert predecessors([scaled]) == ()


def test_their_sets_become_one_of_ours_and_the_others_stay() -> None:
    last = entry(
        "kubectl-last-applied",
        "Apply",
        {"f:metadata": {"f:annotations": {"f:x": {}}}},
        time="2026-01-02T00:00:00Z",
    )
    old_version = {**entry("helm", "Update", {"f:data": {"f:other": {}}}), "apiVersion": "v1beta1"}
    found = taken_over([KUBECTL, STATUS, last, old_version], "v1")
    assert found[0] == STATUS
    assert len(found) == 2
    assert (found[1]["manager"], found[1]["operation"], found[1]["time"]) == (
        "slipway",
        "Apply",
        "2026-01-02T00:00:00Z",
    )
    assert found[1]["fieldsV1"] == union(KUBECTL["fieldsV1"], last["fieldsV1"])


def test_dropped_is_what_only_predecessors_own() -> None:
    edit = entry("kubectl-edit", "Update", {"f:data": {"f:edited": {}}})
    theirs = entry("helm", "Update", {"f:data": {"f:edited": {}, "f:gone": {}}})
    assert dropped_fields([KUBECTL, theirs, OURS, edit]) == {"f:data": {".": {}, "f:old": {}, "f:gone": {}}}


def test_dropped_fields_go_and_defaults_come_back() -> None:
    result = {
        "data": {"a": "1", "old": "2"},
        "spec": {
            "replicas": 3,
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "set": ["x", "y"],
        },
    }
    dropped = {
        "f:data": {"f:old": {}},
        "f:spec": {
            "f:replicas": {},
            "f:env": {'k:{"name":"B"}': {".": {}, "f:name": {}, "f:value": {}}},
            "f:set": {'v:"y"': {}},
        },
    }
    after = without_fields(result, dropped, {"spec": {"replicas": 1}})
    assert after == {
        "data": {"a": "1"},
        "spec": {"replicas": 1, "env": [{"name": "A", "value": "1"}], "set": ["x"]},
    }
    assert result["data"]["old"] == "2"


def test_a_map_that_is_left_empty_goes() -> None:
    result = {"metadata": {"labels": {"old": "1"}}}
    dropped = {"f:metadata": {"f:labels": {".": {}, "f:old": {}}}}
    assert "labels" not in without_fields(result, dropped, {}).get("metadata", {})


@pytest.mark.parametrize(
    ("message", "who", "predecessor", "person"),
    [
        ('conflict with "kubectl-client-side-apply" using v1', "kubectl apply", True, True),
        ('conflict with "kubectl-edit" using apps/v1 at 2026-01-01T00:00:00Z', "kubectl edit", False, True),
        ('conflict with "kubectl" with subresource "scale" using apps/v1', "kubectl scale", False, True),
        (
            'conflict with "kube-controller-manager" with subresource "scale" using apps/v1',
            "an autoscaler",
            False,
            False,
        ),
        ('conflict with "argocd-controller"', "argocd-controller", False, False),
        ('conflict with "helm"', "helm", True, True),
    ],
)
def test_conflicts_say_who(message: str, who: str, predecessor: bool, person: bool) -> None:
    (found,) = conflicts_of([Cause(".spec.replicas", "FieldManagerConflict", message)])
    assert (found.who, found.by_predecessor, found.by_person) == (who, predecessor, person)
    assert found.field == "spec.replicas"


def test_other_causes_are_no_conflicts() -> None:
    assert conflicts_of([Cause("spec", "FieldValueInvalid", "nonsense")]) == ()
