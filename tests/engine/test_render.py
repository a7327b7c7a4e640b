"""From documents to the objects of a deploy: secrets files, namespaces, marks, checks."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ManifestError
from engine.manifests.digests import SECRETS_ANNOTATION
from engine.manifests.documents import Document, read_documents
from engine.manifests.masking import LAST_APPLIED
from engine.manifests.missing import missing_references
from engine.manifests.plan import stages
from engine.manifests.references import references_of
from engine.manifests.render import Variable
from engine.manifests.secretfiles import parse_secrets_file
from engine.manifests.stored import from_stored, to_stored
from engine.types import Source
from tests.engine.support import DATA, DIGESTS, WEB, b64, read, rendered

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: ${REPLICAS}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: registry.example.com/shop/web
        env:
        - {name: PASSWORD, valueFrom: {secretKeyRef: {name: app, key: PASSWORD}}}
"""
BLANK = "apiVersion: v1\nkind: Secret\nmetadata: {name: app}\ntype: Opaque\ndata:\n  PASSWORD:\n  OTHER: ''\n"


def populated(password: str = "hunter2-canary", other: str = "o", name: str = "app") -> list[Document]:
    text = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ndata: {{PASSWORD: {b64(password)}, OTHER: {b64(other)}}}"
    return parse_secrets_file(text, path="secrets.yaml")


def refused(documents: list[Document], *variables: Variable, **more: Any) -> tuple[str, ...]:
    with pytest.raises(ManifestError) as caught:
        rendered(documents, *variables, **more)
    return caught.value.problems


def test_a_rendered_deployment() -> None:
    (manifest,) = rendered(read(DEPLOYMENT), Variable("REPLICAS", "2", "number")).manifests
    assert str(manifest.ref) == "Deployment.apps/shop-staging/web"
    assert (manifest.version, str(manifest.source)) == ("v1", "web.yaml:1")
    assert manifest.body["metadata"] == {
        "name": "web",
        "namespace": "shop-staging",
        "labels": {"app": "web", "slipway.dev/environment": "shop.staging"},
        "annotations": {
            "slipway.dev/object": "Deployment.apps/shop-staging/web",
            "slipway.dev/added": "minReadySeconds, because container web has no readiness probe",
        },
    }
    assert manifest.body["spec"]["replicas"] == 2
    template = manifest.body["spec"]["template"]
    assert template["metadata"] == {"labels": {"app": "web"}}  # no marks: they would roll the pods
    assert template["spec"]["containers"][0]["image"] == WEB.reference


def test_documents_are_not_changed() -> None:
    documents = read(DEPLOYMENT + "---\n" + BLANK)
    before = copy.deepcopy(documents)
    rendered(documents, Variable("REPLICAS", "2", "number"), secrets={"web.yaml": populated()}, digested=True)
    assert documents == before


def test_a_namespace_that_is_written_stays() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: other, labels: null, annotations: null}\n"
    (manifest,) = rendered(read(text)).manifests
    assert str(manifest.ref) == "ConfigMap/other/a"


def test_cluster_scoped_objects_have_no_namespace() -> None:
    text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, namespace: other}\n"
    result = rendered(read(text))
    assert str(result.manifests[0].ref) == "Namespace//a"
    assert "namespace" not in result.manifests[0].body["metadata"]
    assert result.warnings == ("web.yaml:1: Namespace lives in no namespace; the one given is left out",)


CRD = """apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: things.example.com}}
spec: {{group: example.com, scope: {scope}, names: {{kind: Thing, plural: things}}}}
---
apiVersion: example.com/v1
kind: Thing
metadata: {{name: a}}
"""


@pytest.mark.parametrize(
    ("scope", "ref"),
    [("Namespaced", "Thing.example.com/shop-staging/a"), ("Cluster", "Thing.example.com//a")],
)
def test_a_definition_of_the_same_deploy_makes_its_kind_known(scope: str, ref: str) -> None:
    assert str(rendered(read(CRD.format(scope=scope))).manifests[1].ref) == ref


