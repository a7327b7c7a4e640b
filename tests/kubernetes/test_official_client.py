"""The official Python client, as people use it, on both control planes: typed calls, the dynamic client, its watch.

Each control plane must serve it as a real server does: the portal's own requests go through it, and scripts of the
sandbox's users may.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config, watch
from kubernetes.client import (
    ApiClient,
    ApiException,
    AppsV1Api,
    AuthorizationV1Api,
    BatchV1Api,
    CoreV1Api,
    CustomObjectsApi,
    V1ConfigMap,
    V1DeleteOptions,
    V1ObjectMeta,
    V1Preconditions,
    V1ResourceAttributes,
    V1Secret,
    V1SelfSubjectAccessReview,
    V1SelfSubjectAccessReviewSpec,
    VersionApi,
)
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ConflictError, ResourceNotFoundError

from tests.kubernetes.support import JSON_PATCH, MERGE, SSA, Home, Json, config_map, deployment, managers
from tests.kubernetes.test_definitions import DEFINITION, widget, widgets

__all__ = ["widgets"]  # a fixture

LIMITS = (3.0, 10.0)


@pytest.fixture(scope="module")
def api(plane: Any) -> Iterator[ApiClient]:
    """A client by the control plane's kubeconfig, read by the library itself."""
    with config.new_client_from_config(config_file=str(plane.kubeconfig)) as found:
        yield found


@pytest.fixture
def core(api: ApiClient) -> CoreV1Api:
    return CoreV1Api(api)


@pytest.fixture
def dynamic(api: ApiClient, tmp_path: Path) -> DynamicClient:
    return DynamicClient(api, cache_file=str(tmp_path / "discovery.json"))


def refused(error: pytest.ExceptionInfo[ApiException]) -> tuple[int, str]:
    """The status and the reason in the Status object that came with it."""
    body = error.value.body
    assert isinstance(body, str)
    return error.value.status, str(ApiClient().deserialize(body, "V1Status", "application/json").reason)


# --- typed -----------------------------------------------------------------------------------------------------------


def test_the_version_and_what_the_account_may(api: ApiClient) -> None:
    info = VersionApi(api).get_code(_request_timeout=LIMITS)
    assert info.git_version.startswith("v1.")
    assert info.platform
    review = V1SelfSubjectAccessReview(
        spec=V1SelfSubjectAccessReviewSpec(
            resource_attributes=V1ResourceAttributes(verb="delete", resource="nodes")
        )
    )
    answer = AuthorizationV1Api(api).create_self_subject_access_review(review, _request_timeout=LIMITS)
    assert answer.status.allowed is True


def test_an_object_from_its_creation_to_its_end(home: Home, core: CoreV1Api) -> None:
    body = V1ConfigMap(metadata=V1ObjectMeta(name="settings", labels={"app": "web"}), data={"a": "1"})
    made = core.create_namespaced_config_map(home.name, body, field_manager="suite")
    assert (made.metadata.namespace, made.data, made.kind) == (home.name, {"a": "1"}, "ConfigMap")
    made.data["b"] = "2"
    replaced = core.replace_namespaced_config_map("settings", home.name, made)
    assert replaced.data == {"a": "1", "b": "2"}
    listed = core.list_namespaced_config_map(home.name, label_selector="app=web")
    assert [item.metadata.name for item in listed.items] == ["settings"]
    assert listed.metadata.resource_version.isdigit()
    assert core.delete_namespaced_config_map("settings", home.name)["status"] == "Success"
    with pytest.raises(ApiException) as caught:
        core.read_namespaced_config_map("settings", home.name)
    assert refused(caught) == (404, "NotFound")


def test_every_kind_of_patch(home: Home, core: CoreV1Api) -> None:
    home.create("configmaps", config_map(labels={"app": "web"}, a="1"))

    def patched(body: Any, content_type: str | None = None) -> dict[str, str]:
        found = core.patch_namespaced_config_map("settings", home.name, body, _content_type=content_type)
        return dict(found.data)

    assert patched({"data": {"b": "2"}}) == {"a": "1", "b": "2"}  # strategic, unless told otherwise
    assert patched({"data": {"a": None}}, MERGE) == {"b": "2"}
    assert patched([{"op": "add", "path": "/data/c", "value": "3"}], JSON_PATCH) == {"b": "2", "c": "3"}
    assert patched([{"op": "remove", "path": "/data/b"}]) == {"c": "3"}  # a list needs no type


