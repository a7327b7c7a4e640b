"""Lists and watches: selectors, pages, forms, resource versions, bookmarks."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import urllib3

from tests.kubernetes.support import Home, Json, config_map, deployment, until

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


def names(body: Json) -> list[str]:
    return [i["metadata"]["name"] for i in body["items"]]


@pytest.fixture
def maps(home: Home) -> str:
    """Three maps beside the one that each namespace has; their path."""
    for name, label in (("a", "1"), ("b", "2"), ("c", "3")):
        home.create("configmaps", config_map(name, {"set": "ours", "t": label}))
    return home.path("configmaps")


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("t=1", "a"),
        ("t==1", "a"),
        ("set,t!=1", "bc"),
        ("t in (1, 3)", "ac"),
        ("set=ours,t notin (1,2)", "c"),
        ("t", "abc"),
        ("!other,t", "abc"),
    ],
)
def test_label_selectors(home: Home, maps: str, selector: str, expected: str) -> None:
    assert names(home.raw.get(maps, labelSelector=selector).body) == list(expected)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [("metadata.name=b", ["b"]), ("metadata.name!=b", ["a", "c"]), ("metadata.name=x", [])],
)
def test_field_selectors(home: Home, maps: str, selector: str, expected: list[str]) -> None:
    found = home.raw.get(maps, fieldSelector=selector, labelSelector="set").body
    assert names(found) == expected


def test_events_are_selected_by_what_they_are_about(home: Home) -> None:
    about = {"kind": "Pod", "name": "p", "namespace": home.name, "uid": "some-uid"}
    home.create("events", {"metadata": {"name": "e"}, "involvedObject": about, "reason": "R", "message": "m"})
    found = home.raw.get(home.path("events"), fieldSelector="involvedObject.uid=some-uid,reason=R").body
    assert names(found) == ["e"]


def test_a_list_says_what_it_is(home: Home, maps: str) -> None:
    body = home.raw.get(maps).body
    assert (body["kind"], body["apiVersion"]) == ("ConfigMapList", "v1")
    assert body["metadata"]["resourceVersion"].isdigit()
    assert not {"kind", "apiVersion"} & body["items"][0].keys()


def test_pages(home: Home, maps: str) -> None:
    first = home.raw.get(maps, limit=2).body
    assert names(first) == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 2
    rest = home.raw.get(maps, limit=2, **{"continue": first["metadata"]["continue"]}).body
    assert names(rest) == ["c", "kube-root-ca.crt"]
    assert "continue" not in rest["metadata"]
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_all_namespaces_at_once(home: Home, maps: str) -> None:
    found = home.raw.get("/api/v1/configmaps", labelSelector="t=1").body
    assert home.name in [i["metadata"]["namespace"] for i in found["items"]]


def test_metadata_only(home: Home, maps: str) -> None:
    body = home.raw.send("GET", f"{maps}/a", accept=METADATA).body
    assert (body["kind"], body["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
    assert body.keys() == {"kind", "apiVersion", "metadata"}


def test_metadata_only_of_a_list(home: Home, maps: str) -> None:
    body = home.raw.send("GET", maps, accept=METADATA_LIST).body
    assert body["kind"] == "PartialObjectMetadataList"
    assert body["items"][0].keys() == {"kind", "apiVersion", "metadata"}


def test_metadata_only_of_an_apply(home: Home) -> None:
    path = home.path("configmaps", "settings")
    reply = home.raw.send(
        "PATCH",
        path,
        config_map(a="1"),
        content_type="application/apply-patch+yaml",
        accept=METADATA,
        fieldManager="x",
    )
    assert (reply.status, reply.body["kind"]) == (201, "PartialObjectMetadata")


def test_tables(home: Home) -> None:
    home.create("deployments", deployment())
    body = home.raw.send("GET", home.path("deployments"), accept=TABLE).body
    assert body["kind"] == "Table"
    columns = [(c["name"], c["priority"]) for c in body["columnDefinitions"]]
    assert columns == [
        ("Name", 0),
        ("Ready", 0),
        ("Up-to-date", 0),
        ("Available", 0),
        ("Age", 0),
        ("Containers", 1),
        ("Images", 1),
        ("Selector", 1),
    ]
    [row] = body["rows"]
    assert row["cells"][:4] == ["web", "0/0", 0, 0]
    assert row["object"]["kind"] == "PartialObjectMetadata"


# --- watches ---------------------------------------------------------------------------------------------------------


class Watcher:
    """Reads a watch in a thread; `events` are (type, name, body)."""

    def __init__(self, home: Home, path: str, **query: Any) -> None:
        self.events: list[tuple[str, str, Json]] = []
        self.ended = threading.Event()
        credentials = home.raw.credentials
        headers = {"Authorization": f"Bearer {credentials.token}"} if credentials.token else {}
        pool = urllib3.PoolManager(retries=False, ssl_context=credentials.ssl_context())
        url = credentials.server + path
        self._answer = pool.request(
            "GET", url, fields={"watch": "true", **query}, headers=headers, preload_content=False, timeout=20
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        rest = b""
        try:
            for chunk in self._answer.stream(65536):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    self.events.append(
                        (event["type"], event["object"].get("metadata", {}).get("name", ""), event["object"])
                    )
        except (urllib3.exceptions.HTTPError, OSError):
            return
        finally:
            self.ended.set()

    def seen(self, *expected: tuple[str, str]) -> None:
        """Until exactly these events have come."""
        until(
            lambda: len(self.events) >= len(expected),
            seconds=5,
            what=f"{len(expected)} events, not {self.words()}",
        )
        assert self.words() == list(expected)

    def words(self) -> list[tuple[str, str]]:
        return [(kind, name) for kind, name, _ in self.events]

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._answer.shutdown()
        self._thread.join(5)
        self._answer.close()


@contextmanager
def watching(home: Home, path: str, **query: Any) -> Iterator[Watcher]:
    watcher = Watcher(home, path, **query)
    yield watcher
    watcher.close()


def version(home: Home, path: str) -> str:
    return str(home.raw.get(path).body["metadata"]["resourceVersion"])


def test_a_watch_tells_what_happens(home: Home) -> None:
    path = home.path("configmaps")
    with watching(home, path, resourceVersion=version(home, path), labelSelector="w") as watch:
        home.create("configmaps", config_map("other"))
        home.create("configmaps", config_map("it", {"w": "1"}))
        home.raw.merge(f"{path}/it", {"data": {"a": "b"}})
        home.raw.send("DELETE", f"{path}/it")
        watch.seen(("ADDED", "it"), ("MODIFIED", "it"), ("DELETED", "it"))


def test_objects_enter_and_leave_a_selector(home: Home) -> None:
    path = home.path("configmaps")
    home.create("configmaps", config_map("it"))
    with watching(home, path, resourceVersion=version(home, path), labelSelector="w=1") as watch:
        home.raw.merge(f"{path}/it", {"metadata": {"labels": {"w": "1"}}})
        home.raw.merge(f"{path}/it", {"metadata": {"labels": {"w": "2"}}})
        watch.seen(("ADDED", "it"), ("DELETED", "it"))


def test_a_watch_goes_on_from_a_version(home: Home) -> None:
    path = home.path("configmaps")
    before = version(home, path)
    home.create("configmaps", config_map("missed"))
    with watching(home, path, resourceVersion=before) as watch:
        watch.seen(("ADDED", "missed"))


def test_without_a_version_a_watch_begins_with_what_is_there(home: Home) -> None:
    home.create("configmaps", config_map("it"))
    with watching(home, home.path("configmaps")) as watch:
        watch.seen(("ADDED", "it"), ("ADDED", "kube-root-ca.crt"))


def test_the_end_of_the_beginning_is_marked(home: Home) -> None:
    """What informers of newer clients, `kubectl rollout status` among them, ask for instead of a list."""
    query = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }
    with watching(home, home.path("configmaps"), **query) as watch:
        watch.seen(("ADDED", "kube-root-ca.crt"), ("BOOKMARK", ""))
        annotations = watch.events[1][2]["metadata"]["annotations"]
        assert annotations == {"k8s.io/initial-events-end": "true"}


def test_a_watch_ends_in_time(home: Home) -> None:
    began = time.monotonic()
    with watching(home, home.path("secrets"), timeoutSeconds="1") as watch:
        assert watch.ended.wait(60)
    assert time.monotonic() - began > 0.8


def test_a_watch_of_one_object(home: Home) -> None:
    path = home.path("configmaps")
    with watching(home, path, resourceVersion=version(home, path), fieldSelector="metadata.name=it") as watch:
        home.create("configmaps", config_map("other"))
        home.create("configmaps", config_map("it"))
        watch.seen(("ADDED", "it"))


def test_events_carry_whole_objects_and_their_version(home: Home) -> None:
    path = home.path("configmaps")
    with watching(home, path, resourceVersion=version(home, path)) as watch:
        created = home.create("configmaps", config_map("it", a="b"))
        watch.seen(("ADDED", "it"))
        assert watch.events[0][2] == created
