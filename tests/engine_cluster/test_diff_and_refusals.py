"""Diffs as people read them, and refusals in words."""

from __future__ import annotations

import copy
from typing import Any
from urllib.parse import unquote

import pytest
from urllib3.util import parse_url

from engine.cluster import diff
from engine.cluster.client import ApiError, Cause
from engine.cluster.diff import comparable, diff_lines
from engine.cluster.refusals import explain, lacks_dry_run, silent_webhook, unknown_fields
from engine.cluster.resources import BUILT_IN, ClusterKinds, UnknownKind, built_in, crd_resources
from engine.types import Json
from tests.engine_cluster.fake_client import FakeClient
from tests.engine_cluster.objects import config_map, deployment, manifest, secret


def digest(value: bytes) -> str:
    return f"{sum(value):x}"


def as_live(body: Json, version: str) -> Json:
    """As the server shows it: with what it keeps for itself."""
    body = copy.deepcopy(body)
    body["metadata"] |= {
        "uid": "u",
        "resourceVersion": version,
        "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"manager": version}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": f"hush {version}"},
    }
    return {**body, "status": {"seen": version}}


def test_what_the_server_keeps_for_itself_is_no_difference() -> None:
    first, second = as_live(config_map("shop"), "1"), as_live(config_map("shop"), "2")
    assert comparable(first) == comparable(second)
    assert diff_lines(first, second, digest=digest) == ()


def test_a_change_shows_with_its_surroundings() -> None:
    lines = diff_lines(
        as_live(config_map("shop", a="1"), "1"), as_live(config_map("shop", a="2"), "2"), digest=digest
    )
    assert lines[0].startswith("@@ ")
    assert "-  a: '1'" in lines
    assert "+  a: '2'" in lines
    assert "hush" not in "\n".join(lines)


def test_the_order_of_members_is_no_difference() -> None:
    before = {"apiVersion": "v1", "kind": "X", "metadata": {}, "spec": {"a": [{"x": 1, "y": 2}], "b": 1}}
    after = {"apiVersion": "v1", "kind": "X", "metadata": {}, "spec": {"b": 1, "a": [{"y": 2, "x": 1}]}}
    assert diff_lines(before, after, digest=digest) == ()


def test_texts_of_many_lines_are_compared_line_by_line() -> None:
    before, after = config_map("shop", f="one\ntwo\nthree\n"), config_map("shop", f="one\n2\nthree\n")
    lines = diff_lines(before, after, digest=digest)
    assert "-    two" in lines
    assert "+    2" in lines


def test_secret_values_show_as_digests_only() -> None:
    lines = diff_lines(
        secret("shop", A="aHVzaA==", B="c2FtZQ=="), secret("shop", A="bmV3", B="c2FtZQ=="), digest=digest
    )
    changed = [line for line in lines if line[0] in "+-"]
    assert len(changed) == 2
    for value in ("aHVzaA", "hush", "bmV3", "new", "c2FtZQ"):
        assert value not in "\n".join(lines)


def test_strict_validation_names_the_fields() -> None:
    text = (
        'strict decoding error: unknown field "spec.replicaz", unknown field "spec.template.spec.contaners"'
    )
    refusal = explain(ApiError(text, status=400), manifest(deployment("shop"), 7))
    assert refusal.fields == ("spec.replicaz", "spec.template.spec.contaners")
    assert "(app.yaml:7)" in refusal.sentence
    assert unknown_fields(ApiError(".spec.x: field not declared in schema", status=500)) == ("spec.x",)


def test_the_values_of_a_bad_secret_are_not_quoted() -> None:
    cause = Cause("data[k]", "FieldValueInvalid", 'Invalid value: "hush"')
    error = ApiError('Secret "keys" is invalid: "hush"', status=422, reason="Invalid", causes=[cause])
    refusal = explain(error, manifest(secret("shop")))
    assert "data[k]" in refusal.sentence
    assert "hush" not in refusal.sentence + refusal.hint


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        (403, 'admission webhook "policy.example" denied the request: no latest tags', "no latest tags"),
        (400, 'admission webhook "policy.example" denied the request: no latest tags', "no latest tags"),
        (403, 'pods "x" is forbidden: exceeded quota: few, requested: pods=1', "exceeded quota: few"),
        (
            403,
            "unable to create new content in namespace shop because it is being terminated",
            "is being deleted",
        ),
        (403, 'User "u" cannot patch resource "deployments"', "may not do this"),
        (404, 'namespaces "shop" not found', "the namespace shop does not exist"),
        (404, "the server could not find the requested resource", "does not serve Deployment of apps/v1"),
        (413, "request is too large", "too large"),
    ],
)
def test_refusals_in_words(status: int, text: str, words: str) -> None:
    assert words in explain(ApiError(text, status=status), manifest(deployment("shop"))).sentence