def test_pages_of_a_typed_list(home: Home, core: CoreV1Api) -> None:
    for name in "abc":
        home.create("configmaps", config_map(name, {"set": "ours"}))
    first = core.list_namespaced_config_map(home.name, label_selector="set=ours", limit=2)
    assert [item.metadata.name for item in first.items] == ["a", "b"]
    rest = core.list_namespaced_config_map(
        home.name, label_selector="set=ours", limit=2, _continue=first.metadata._continue
    )
    assert [item.metadata.name for item in rest.items] == ["c"]
    assert not rest.metadata._continue


def test_a_secret_is_written_in_clear_and_read_encoded(home: Home, core: CoreV1Api) -> None:
    body = V1Secret(metadata=V1ObjectMeta(name="s"), string_data={"k": "value"})
    made = core.create_namespaced_secret(home.name, body)
    assert (made.data, made.string_data, made.type) == ({"k": "dmFsdWU="}, None, "Opaque")


@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, "NotFound"), (409, "AlreadyExists"), (409, "Conflict"), (422, "Invalid"), (400, "BadRequest")],
)
def test_refusals(home: Home, core: CoreV1Api, status: int, reason: str) -> None:
    home.create("configmaps", config_map())
    wrong = V1DeleteOptions(preconditions=V1Preconditions(uid="another"))
    ask = {
        "NotFound": lambda: core.read_namespaced_config_map("none", home.name),
        "AlreadyExists": lambda: core.create_namespaced_config_map(home.name, config_map()),
        "Conflict": lambda: core.delete_namespaced_config_map("settings", home.name, body=wrong),
        "Invalid": lambda: core.create_namespaced_config_map(home.name, config_map("Not A Name")),
        "BadRequest": lambda: core.create_namespaced_config_map("another", {**config_map(), **_in(home)}),
    }[reason]
    with pytest.raises(ApiException) as caught:
        ask()
    assert refused(caught) == (status, reason)


def _in(home: Home) -> Json:
    return {"metadata": {"name": "x", "namespace": home.name}}


def test_workloads_fit_their_types(home: Home, api: ApiClient) -> None:
    apps = AppsV1Api(api)
    made = apps.create_namespaced_deployment(home.name, deployment(replicas=0))
    assert made.spec.strategy.rolling_update.max_surge == "25%"
    home.settled()
    assert apps.read_namespaced_deployment_status("web", home.name).status.observed_generation == 1
    scaled = apps.patch_namespaced_deployment_scale("web", home.name, {"spec": {"replicas": 1}})
    assert (scaled.spec.replicas, scaled.status.selector) == (1, "app=web")
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "i:1"}]}}
    job = {"metadata": {"name": "once"}, "spec": {"suspend": True, "template": template}}
    made_job = BatchV1Api(api).create_namespaced_job(home.name, job)
    assert made_job.spec.backoff_limit == 6
    ended = apps.delete_namespaced_deployment("web", home.name, propagation_policy="Foreground")
    assert ended is not None


@pytest.mark.usefixtures("widgets")
def test_custom_objects(home: Home, api: ApiClient) -> None:
    custom = CustomObjectsApi(api)
    where = (DEFINITION["spec"]["group"], "v1", home.name, "widgets")
    made = custom.create_namespaced_custom_object(*where, widget(size=2))
    assert made["spec"]["size"] == 2
    patched = custom.patch_namespaced_custom_object(*where, "it", {"spec": {"size": 3}}, _content_type=MERGE)
    assert patched["spec"]["size"] == 3
    found = custom.list_namespaced_custom_object(*where)
    assert [item["metadata"]["name"] for item in found["items"]] == ["it"]
    assert custom.delete_namespaced_custom_object(*where, "it")["status"] == "Success"


# --- server-side apply -----------------------------------------------------------------------------------------------


def test_server_side_apply_and_its_conflict(home: Home, core: CoreV1Api) -> None:
    def applied(manager: str, value: str, **more: Any) -> V1ConfigMap:
        body = config_map(a=value)
        return core.patch_namespaced_config_map(
            "settings", home.name, body, field_manager=manager, _content_type=SSA, **more
        )

    assert applied("one", "1").data == {"a": "1"}
    with pytest.raises(ApiException) as caught:
        applied("two", "2")
    assert refused(caught) == (409, "Conflict")
    assert applied("two", "2", dry_run="All", force=True).data == {"a": "2"}
    assert home.live("configmaps", "settings")["data"] == {"a": "1"}
    assert applied("two", "2", force=True, field_validation="Strict").data == {"a": "2"}
    assert ("two", "Apply", "") in managers(home.live("configmaps", "settings"))


