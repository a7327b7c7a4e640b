"""Reading a config directory: what is found, and what is refused with file and line."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ManifestError
from engine.manifests import documents as module
from engine.manifests.documents import read_documents
from engine.manifests.yamlread import MAX_DEPTH
from tests.engine.support import DATA, KUBECTL, config_map, read


def problems(text: str | bytes, file: str = "web.yaml") -> tuple[str, ...]:
    content = text.encode() if isinstance(text, str) else text
    with pytest.raises(ManifestError) as caught:
        read_documents({file: content})
    return caught.value.problems


def named(name: str, kind: str = "ConfigMap") -> str:
    return f"apiVersion: v1\nkind: {kind}\nmetadata:\n  name: {name}\n"


def test_documents_come_with_file_and_line_of_their_first_key() -> None:
    text = f"# a comment\n---\n{named('a')}---\n\n---\n{named('b')}"
    assert [str(d.source) for d in read(text)] == ["web.yaml:3", "web.yaml:10"]
    assert [d.body["metadata"]["name"] for d in read(text)] == ["a", "b"]


def test_only_manifests_of_the_top_level_in_the_order_of_their_names() -> None:
    files = {
        "b.yml": named("b").encode(),
        "a.yaml": named("a").encode(),
        "c.json": json.dumps(config_map() | {"metadata": {"name": "c"}}).encode(),
        "README.md": b"# no manifest",
        "notes.yaml.bak": b"{",
        "base/d.yaml": named("d").encode(),
    }
    assert [d.body["metadata"]["name"] for d in read_documents(files)] == ["a", "b", "c"]


def test_lists_are_flattened_with_a_line_for_each_item() -> None:
    text = """apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: a}
- apiVersion: v1
  kind: List
  items:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}