def test_an_unknown_kind_is_named() -> None:
    text = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\n"
    assert refused(read(text))[0].startswith("web.yaml:1: the cluster knows no Thing in example.com/v1")


def test_a_secrets_file_takes_the_place_of_its_reference_file() -> None:
    files = {
        "a.yaml": DEPLOYMENT.encode(),
        "secrets.yaml": (BLANK + "---\n" + CONFIG).encode(),
        "z.yaml": CONFIG2.encode(),
    }
    result = rendered(
        read_documents(files), Variable("REPLICAS", "1", "number"), secrets={"secrets.yaml": populated()}
    )
    assert [m.ref.name for m in result.manifests] == ["web", "app", "beside", "last"]
    secret = result.manifests[1]
    assert secret.body["data"] == {"PASSWORD": b64("hunter2-canary"), "OTHER": b64("o")}
    assert secret.secrets_file == "secrets.yaml"
    assert secret.ref.namespace == "shop-staging"
    assert secret.body["metadata"]["labels"] == {"slipway.dev/environment": "shop.staging"}


CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: beside}\n"
CONFIG2 = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: last}\n"


def test_a_secrets_file_without_a_blank_one_is_applied_with_a_warning() -> None:
    result = rendered(read(CONFIG), secrets={"secrets.yaml": populated()})
    assert [m.ref.name for m in result.manifests] == ["beside", "app"]
    assert result.warnings[0].startswith("secrets.yaml holds no Secret at this revision")


def test_secrets_files_are_not_touched_by_variables() -> None:
    value = "${REVISION} ${NOT_KNOWN} $${"
    result = rendered(read(BLANK, "secrets.yaml"), secrets={"secrets.yaml": populated(value)})
    assert result.manifests[0].body["data"]["PASSWORD"] == b64(value)


def test_secrets_in_git_are_filled_and_applied_as_data() -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {x: eA==, z: eA==}\nstringData: {z: '${PROJECT}'}\n"
    body = rendered(read(text)).manifests[0].body
    assert body["data"] == {"x": "eA==", "z": b64("shop")}
    assert "stringData" not in body


def test_an_unknown_variable_in_a_secret_is_not_shown() -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {y: 'pa${canary}ss'}\n"
    (problem,) = refused(read(text))
    assert problem.startswith("web.yaml:4: a value of a Secret holds ${…}")
    assert "canary" not in problem


@pytest.mark.parametrize("value", ["'not base64'", "12345678", "[canary]"])
def test_a_bad_value_of_a_secret_in_git_is_named_not_shown(value: str) -> None:
    (problem,) = refused(
        read(f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\ndata: {{key: {value}}}\n")
    )
    assert problem.startswith("web.yaml:1: Secret a: data.key ")
    assert value.strip("'[]") not in problem


def test_duplicates_that_appear_only_when_rendered() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\n---\n"
    same_name = text + text.replace("name: shop", "name: '${PROJECT}'")
    same_namespace = text + text.replace("name: shop", "name: shop, namespace: shop-staging")
    for documents in (read(same_name), read(same_namespace)):
        assert refused(documents) == (
            "web.yaml:5: ConfigMap shop of namespace shop-staging is already defined at web.yaml:1",
        )


def test_the_copy_that_kubectl_keeps_is_left_out() -> None:
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a, annotations: {{{LAST_APPLIED}: canary, b: c}}}}\n"
    result = rendered(read(text))
    assert result.manifests[0].body["metadata"]["annotations"] == {
        "b": "c",
        "slipway.dev/object": "ConfigMap/shop-staging/a",
    }
    assert "last-applied-configuration" in result.warnings[0]