def test_a_misspelt_field_is_refused_when_asked_for(home: Home, api: ApiClient) -> None:
    body = deployment(replicas=0)
    body["spec"]["replica"] = 1
    with pytest.raises(ApiException) as caught:
        AppsV1Api(api).patch_namespaced_deployment(
            "web", home.name, body, field_manager="one", field_validation="Strict", _content_type=SSA
        )
    assert caught.value.status == 500
    assert ".spec.replica: field not declared in schema" in caught.value.body


# --- dynamic ---------------------------------------------------------------------------------------------------------


def test_the_dynamic_client(home: Home, dynamic: DynamicClient) -> None:
    maps = dynamic.resources.get(api_version="v1", kind="ConfigMap", prefix="api")
    made = maps.create(body=config_map(a="1"), namespace=home.name)
    assert made.data.a == "1"
    assert [
        m.metadata.name for m in maps.get(namespace=home.name, field_selector="metadata.name=settings").items
    ] == ["settings"]
    patch = {"metadata": {"name": "settings"}, "data": {"b": "2"}}
    assert maps.patch(body=patch, namespace=home.name).data.to_dict() == {"a": "1", "b": "2"}
    maps.delete(name="settings", namespace=home.name)
    assert maps.get(namespace=home.name, field_selector="metadata.name=settings").items == []


def test_the_dynamic_client_discovers_groups(home: Home, dynamic: DynamicClient) -> None:
    found = dynamic.resources.get(api_version="apps/v1", kind="Deployment")
    assert (found.name, found.namespaced, "patch" in found.verbs) == ("deployments", True, True)
    assert "scale" in found.subresources
    with pytest.raises(ResourceNotFoundError):
        dynamic.resources.get(api_version="apps/v1", kind="Nonsense")


@pytest.mark.usefixtures("widgets")
def test_the_dynamic_client_finds_custom_kinds(home: Home, dynamic: DynamicClient) -> None:
    kind = dynamic.resources.get(api_version="suite.example/v1", kind="Widget")
    made = kind.server_side_apply(body=widget(size=2), namespace=home.name, field_manager="one")
    assert made.spec.size == 2
    with pytest.raises(ConflictError):
        kind.server_side_apply(body=widget(size=3), namespace=home.name, field_manager="two")
    taken = kind.server_side_apply(
        body=widget(size=3), namespace=home.name, field_manager="two", force_conflicts=True
    )
    assert taken.spec.size == 3


# --- watch -----------------------------------------------------------------------------------------------------------


def changes(home: Home) -> None:
    """What the watches below see: one map made, changed, removed."""
    home.create("configmaps", config_map("watched", {"set": "ours"}))
    home.raw.merge(home.path("configmaps", "watched"), {"data": {"a": "1"}})
    home.raw.send("DELETE", home.path("configmaps", "watched"))


def test_a_watch_of_typed_objects(home: Home, core: CoreV1Api) -> None:
    start = core.list_namespaced_config_map(home.name).metadata.resource_version
    threading.Timer(0.2, changes, [home]).start()
    watching = watch.Watch()
    seen = []
    for event in watching.stream(
        core.list_namespaced_config_map,
        home.name,
        resource_version=start,
        label_selector="set=ours",
        timeout_seconds=20,
        _request_timeout=(3, 25),
    ):
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            watching.stop()
    assert seen == [(kind, "watched") for kind in ("ADDED", "MODIFIED", "DELETED")]


def test_a_watch_that_ends_by_itself(home: Home, core: CoreV1Api) -> None:
    home.create("configmaps", config_map())
    seen = {
        event["object"].metadata.name
        for event in watch.Watch().stream(core.list_namespaced_config_map, home.name, timeout_seconds=1)
    }
    assert {"settings"} <= seen <= {"settings", "kube-root-ca.crt"}


def test_a_watch_that_is_refused(home: Home, core: CoreV1Api) -> None:
    with pytest.raises(ApiException) as caught:
        list(
            watch.Watch().stream(
                core.list_namespaced_config_map, home.name, field_selector="spec.x=1", timeout_seconds=3
            )
        )
    assert caught.value.status == 400


def test_a_watch_of_the_dynamic_client(home: Home, dynamic: DynamicClient) -> None:
    maps = dynamic.resources.get(api_version="v1", kind="ConfigMap", prefix="api")
    start = maps.get(namespace=home.name).metadata.resourceVersion
    threading.Timer(0.2, changes, [home]).start()
    watching = watch.Watch()
    seen = []
    for event in maps.watch(namespace=home.name, resource_version=start, timeout=20, watcher=watching):
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            watching.stop()
    assert seen == [(kind, "watched") for kind in ("ADDED", "MODIFIED", "DELETED")]
