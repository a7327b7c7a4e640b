"""Marks on pod templates: which pods restart when a Secret or a ConfigMap changes, and which never do for a mark alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.manifests.digests import CONFIG_ANNOTATION, SECRETS_ANNOTATION, with_marks
from engine.manifests.masking import key_digests
from engine.manifests.references import pod_template_of
from engine.manifests.stored import to_stored
from engine.types import Json, Manifest, ObjectRef, Source
from tests.engine.support import b64, digest

SPACE = "shop"


def made(kind: str, name: str, api: str = "v1", **rest: Any) -> Manifest:
    body = {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": SPACE}, **rest}
    group, _, version = api.rpartition("/")
    return Manifest(ObjectRef(kind, group, SPACE, name), version, body, Source("a.yaml", 1))


def secret(**values: str) -> Manifest:
    return made("Secret", "app", data={key: b64(value) for key, value in values.items()})


def config(name: str = "settings", **values: str) -> Manifest:
    return made("ConfigMap", name, data=values)


def workload(kind: str = "Deployment", name: str = "web", **container: Any) -> Manifest:
    pods = {"spec": {"containers": [{"name": name, "image": "x", **container}]}}
    if kind == "CronJob":
        return made(kind, name, "batch/v1", spec={"jobTemplate": {"spec": {"template": pods}}})
    return made(kind, name, "batch/v1" if kind == "Job" else "apps/v1", spec={"template": pods})


def key(source: str, name: str, of: str) -> Json:
    return {"env": [{"name": "A", "valueFrom": {source: {"name": name, "key": of}}}]}


TOKEN = key("secretKeyRef", "app", "TOKEN")
LEVEL = key("configMapKeyRef", "settings", "LEVEL")


def marks(manifests: list[Manifest], before: list[Json] | None = None) -> dict[str, dict[str, str]]:
    """The annotations of each pod template, by the name of its workload."""
    found = {}
    for manifest in with_marks(manifests, digest, before=before or []):
        template = pod_template_of(manifest.body)
        if template is not None:
            found[manifest.ref.name] = template.get("metadata", {}).get("annotations", {})
    return found


def stored(manifests: list[Manifest]) -> list[Json]:
    """A release, as a file of the database has it."""
    return json.loads(json.dumps(to_stored(manifests, digest=digest, version_ids={})))


def test_the_mark_of_secrets_is_the_digest_that_earlier_releases_have() -> None:
    app = secret(TOKEN="t", OTHER="o")
    value = key_digests(app.body, digest)["TOKEN"]
    expected = digest(json.dumps({"app/TOKEN": value}, sort_keys=True).encode())
    assert marks([app, workload(**TOKEN)]) == {"web": {SECRETS_ANNOTATION: expected}}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "CronJob"])
def test_readers_of_a_config_map_have_a_mark_of_their_own(kind: str) -> None:
    first = marks([config(LEVEL="info"), workload(kind, **LEVEL)])["web"]
    assert list(first) == [CONFIG_ANNOTATION]
    assert marks([config(LEVEL="info", MORE="x"), workload(kind, **LEVEL)])["web"] == first
    assert marks([config(LEVEL="debug"), workload(kind, **LEVEL)])["web"] != first


def test_a_cron_job_is_marked_for_secrets() -> None:
    first = marks([secret(TOKEN="t"), workload("CronJob", **TOKEN)])["web"]
    assert list(first) == [SECRETS_ANNOTATION]
    assert marks([secret(TOKEN="u"), workload("CronJob", **TOKEN)])["web"] != first


def test_a_job_is_not_marked() -> None:
    assert marks([config(LEVEL="info"), workload("Job", **LEVEL)]) == {"web": {}}


def test_binary_data_counts() -> None:
    reads = {"envFrom": [{"configMapRef": {"name": "settings"}}]}
    first = made("ConfigMap", "settings", binaryData={"LOGO": "eA=="})
    other = made("ConfigMap", "settings", binaryData={"LOGO": "eQ=="})
    assert marks([first, workload(**reads)]) != marks([other, workload(**reads)])


def test_config_maps_that_the_release_does_not_bring_do_not_count() -> None:
    assert marks([config("other", LEVEL="info"), workload(**LEVEL)]) == {"web": {}}


class TestAfterAnUpgradeOfThePortal:
    """The release that runs was made by a portal that made no marks for ConfigMaps."""

    RAN = (
        config(LEVEL="info"),
        secret(TOKEN="t"),
        workload(**LEVEL),
        workload("CronJob", "nightly", **TOKEN),
    )

    def test_nothing_restarts_for_a_mark_alone(self) -> None:
        assert marks(list(self.RAN), stored(list(self.RAN))) == {"web": {}, "nightly": {}}

    def test_what_reads_a_change_restarts(self) -> None:
        now = [config(LEVEL="debug"), secret(TOKEN="u"), *self.RAN[2:]]
        found = marks(now, stored(list(self.RAN)))
        assert (list(found["web"]), list(found["nightly"])) == ([CONFIG_ANNOTATION], [SECRETS_ANNOTATION])

    def test_a_mark_that_is_there_stays(self) -> None:
        now = with_marks([config(LEVEL="debug"), *self.RAN[1:]], digest, before=stored(list(self.RAN)))
        again = with_marks([config(LEVEL="debug"), *self.RAN[1:]], digest, before=stored(now))
        assert again == now

    def test_a_workload_that_is_new_is_marked(self) -> None:
        now = [*self.RAN, workload(name="new", **LEVEL)]
        assert list(marks(now, stored(list(self.RAN)))["new"]) == [CONFIG_ANNOTATION]

    def test_who_begins_to_read_is_marked_with_the_first_change(self) -> None:
        before = stored([config(LEVEL="info"), workload()])
        assert marks([config(LEVEL="info"), workload(**LEVEL)], before)["web"] == {}
        assert list(marks([config(LEVEL="debug"), workload(**LEVEL)], before)["web"]) == [CONFIG_ANNOTATION]