"""
    found = read(text)
    assert [(d.body["metadata"]["name"], d.source.line) for d in found] == [("a", 4), ("b", 10)]


def test_items_of_a_typed_list_may_leave_out_kind_and_version() -> None:
    text = "apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: a}\n"
    assert [(d.body["kind"], d.body["apiVersion"]) for d in read(text)] == [("ConfigMap", "v1")]


def test_a_kind_that_only_ends_with_list_is_an_object() -> None:
    text = "apiVersion: example.com/v1\nkind: AllowList\nmetadata: {name: a}\nspec: {}\n"
    assert read(text)[0].body["kind"] == "AllowList"


def test_anchors_aliases_and_merge_keys() -> None:
    text = named("a") + "data: &base {x: '1', z: '2'}\nmore: {<<: *base, z: '3'}\nlist: [*base, *base]\n"
    body = read(text)[0].body
    assert body["more"] == {"x": "1", "z": "3"}
    assert body["list"] == [{"x": "1", "z": "2"}] * 2


def test_merge_keys_take_effect_where_they_stand_as_for_kubectl() -> None:
    text = named("a") + "data: &base {x: '1'}\nmore: {x: '2', <<: *base}\n"
    assert read(text)[0].body["more"] == {"x": "1"}


def test_anchors_do_not_reach_into_the_next_document() -> None:
    text = named("a") + "data: &base {x: '1'}\n---\n" + named("b") + "data: *base\n"
    assert problems(text) == ("web.yaml:11: an alias (*name) names an anchor that is not defined above it",)


def test_json_streams_with_tabs_and_surrogates() -> None:
    first = '{\n\t"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"v": "\\ud83d\\ude00"}}\n'
    second = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}, "data": {"n": 1.0}}'
    found = read(first + second, "a.json")
    assert [d.source.line for d in found] == [1, 3]
    assert found[0].body["data"]["v"] == "😀"
    assert type(found[1].body["data"]["n"]) is int


def test_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    text = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"\\ud83d": "x\\ude00y"}}'
    assert read(text, "a.json")[0].body["data"] == {"\ufffd": "x\ufffdy"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (named("a") + "data:\n\tx: y\n", "web.yaml:6: a tab in the indentation"),
        (named("a") + "data: {x: y\n", "web.yaml:5: "),
        (named("a") + "data: a: b\n", "web.yaml:5: mapping values are not allowed in this context"),
        (named("a") + "data:\n  x: 1\n  x: 2\n", "web.yaml:7: the key “x” stands twice"),
        (named("a") + "data: *x\n", "web.yaml:5: an alias"),
        (named("a") + "data: &x [*x]\n", "web.yaml:5: an anchor contains itself"),
        (named("a") + "data: &x {<<: *x}\n", "web.yaml:5: an anchor contains itself"),
        (named("a") + "data: {<<: 1}\n", "web.yaml:5: a merge key"),
        (named("a") + "data: {{ .Values.x }}\n", "web.yaml:5: a list or mapping stands where a key"),
        (named("a") + "data: {? [a] : b}\n", "web.yaml:5: a list or mapping stands where a key"),
        (named("a") + "x: &k [1]\ndata: {*k : b}\n", "web.yaml:6: a list or mapping stands where a key"),
        (named("a") + "data: {null: b}\n", "web.yaml:5: a key is empty or null"),
        (named("a") + "data: !!int x\n", "web.yaml:5: a value does not fit its tag !!int"),
        (named("a") + "data: \x01\n", "web.yaml:5: a control character"),
        (named("a") + "data: \0\n", "web.yaml:5: the file holds a NUL byte"),
        ("just text", "web.yaml:1: a Kubernetes object is expected here, found text"),
        ("- a\n", "web.yaml:1: a Kubernetes object is expected here, found a list"),
        ("---\n42\n", "web.yaml:2: a Kubernetes object is expected here, found a number"),
        ("kind: ConfigMap\nmetadata: {name: a}\n", "web.yaml:1: apiVersion is missing"),
        ("apiVersion: v1\nmetadata: {name: a}\n", "web.yaml:1: kind is missing"),
        ("apiVersion: 1\nkind: X\n", "web.yaml:1: apiVersion must be text, found a number"),
        ("apiVersion: v1\nkind: X\n", "web.yaml:1: X has no metadata.name"),
        ("apiVersion: v1\nkind: X\nmetadata: {}\n", "web.yaml:1: X has no metadata.name"),
        (
            "apiVersion: v1\nkind: X\nmetadata: {generateName: x-}\n",
            "web.yaml:1: X has no metadata.name; generateName",
        ),
        (
            named("123"),
            "web.yaml:1: metadata.name of ConfigMap must be text, found a number; write it in quotes",
        ),
        (named("a") + "  labels: []\n", "web.yaml:1: metadata.labels of ConfigMap a must be a mapping"),
        (
            named("a") + "  labels: {on: 'x', b: on}\n",
            "web.yaml:1: metadata.labels.b of ConfigMap a must be text",
        ),
        ("apiVersion: v1\nkind: List\nitems: [1]\n", "web.yaml:1: a Kubernetes object is expected"),
        ("", "the config directory holds no manifests"),
        ("# nothing\n---\n---\nnull\n", "the config directory holds no manifests"),
    ],
)
def test_what_is_refused_says_where(text: str, problem: str) -> None:
    assert problems(text)[0].startswith(problem)


def test_a_byte_order_mark_is_no_problem() -> None:
    assert read_documents({"a.yaml": b"\xef\xbb\xbf" + named("a").encode()})[0].source.line == 1


@pytest.mark.parametrize("content", [named("ä").encode("latin-1"), named("a").encode("utf-16")])
def test_other_encodings_are_refused(content: bytes) -> None:
    assert "is not UTF-8 text" in problems(content)[0]


def test_all_problems_of_all_files_come_at_once() -> None:
    files = {
        "a.yaml": b"a: [",
        "b.yaml": b"kind: X\n---\napiVersion: v1\n",
        "kustomization.yaml": b"resources: []\n",
    }
    with pytest.raises(ManifestError) as caught:
        read_documents(files)
    assert [p.split(": ")[0] for p in caught.value.problems] == [
        "kustomization.yaml",
        "a.yaml:1",
        "b.yaml:1",
        "b.yaml:3",
    ]
    assert caught.value.message.endswith("(and 3 more)")
    assert "Nothing was changed" in caught.value.hint


def test_duplicate_objects_name_both_places() -> None:
    files = {"a.yaml": named("x").encode(), "b.yaml": f"{named('z')}---\n{named('x')}".encode()}
    with pytest.raises(ManifestError) as caught:
        read_documents(files)
    assert caught.value.problems == ("b.yaml:6: ConfigMap x is already defined at a.yaml:1",)


def test_the_same_name_in_another_kind_group_or_namespace_is_no_duplicate() -> None:
    texts = [
        named("x"),
        named("x", "Service"),
        named("x") + "  namespace: other\n",
        "apiVersion: example.com/v1\nkind: ConfigMap\nmetadata: {name: x}\n",
    ]
    assert len(read("---\n".join(texts))) == 4
    assert problems("---\n".join([named("x"), named("x").replace("v1", "v2")])) != ()


BOMBS = {
    "aliases": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(
        f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "merges": "a: &a {x: 1}\n"
    + "".join(f"b{i + 1}: &b{i + 1} {{<<: [*b{i}, *b{i}]}}\n" for i in range(40)).replace("*b0", "*a"),
    "flow": "[" * 500_000,
    "block": "- " * 500_000,
    "flow map": "{a: " * 300_000,
    "json": '{"a":\t' * 300_000,
    "values": "[" + "a," * 900_000 + "]",
    "documents": "---\n" * 400_000,
    "json values": "{}" * 900_000,
    "size": "#" * 2_000_001,
    "lists": "apiVersion: v1\nkind: List\nitems:\n" + "- {apiVersion: v1, kind: List, items: []}\n" * 45_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_quickly(name: str) -> None:
    began = time.process_time()
    assert problems(BOMBS[name])[0]
    assert time.process_time() - began < 10  # a bomb takes hours; the margin is for a busy machine


@pytest.mark.parametrize("name", ["aliases", "merges"])
def test_aliases_are_counted_as_often_as_they_are_written_out(name: str) -> None:
    assert "aliases expand to more than" in problems(named("a") + BOMBS[name])[0]


def test_nesting_up_to_the_limit_is_read() -> None:
    depth = MAX_DEPTH - 1
    assert read(named("a") + "data: " + "[" * depth + "]" * depth)
    assert (
        f"more than {MAX_DEPTH} levels"
        in problems(named("a") + "data: " + "[" * (depth + 1) + "]" * (depth + 1))[0]
    )


def test_too_many_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OBJECTS", 2)
    assert "holds 3 objects" in problems("---\n".join(map(named, "abc")))[0]


def test_too_many_bytes_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOTAL_BYTES", 10)
    assert "MB of manifests" in problems(named("a"))[0]


def test_a_flood_of_problems_is_cut() -> None:
    found = problems("---\n".join(["kind: X\n"] * 300))
    assert len(found) == module.MAX_PROBLEMS + 1
    assert found[-1] == "… and 200 more"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_json_is_read_as_json(value: Any) -> None:
    body = config_map() | {"extra": value}
    assert read(json.dumps(body), "a.json")[0].body == body


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    assert read_or_refused({"a.yaml": text.encode()})


@given(st.binary())
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    assert read_or_refused({"a.yaml": content, "b.json": content})


def read_or_refused(files: dict[str, bytes]) -> Sequence[object]:
    """The documents or the problems: one of them there must be."""
    try:
        return read_documents(files)
    except ManifestError as error:
        return error.problems


@pytest.mark.skipif(not DATA.exists(), reason=f"the published install files are not at {DATA}")
@pytest.mark.parametrize(
    ("file", "count", "last"),
    [
        ("cert-manager-v1.14.4.yaml", 47, ("ClusterIssuer", 5839)),
        ("ingress-nginx-digitalocean.yaml", 19, ("ValidatingWebhookConfiguration", 641)),
    ],
)
def test_published_install_files(file: str, count: int, last: tuple[str, int]) -> None:
    found = read_documents({file: (DATA / file).read_bytes()})
    assert len(found) == count
    assert (found[-1].body["kind"], found[-1].source.line) == last


@pytest.mark.control_plane
@pytest.mark.skipif(not KUBECTL.exists(), reason="needs kubectl: set KUBEBUILDER_ASSETS")
@pytest.mark.skipif(not DATA.exists(), reason=f"the published install files are not at {DATA}")
@pytest.mark.parametrize("file", ["cert-manager-v1.14.4.yaml", "ingress-nginx-digitalocean.yaml"])
def test_published_install_files_are_read_as_kubectl_reads_them(file: str, tmp_path: Path) -> None:
    command: list[str | Path] = [
        KUBECTL,
        "label",
        "--local",
        "-o",
        "json",
        "-f",
        DATA / file,
        "same=for-all",
    ]
    environment = {"HOME": str(tmp_path), "KUBECONFIG": "/dev/null"}
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=60)
    theirs = json.loads("[" + answer.stdout.replace("\n}\n{\n", "\n},\n{\n") + "]")
    ours = [document.body for document in read_documents({file: (DATA / file).read_bytes()})]
    for body in ours:
        body["metadata"].setdefault("labels", {})["same"] = "for-all"
    assert theirs == ours


@pytest.mark.parametrize("name", ["../secrets/db", "a/b", "..", ".", "a%2fb"])
@pytest.mark.parametrize("key", ["name", "namespace"])
def test_a_name_that_would_lead_elsewhere_is_refused(key: str, name: str) -> None:
    body = config_map() | {"metadata": {"name": "a", key: name}}
    with pytest.raises(ManifestError) as caught:
        read_documents({"c.json": json.dumps(body).encode()})
    assert f"metadata.{key} of ConfigMap" in caught.value.problems[0]


@pytest.mark.parametrize(
    ("version", "kind"),
    [("/v1", "Secret"), ("x/../../api/v1", "Secret"), ("a/b/c", "A"), ("v1", "A/b"), ("..", "A")],
)
def test_a_version_that_hides_the_kind_is_refused(version: str, kind: str) -> None:
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": "a"}}
    with pytest.raises(ManifestError) as caught:
        read_documents({"c.json": json.dumps(body).encode()})
    assert "apiVersion must be written as" in caught.value.problems[0]