@pytest.mark.parametrize(
    ("kind", "annotation", "problem"),
    [
        ("batch/v1 Job", "slipway.dev/phase: later", "slipway.dev/phase must be predeploy or postdeploy"),
        (
            "v1 ConfigMap",
            "slipway.dev/phase: predeploy",
            "slipway.dev/phase is for Jobs; this is a ConfigMap",
        ),
        ("v1 ConfigMap", "slipway.dev/wait: maybe", 'slipway.dev/wait must be "true" or "false"'),
        ("v1 ConfigMap", "slipway.dev/timeout: 10 minutes", "slipway.dev/timeout must be a duration"),
        ("v1 ConfigMap", "slipway.dev/prune: always", "slipway.dev/prune can only be never"),
    ],
)
def test_steering_annotations_are_checked(kind: str, annotation: str, problem: str) -> None:
    api_version, name = kind.split()
    text = f"apiVersion: {api_version}\nkind: {name}\nmetadata: {{name: a, annotations: {{{annotation}}}}}\n"
    assert refused(read(text))[0].startswith(f"web.yaml:1: {problem}")


def test_steering_annotations_that_are_right() -> None:
    text = """apiVersion: batch/v1
kind: Job
metadata:
  name: a
  annotations: {slipway.dev/phase: postdeploy, slipway.dev/wait: "false", slipway.dev/timeout: 1h30m, slipway.dev/prune: never}
"""
    assert rendered(read(text)).manifests


def test_values_that_must_be_text() -> None:
    text = DEPLOYMENT.replace("valueFrom: {secretKeyRef: {name: app, key: PASSWORD}}", "value: yes")
    config = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {PORT: '${REPLICAS}'}\n"
    assert refused(read(text + config), Variable("REPLICAS", "1", "number")) == (
        "web.yaml:13: the value of PASSWORD in env of web must be text, found true or false; "
        "write it in quotes, and use variables of type string there",
        "web.yaml:18: data.PORT of ConfigMap c must be text, found a number; "
        "write it in quotes, and use variables of type string there",
    )


def test_a_job_with_an_image_of_the_project_needs_a_phase() -> None:
    job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {PHASE}}\n"
    job += f"spec: {{template: {{spec: {{containers: [{{name: a, image: {WEB.repository}}}]}}}}}}\n"
    assert "Job migrate runs this release's image" in rendered(read(job.replace("PHASE", "a: b"))).warnings[0]
    assert rendered(read(job.replace("PHASE", "slipway.dev/phase: predeploy"))).warnings == ()


def template_digest(documents: list[Document], secrets: list[Document]) -> str:
    result = rendered(
        documents, Variable("REPLICAS", "1", "number"), secrets={"secrets.yaml": secrets}, digested=True
    )
    annotations = result.manifests[0].body["spec"]["template"].get("metadata", {}).get("annotations", {})
    return str(annotations.get(SECRETS_ANNOTATION, ""))


def test_only_pods_that_read_a_changed_key_are_rolled() -> None:
    documents = read(DEPLOYMENT)
    first = template_digest(documents, populated())
    assert len(first) == 16
    assert template_digest(documents, populated(other="changed")) == first
    assert template_digest(documents, populated(password="changed")) != first
    assert template_digest(documents, populated(name="another")) == ""


@pytest.mark.parametrize(
    "use",
    ["envFrom: [{secretRef: {name: app}}]", "image: x, volumeMounts: []"],
)
def test_who_reads_a_whole_secret_is_rolled_by_any_key(use: str) -> None:
    text = f"""apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: web}}
spec:
  template:
    spec:
      imagePullSecrets: [{{name: pull}}]
      containers: [{{name: web, {use}}}]
      volumes: [{{name: v, secret: {{secretName: app}}}}]
"""
    documents = read(text)
    first = template_digest(documents, populated())
    assert first
    assert template_digest(documents, populated(other="changed")) != first
    assert template_digest(documents, populated(name="pull")) == ""  # pull secrets are renewed all day


