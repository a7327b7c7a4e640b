"""What a change means in words: typed, short, in order, and without a value of a Secret."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cluster.changes import ObjectChange
from engine.cluster.summary import MOST, summary
from engine.manifests.meaning.quantities import amount, of_bytes, of_cores
from engine.manifests.meaning.reading import LONGEST_NAME, meanings
from engine.manifests.meaning.words import LONGEST, MOST_TOLD, Meaning, in_order
from engine.types import Action, Json, ObjectRef

WEB: Json = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "replicas": 2,
        "template": {
            "metadata": {"labels": {"app": "web"}, "annotations": {"slipway.dev/secrets": "one"}},
            "spec": {
                "containers": [
                    {
                        "name": "web",
                        "image": "registry.example/shop/web:4e6908a@sha256:" + "a" * 64,
                        "resources": {"limits": {"memory": "256Mi", "cpu": "250m"}},
                        "env": [
                            {"name": "LOG_LEVEL", "value": "info"},
                            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "app", "key": "TOKEN"}}},
                        ],
                        "readinessProbe": {"httpGet": {"path": "/up"}, "periodSeconds": 10},
                    }
                ]
            },
        },
    },
}


PODS: Json = {"template": {"spec": {"containers": [{"image": "a/m:2"}]}}}


def rules(*hosts: str) -> Json:
    return {"rules": [{"host": host} for host in hosts]}


def ports(*numbers: int) -> Json:
    return {"ports": [{"port": number} for number in numbers]}


def storage(size: str) -> Json:
    return {"resources": {"requests": {"storage": size}}}


def pod(body: Json) -> Any:
    return body["spec"]["template"]["spec"]


def told(before: Json | None, after: Json) -> list[str]:
    return [one.text for one in meanings(before, after)]


def changed(what: Any) -> list[str]:
    """What is told of the Deployment after `what` was done to it."""
    after = copy.deepcopy(WEB)
    what(after, pod(after)["containers"][0])
    return told(WEB, after)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (lambda b, c: c.update(image=WEB_AT("e8613d3", "b")), ["image 4e6908a → e8613d3", "restarts 2 pods"]),
        (lambda b, c: c.update(image=WEB_AT("4e6908a", "b")), ["image 4e6908a@aaaaaaa → 4e6908a@bbbbbbb", "restarts 2 pods"]),
        (lambda b, c: c.update(image="docker.io/library/nginx:1"), ["image web:4e6908a → nginx:1", "restarts 2 pods"]),
        (lambda b, c: b["spec"].update(replicas=3), ["replicas 2 → 3"]),
        (lambda b, c: c["resources"]["limits"].update(memory="320Mi"), ["memory limit 256 → 320 Mi", "restarts 2 pods"]),
        (lambda b, c: c["resources"]["limits"].update(memory="1Gi"), ["memory limit 256 → 1024 Mi", "restarts 2 pods"]),
        (lambda b, c: c["resources"]["limits"].update(cpu="0.5"), ["CPU limit 250 → 500 m", "restarts 2 pods"]),
        (lambda b, c: c["resources"].update(requests={"memory": "64Mi"}), ["memory request 64 Mi added", "restarts 2 pods"]),
        (lambda b, c: c["resources"]["limits"].pop("cpu"), ["CPU limit 250 m removed", "restarts 2 pods"]),
        (lambda b, c: c["env"][0].update(value="debug"), ["LOG_LEVEL info → debug", "restarts 2 pods"]),
        (lambda b, c: c["env"][0].update(value="x" * 41), ["LOG_LEVEL changed", "restarts 2 pods"]),
        (lambda b, c: c["env"].pop(0), ["LOG_LEVEL removed", "restarts 2 pods"]),
        (lambda b, c: c["env"].insert(0, {"name": "A", "value": "1"}), ["A added", "restarts 2 pods"]),
        (lambda b, c: c["env"][1]["valueFrom"]["secretKeyRef"].update(key="T"), ["TOKEN changed", "restarts 2 pods"]),
        (lambda b, c: c["readinessProbe"].update(periodSeconds=5), ["readiness probe period seconds 10 → 5", "restarts 2 pods"]),
        (lambda b, c: c.update(livenessProbe={"tcpSocket": {"port": 1}}), ["liveness probe added", "restarts 2 pods"]),
        (lambda b, c: c.pop("readinessProbe"), ["readiness probe removed", "restarts 2 pods"]),
        (lambda b, c: c.update(ports=[{"containerPort": 8080}]), ["port 8080 added", "restarts 2 pods"]),
        (lambda b, c: pod(b)["containers"].append({"name": "side", "image": "x:1"}), ["container side added", "restarts 2 pods"]),
        (lambda b, c: b["spec"].update(strategy={"type": "Recreate"}), ["strategy type Recreate added"]),
        (lambda b, c: b["metadata"].update(labels={"slipway.dev/environment": "shop.staging"}), ["only the portal’s own marks"]),
        (
            lambda b, c: b["spec"]["template"]["metadata"]["annotations"].update({"slipway.dev/secrets": "two"}),
            ["reads changed secrets", "restarts 2 pods"],
        ),
        (lambda b, c: c["resources"]["limits"].update(cpu="0.25"), ["restarts 2 pods"]),
        (lambda b, c: b["spec"].update(paused=True) or c.update(image="a:2"), ["image web:4e6908a → a:2", "paused true added"]),
        (lambda b, c: b["spec"].update(replicas=0) or c.update(image="a:2"), ["image web:4e6908a → a:2", "replicas 2 → 0"]),
    ],
)  # fmt: skip
def test_what_a_change_of_a_workload_means(what: Any, words: list[str]) -> None:
    assert changed(what) == words


def WEB_AT(tag: str, digest: str) -> str:
    return f"registry.example/shop/web:{tag}@sha256:{digest * 64}"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (None, WEB, ["new", "image web:4e6908a"]),
        (None, {"kind": "Job", "spec": PODS}, ["new", "runs once", "image m:2"]),
        ({"kind": "CronJob", "spec": {"schedule": "@daily"}}, {"schedule": "5 4 * * *"}, ["schedule @daily → 5 4 * * *"]),
        ({"kind": "CronJob", "spec": {"suspend": False}}, {"suspend": True}, ["suspended"]),
        ({"kind": "Ingress", "spec": rules("a")}, rules("b"), ["host a removed", "host b added"]),
        ({"kind": "Ingress", "spec": rules("a")}, {"rules": [{"host": "a", "http": {}}]}, ["rules changed"]),
        ({"kind": "Service", "spec": ports(80)}, ports(80, 443), ["port 443 added"]),
        ({"kind": "PersistentVolumeClaim", "spec": storage("1Gi")}, storage("1536Mi"), ["storage 1024 → 1536 Mi"]),
        ({"kind": "HorizontalPodAutoscaler", "spec": {"maxReplicas": 3}}, {"maxReplicas": 5}, ["replicas at most 3 → 5"]),
        ({"kind": "Widget", "spec": {"sizeOfAll": 3}}, {"sizeOfAll": 5}, ["size of all 3 → 5"]),
    ],
)  # fmt: skip
def test_what_other_changes_mean(before: Json | None, after: Json, words: list[str]) -> None:
    if before is not None:
        after = {"kind": before["kind"], "spec": after}
    assert sorted(told(before, after)) == sorted(words)


def test_keys_of_a_config_map() -> None:
    before, after = {"A": "1", "B": "2"}, {"A": "3", "C": "4"}
    words = told({"kind": "ConfigMap", "data": before}, {"kind": "ConfigMap", "data": after})
    assert words == ["A changed", "B removed", "C added"]


def test_one_change_of_all_containers_is_told_once() -> None:
    before = copy.deepcopy(WEB)
    pod(before)["initContainers"] = [{"name": "wait", "image": WEB_AT("4e6908a", "a")}]
    after = copy.deepcopy(before)
    for container in (*pod(after)["containers"], *pod(after)["initContainers"]):
        container["image"] = WEB_AT("e8613d3", "b")
    assert told(before, after)[0] == "image 4e6908a → e8613d3"
    pod(after)["initContainers"][0]["image"] = WEB_AT("4e6908a", "a")
    assert told(before, after)[0] == "web: image 4e6908a → e8613d3"


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("256Mi", "320Mi"), (("256", "320"), "Mi")),
        (("1Gi", "1.5Gi"), (("1024", "1536"), "Mi")),
        (("1G", "1Gi"), (("1000000000", "1073741824"), "bytes")),
        (("0", "0"), (("0", "0"), "bytes")),
        (("lots", "1Gi"), (("lots", "1Gi"), "")),
    ],
)
def test_bytes_stand_in_one_unit(texts: Any, words: Any) -> None:
    got = of_bytes(*texts)
    assert got == words or (texts[0] == "1G" and got == (("1000000", "1048576"), "k"))


@given(st.integers(1, 10**6), st.sampled_from(["", "m"]), st.integers(1, 10**6), st.sampled_from(["", "m"]))
def test_cores_keep_their_amounts(one: int, unit: str, other: int, unit_of_other: str) -> None:
    texts, told_unit = of_cores(f"{one}{unit}", f"{other}{unit_of_other}")
    assert [amount(f"{text}{told_unit}") for text in texts] == [
        amount(f"{one}{unit}"),
        amount(f"{other}{unit_of_other}"),
    ]


KINDS = [
    "Deployment",
    "CronJob",
    "Job",
    "Pod",
    "Secret",
    "ConfigMap",
    "Ingress",
    "Service",
    "Widget",
    "DaemonSet",
]
KEYS = st.sampled_from(
    ["spec", "template", "jobTemplate", "containers", "initContainers", "name", "image", "env", "value", "resources",
     "limits", "memory", "rules", "host", "data", "metadata", "annotations", "labels", "slipway.dev/secrets", "ports",
     "replicas", "suspend", "", "ä" * 300]
)  # fmt: skip
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.floats(allow_nan=False), st.text(max_size=60)
)
TREES = st.recursive(
    VALUES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=25,
)
BODIES = st.builds(
    lambda kind, rest: {**rest, "kind": kind},
    st.sampled_from(KINDS),
    st.dictionaries(KEYS, TREES, max_size=5),
)


@given(BODIES, BODIES)
def test_whatever_the_objects_are_the_words_are_few_short_in_order_and_the_same_again(
    before: Json, after: Json
) -> None:
    found = meanings(before, after)
    assert found == meanings(copy.deepcopy(before), copy.deepcopy(after))
    assert len(found) <= MOST_TOLD
    head = [one for one in found if one.what != "more"]
    assert [one.order for one in head] == sorted(one.order for one in head)
    for one in found:
        assert max(map(len, (one.name, one.before, one.after))) <= LONGEST_NAME + LONGEST + 1
        assert one.text.strip() == one.text != ""
    assert meanings(None, after)


@given(BODIES)
def test_an_object_that_stays_means_nothing(body: Json) -> None:
    assert meanings(body, copy.deepcopy(body)) == ()


VALUE = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=8, max_size=30)


@given(VALUE, VALUE, VALUE)
def test_no_value_of_a_secret_is_in_it(one: str, other: str, plain: str) -> None:
    hidden = [base64.b64encode(value.encode()).decode() for value in (one, other)]
    before = {"kind": "Secret", "metadata": {"name": "app"}, "data": {"A": hidden[0], "B": hidden[0]}}
    after = {
        "kind": "Secret",
        "metadata": {"name": "app"},
        "data": {"A": hidden[1], "C": hidden[1]},
        "stringData": {"D": plain},
    }
    said = repr(meanings(before, after)) + repr(meanings(None, after))
    for value in (one, other, plain, *hidden):
        assert value not in said or value in ("removed", "changed")


def test_a_shapeless_secret_is_hidden_as_well() -> None:
    assert told({"kind": "Secret", "data": "hush-hush"}, {"kind": "Secret", "data": ["hush"]}) == [
        "data changed"
    ]


@given(st.integers(MOST_TOLD + 1, 80))
def test_of_many_the_number_of_the_others_is_told(count: int) -> None:
    found = in_order([Meaning("env", f"V{n}", "added") for n in range(count)])
    assert len(found) == MOST_TOLD
    assert int(found[-1].after) == count - MOST_TOLD + 1


# The whole deploy


def change(
    name: str, *found: Meaning, kind: str = "Deployment", action: Action = Action.CHANGE
) -> ObjectChange:
    return ObjectChange(ObjectRef(kind, "", "shop", name), action, meaning=found)


def strip(*changes: ObjectChange) -> list[str]:
    return [f"{one.names}: {one.text}" if one.refs else one.text for one in summary(changes)]


def test_the_summary_of_a_deploy() -> None:
    image = Meaning("image", before="4e6908a", after="e8613d3")
    new = Action.CREATE
    assert strip(
        change(
            "web",
            image,
            Meaning("memory", "limit", "changed", "256", "320", "Mi"),
            Meaning("restarts", after="3"),
        ),
        change("worker", image, Meaning("restarts", after="1")),
        change("migrate", Meaning("new"), Meaning("runs"), kind="Job", action=new),
        change("settings", Meaning("new"), kind="ConfigMap", action=new),
        change("app", Meaning("key", "TOKEN", "changed"), Meaning("key", "OLD", "removed"), kind="Secret"),
        change("web", Meaning("marks"), kind="Service"),
        change("same", action=Action.UNCHANGED),
    ) == [
        "web, worker: image 4e6908a → e8613d3",
        "web: memory limit 256 → 320 Mi",
        "app: 2 keys changed",
        "migrate: runs once",
        "1 new",
        "web, worker: restart 4 pods",
        "1 with nothing but the portal’s own marks",
    ]


@given(st.integers(0, 60))
def test_the_summary_is_bounded(count: int) -> None:
    said = strip(*(change(f"w{n}", Meaning("env", f"V{n}", "added")) for n in range(count)))
    assert len(said) == min(count, MOST) + (count > MOST)
    assert count <= MOST or said[-1] == f"{count - MOST} further changes"
