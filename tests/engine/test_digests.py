"""Marks on pod templates: which pods restart when a Secret or a ConfigMap changes, and which never do for a mark alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.manifests.digests import CONFIG_ANNOTATION, SECRETS_ANNOTATION, with_marks
from engine.manifests.masking import BOUND, Digest, Digests, key_digests
from engine.manifests.references import pod_template_of
from engine.manifests.stored import to_stored
from engine.types import Json, Manifest, ObjectRef, Source
from tests.engine.support import DIGESTS, b64, digest, digest_here

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
    for manifest in with_marks(manifests, DIGESTS, before=before or []):
        template = pod_template_of(manifest.body)
        if template is not None:
            found[manifest.ref.name] = template.get("metadata", {}).get("annotations", {})
    return found


def stored(manifests: list[Manifest]) -> list[Json]:
    """A release, as a file of the database has it."""
    return json.loads(json.dumps(to_stored(manifests, digests=DIGESTS, version_ids={})))


def mark_of(app: Manifest, form: Digest) -> str:
    value = key_digests(app.body, form)["TOKEN"]
    return form(json.dumps({"app/TOKEN": value}, sort_keys=True).encode())


def test_the_mark_of_secrets_is_of_its_environment() -> None:
    app = secret(TOKEN="t", OTHER="o")
    assert marks([app, workload(**TOKEN)]) == {"web": {SECRETS_ANNOTATION: mark_of(app, digest_here)}}


class TestAfterDigestsWereBoundToTheirEnvironment:
    """The release that runs has digests and marks of the older form."""

    ITEMS = (secret(TOKEN="t"), config(LEVEL="info"), workload(**TOKEN), workload(name="other", **LEVEL))

    def before(self) -> list[Json]:
        old = Digests(digest, digest)
        kept = to_stored(with_marks(self.ITEMS, old), digests=old, version_ids={})
        for entry in kept:
            entry.get("secret", {}).pop(BOUND, None)
        return json.loads(json.dumps(kept))

    def test_no_mark_changes(self) -> None:
        found = marks(list(self.ITEMS), self.before())
        assert found["web"] == {SECRETS_ANNOTATION: mark_of(self.ITEMS[0], digest)}
        assert (
            found["other"]
            == marks(list(self.ITEMS), stored(with_marks(self.ITEMS, Digests(digest, digest))))["other"]
        )

    def test_no_mark_changes_with_the_next_deploys_either(self) -> None:
        first = with_marks(self.ITEMS, DIGESTS, before=self.before())
        assert with_marks(self.ITEMS, DIGESTS, before=stored(first)) == first

    def test_what_reads_a_change_has_a_mark_of_the_new_form(self) -> None:
        app = secret(TOKEN="u")
        found = marks([app, *self.ITEMS[1:]], self.before())
        assert found["web"] == {SECRETS_ANNOTATION: mark_of(app, digest_here)}
        assert found["other"] == marks(list(self.ITEMS), self.before())["other"]

    def test_who_had_no_mark_gets_none_without_a_change(self) -> None:
        unmarked = self.before()
        for entry in unmarked:
            metadata = entry.get("object", {}).get("spec", {}).get("template", {}).get("metadata", {})
            metadata.pop("annotations", None)
        assert marks(list(self.ITEMS), unmarked) == {"web": {}, "other": {}}
        assert list(marks([secret(TOKEN="u"), *self.ITEMS[1:]], unmarked)["web"]) == [SECRETS_ANNOTATION]


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
        now = with_marks([config(LEVEL="debug"), *self.RAN[1:]], DIGESTS, before=stored(list(self.RAN)))
        again = with_marks([config(LEVEL="debug"), *self.RAN[1:]], DIGESTS, before=stored(now))
        assert again == now

    def test_a_workload_that_is_new_is_marked(self) -> None:
        now = [*self.RAN, workload(name="new", **LEVEL)]
        assert list(marks(now, stored(list(self.RAN)))["new"]) == [CONFIG_ANNOTATION]

    def test_who_begins_to_read_is_marked_with_the_first_change(self) -> None:
        before = stored([config(LEVEL="info"), workload()])
        assert marks([config(LEVEL="info"), workload(**LEVEL)], before)["web"] == {}
        assert list(marks([config(LEVEL="debug"), workload(**LEVEL)], before)["web"]) == [CONFIG_ANNOTATION]