FIELDS = """spec template metadata annotations labels containers initContainers env envFrom valueFrom secretKeyRef name
image volumes secret secretName projected sources items key imagePullSecrets data stringData group names scope kind
jobTemplate command args volumeClaimTemplates persistentVolumeClaim claimName optional"""
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS.split()), inner, max_size=5)
    ),
    max_leaves=25,
)
KINDS = [
    "v1 Secret",
    "v1 Pod",
    "v1 ConfigMap",
    "apps/v1 Deployment",
    "batch/v1 CronJob",
    "batch/v1 Job",
    "v1 ServiceAccount",
]
KINDS += [
    "apiextensions.k8s.io/v1 CustomResourceDefinition",
    "cert-manager.io/v1 Certificate",
    "v1 PodTemplate",
]


@given(
    st.sampled_from(KINDS), st.dictionaries(st.sampled_from(["spec", "data", "stringData", "template"]), ODD)
)
def test_nonsense_in_an_object_is_rendered_or_refused(kind: str, fields: dict[str, Any]) -> None:
    api_version, name = kind.split()
    body = {"apiVersion": api_version, "kind": name, "metadata": {"name": "a"}, **fields}
    document = Document(body, Source("a.yaml", 1))
    try:
        result = rendered([document], digested=True)
    except ManifestError:
        return
    assert len(stages(result.manifests, deploy_number=1)) == 1
    assert isinstance([references_of(m) for m in result.manifests], list)
    assert isinstance(missing_references(result.manifests, lambda *_: None), list)


@pytest.mark.skipif(not DATA.exists(), reason=f"the published install files are not at {DATA}")
@pytest.mark.parametrize(
    ("file", "kinds_by_stage"),
    [
        (
            "cert-manager-v1.14.4.yaml",
            [
                ("foundations", {"CustomResourceDefinition", "Namespace"}),
                ("config", {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ServiceAccount"}),
                ("workloads", {"Deployment", "Service"}),
                ("workloads", {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}),
                ("workloads", {"ClusterIssuer"}),
            ],
        ),
        (
            "ingress-nginx-digitalocean.yaml",
            [
                ("foundations", {"IngressClass", "Namespace"}),
                (
                    "config",
                    {
                        "ClusterRole",
                        "ClusterRoleBinding",
                        "ConfigMap",
                        "Role",
                        "RoleBinding",
                        "ServiceAccount",
                    },
                ),
                ("workloads", {"Deployment", "Job", "Service"}),
                ("workloads", {"ValidatingWebhookConfiguration"}),
            ],
        ),
    ],
)
def test_published_install_files_render_and_plan(
    file: str, kinds_by_stage: list[tuple[str, set[str]]]
) -> None:
    documents = read_documents({file: (DATA / file).read_bytes()})
    result = rendered(documents, digested=True)
    assert len(result.manifests) == len(documents)
    assert all(
        "has no readiness probe" in warning for warning in result.warnings
    )  # true of cert-manager's own file
    assert all("@sha256:" in image or ":v" in image for image in result.images)
    planned = stages(result.manifests, deploy_number=1)
    assert [(str(s.phase), {m.ref.kind for m in s.manifests}) for s in planned] == kinds_by_stage
    assert missing_references(result.manifests, lambda *_: None) == []
    kept = to_stored(result.manifests, digests=DIGESTS, version_ids={})
    assert from_stored(kept, secrets={}, git_documents=documents, digests=DIGESTS) == list(result.manifests)
    for manifest, document in zip(result.manifests, documents, strict=True):
        written = {k: v for k, v in document.body.items() if k != "metadata"}
        if "slipway.dev/added" in manifest.body["metadata"].get(
            "annotations", {}
        ):  # the only field that is added
            written["spec"] = {**written["spec"], "minReadySeconds": manifest.body["spec"]["minReadySeconds"]}
        assert {k: v for k, v in manifest.body.items() if k != "metadata"} == written
