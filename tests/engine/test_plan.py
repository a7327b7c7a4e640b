"""Stages keep every object once and put what is needed before who needs it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from engine.manifests.plan import Phase, numbered_name, stages
from engine.manifests.references import references_of
from engine.types import OBJECT_ANNOTATION, Json, Manifest, ObjectRef, Source

DEFINITION: Json = {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Thing"}}
POD: Json = {
    "template": {
        "spec": {
            "serviceAccountName": "x-ServiceAccount",
            "containers": [{"name": "a", "envFrom": [{"secretRef": {"name": "x-Secret"}}]}],
            "volumes": [
                {"name": "v", "configMap": {"name": "x-ConfigMap"}},
                {"name": "w", "persistentVolumeClaim": {"claimName": "x-PersistentVolumeClaim"}},
            ],
        }
    }
}
ORDER = {
    "Namespace": 0, "CustomResourceDefinition.apiextensions.k8s.io": 0, "PriorityClass.scheduling.k8s.io": 0,
    "StorageClass.storage.k8s.io": 0, "IngressClass.networking.k8s.io": 0,
    "ServiceAccount": 1, "ConfigMap": 1, "Secret": 1, "PersistentVolumeClaim": 1, "NetworkPolicy.networking.k8s.io": 1,
    "ResourceQuota": 1, "ClusterRole.rbac.authorization.k8s.io": 1, "RoleBinding.rbac.authorization.k8s.io": 1,
    "predeploy": 2,
    "Deployment.apps": 3, "Service": 3, "Ingress.networking.k8s.io": 3, "Job.batch": 3, "CronJob.batch": 3,
    "ClusterIssuer.cert-manager.io": 3, "HorizontalPodAutoscaler.autoscaling": 3, "Unheard.of": 3,
    "ValidatingWebhookConfiguration.admissionregistration.k8s.io": 4, "APIService.apiregistration.k8s.io": 4,
    "MutatingWebhookConfiguration.admissionregistration.k8s.io": 4,
    "Thing.example.com": 5,
    "postdeploy": 6,
}  # fmt: skip


def manifest(kind_group: str, name: str = "x", number: int = 0) -> Manifest:
    phase = kind_group if kind_group in ("predeploy", "postdeploy") else ""
    kind, _, group = ("Job.batch" if phase else kind_group).partition(".")
    ref = ObjectRef(kind, group, "shop", f"{name}-{phase or kind}" + (f"-{number}" if number else ""))
    annotations = {OBJECT_ANNOTATION: str(ref)} | ({"slipway.dev/phase": phase} if phase else {})
    body: Json = {
        "apiVersion": f"{group}/v1" if group else "v1",
        "kind": kind,
        "metadata": {"name": ref.name, "namespace": "shop", "annotations": annotations},
    }
    if kind == "CustomResourceDefinition":
        body["spec"] = DEFINITION
    elif kind in ("Deployment", "Job"):
        body["spec"] = POD
    return Manifest(ref, "v1", body, Source("a.yaml", 1))


KINDS = st.lists(st.sampled_from(sorted(ORDER)), min_size=1, max_size=30)


@given(KINDS)
def test_every_object_once_in_the_order_of_its_kind(kinds: list[str]) -> None:
    manifests = [manifest(kind, number=number) for number, kind in enumerate(kinds)]
    planned = stages(manifests, deploy_number=42)
    assert all(stage.manifests for stage in planned)
    found = [m for stage in planned for m in stage.manifests]
    assert len(found) == len(manifests)
    plain = [replace_number(m) for m in found]
    assert sorted(plain, key=str) == sorted((m.ref for m in manifests), key=str)
    assert len({m.ref for m in found}) == len(found)
    defined = "CustomResourceDefinition.apiextensions.k8s.io" in kinds
    levels = {k: 3 if k == "Thing.example.com" and not defined else level for k, level in ORDER.items()}
    wanted = [
        r
        for _, r in sorted(
            ((levels[k], n), m.ref) for n, (k, m) in enumerate(zip(kinds, manifests, strict=True))
        )
    ]
    assert plain == wanted


def replace_number(found: Manifest) -> ObjectRef:
    return replace(found.ref, name=found.ref.name.removesuffix("-42"))


@given(KINDS)
def test_what_is_referred_to_comes_in_an_earlier_stage(kinds: list[str]) -> None:
    planned = stages([manifest(kind) for kind in dict.fromkeys(kinds)], deploy_number=1)
    place = {
        (m.ref.kind, m.ref.name): number for number, stage in enumerate(planned) for m in stage.manifests
    }
    for number, stage in enumerate(planned):
        for reference in (r for m in stage.manifests for r in references_of(m)):
            assert place.get((reference.kind, reference.name), -1) < number


def test_phases_have_names() -> None:
    planned = stages([manifest(kind) for kind in ORDER], deploy_number=1)
    assert [stage.phase for stage in planned] == [
        Phase.FOUNDATIONS,
        Phase.CONFIG,
        Phase.PREDEPLOY,
        Phase.WORKLOADS,
        Phase.WORKLOADS,
        Phase.WORKLOADS,
        Phase.POSTDEPLOY,
    ]


def test_jobs_with_a_phase_get_a_name_for_this_deploy() -> None:
    job, plain = manifest("predeploy", "migrate"), manifest("Job.batch", "import")
    pre, work = stages([job, plain], deploy_number=1847)
    (renamed,) = pre.manifests
    assert renamed.ref.name == renamed.body["metadata"]["name"] == "migrate-predeploy-1847"
    assert renamed.body["metadata"]["annotations"][OBJECT_ANNOTATION] == str(renamed.ref)
    assert renamed.body["spec"] is job.body["spec"]
    assert job.body["metadata"]["name"] == "migrate-predeploy"
    assert work.manifests == (plain,)


@given(st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", fullmatch=True), st.integers(1, 10**9))
def test_numbered_names_fit_and_stay_valid(name: str, number: int) -> None:
    found = numbered_name(name, number)
    assert len(found) <= 63
    assert found.endswith(f"-{number}")
    assert not found.startswith(("-", "."))
    if len(name) + len(str(number)) < 63:
        assert found == f"{name}-{number}"


def test_long_names_that_differ_at_the_end_stay_apart() -> None:
    first, second = ("a" * 80 + end for end in "xy")
    assert numbered_name(first, 1) != numbered_name(second, 1)


def test_nothing_gives_no_stages() -> None:
    assert stages([], deploy_number=1) == []