def test_webhooks_that_are_silent_or_refuse_dry_runs() -> None:
    text = (
        'Internal error occurred: failed calling webhook "w.example": no endpoints available for service "w"'
    )
    assert silent_webhook(ApiError(text, status=500, reason="InternalError")) == "w.example"
    assert silent_webhook(ApiError(text, status=403)) == ""
    text = 'admission webhook "w.example" does not support dry run'
    assert lacks_dry_run(ApiError(text, status=400)) == "w.example"


def test_paths() -> None:
    assert built_in("Pod").path("shop", "web") == "/api/v1/namespaces/shop/pods/web"
    assert built_in("Deployment", "apps/v1").path("shop") == "/apis/apps/v1/namespaces/shop/deployments"
    assert built_in("Namespace").path("", "shop") == "/api/v1/namespaces/shop"
    assert built_in("Pod").path() == "/api/v1/pods"
    assert len(BUILT_IN) > 40


def test_kinds_come_from_the_table_from_definitions_and_from_the_cluster_once() -> None:
    names = {"kind": "Widget", "plural": "widgets"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.x.io"},
        "spec": {
            "group": "x.io",
            "scope": "Cluster",
            "names": names,
            "versions": [{"name": "v1"}, {"name": "v0", "served": False}],
        },
    }
    assert [resource.version for resource in crd_resources(definition)] == ["v1"]
    kinds = ClusterKinds(FakeClient([]))
    assert kinds.namespaced("apps", "v1", "Deployment") is True
    assert kinds.namespaced("x.io", "v1", "Widget") is None
    kinds.learn([manifest(definition)])
    assert kinds.namespaced("x.io", "v1", "Widget") is False
    strange = manifest({"apiVersion": "y.io/v1", "kind": "Odd", "metadata": {"name": "a"}})
    with pytest.raises(
        UnknownKind, match=r"app\.yaml:1: the cluster does not know the kind Odd \(y\.io/v1\)"
    ):
        kinds.path_of(strange)


@pytest.mark.parametrize("name", ["../secrets/db", "..", ".", "a?dryRun=All", "a#b", "a%2fb", "a b"])
def test_no_name_leads_to_another_path(name: str) -> None:
    path = built_in("ConfigMap").path("shop", name)
    sent = parse_url(f"https://cluster.example{path}")  # as the HTTP client does, which follows `..`
    assert (sent.path, sent.query) == (path, None)
    assert [unquote(part) for part in path.split("/")] == [
        "",
        "api",
        "v1",
        "namespaces",
        "shop",
        "configmaps",
        name,
    ]


def test_names_of_roles_stay_readable() -> None:
    path = built_in("ClusterRole", "rbac.authorization.k8s.io/v1").path("", "system:node")
    assert path == "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node"


class TestHowTextIsWritten:
    """Many objects are written in a preview: by libyaml, which is fast."""

    def test_an_emoji_in_a_file_of_many_lines_leaves_the_lines(self) -> None:
        lines = diff_lines(None, config_map("shop", motd="hello\n😀 world\n"), digest=digest)
        assert "+  motd: |" in lines
        assert "+    😀 world" in lines

    def test_what_looks_like_another_type_stays_quoted(self) -> None:
        lines = diff_lines(None, config_map("shop", a="1", b="yes", c="", d="a: b", e="# no"), digest=digest)
        assert lines[-5:] == ("+  a: '1'", "+  b: 'yes'", "+  c: ''", "+  d: 'a: b'", "+  e: '# no'")

    def test_characters_that_end_a_line_elsewhere_do_not_end_it(self) -> None:
        lines = diff_lines(None, config_map("shop", a="x\u2028y\x85z"), digest=digest)
        assert lines[-1].startswith('+  a: "x')

    def test_parts_that_repeat_are_written_out(self) -> None:
        part = {"x": "y"}
        lines = diff_lines(
            None,
            {"kind": "A", "apiVersion": "v1", "metadata": {"name": "a"}, "spec": [part, part]},
            digest=digest,
        )
        assert lines[-2:] == ("+- x: y", "+- x: y")

    @pytest.mark.parametrize(
        "body", [{"v": "x" * 1_900_000}, {"v": ["1", 2] * 100_000}, {"v": "a b\n" * 400_000}]
    )
    def test_a_long_object_is_written_by_libyaml(self, body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """The other writer needs seconds for it."""
        monkeypatch.setattr(diff, "_Pure", None)
        whole = {"kind": "A", "apiVersion": "v1", "metadata": {"name": "a"}, **body, "w": "😀"}
        lines = diff_lines(None, whole, digest=digest)
        assert len(lines) <= diff.MAX_LINES + 1
