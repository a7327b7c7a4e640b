"""Where files are not quite YAML: JSON, byte order marks, values without quotes, fields of the server, other files."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from engine.errors import ManifestError
from engine.manifests.documents import is_read, read_documents
from engine.manifests.fieldlines import line_of_field
from engine.manifests.jsonread import read_json_stream
from engine.manifests.serverfields import without_server_fields
from engine.types import Json, Source
from tests.engine.support import KUBECTL, b64, read, rendered

CASES = Path(__file__).parents[1] / "engine_cluster" / "cases"
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"
BOM = "\ufeff"


def as_json(**data: str) -> str:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}
    return json.dumps(body, ensure_ascii=False)


@pytest.mark.parametrize("text", ["a\x85b", "a \u2028 b", "\u2029", " \x85 ", "\u2028\u2028"])
@pytest.mark.parametrize("name", ["a.json", "a.yaml"])
def test_json_keeps_what_ends_lines_in_yaml(name: str, text: str) -> None:
    """What begins with `{` is JSON, whatever the file is called."""
    (document,) = read_documents({name: as_json(v=text).encode()})
    assert document.body["data"]["v"] == text


def test_flow_mappings_that_are_no_json_stay_yaml() -> None:
    (document,) = read("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {v: 'x'}}")
    assert document.body["data"] == {"v": "x"}


def test_json_has_lines() -> None:
    text = (
        '{"apiVersion": "v1", "kind": "List", "items": [\n'
        '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}},\n'
        '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"},\n'
        '"data": {"x": "\u2028",\n"y": "${Z}"}}]}'
    )
    first, second = read_documents({"a.json": text.encode()})
    assert (first.source.line, second.source.line) == (2, 3)
    assert line_of_field(text.encode(), second.source, "data.x").line == 4
    assert second.line_of("${Z}") == 5


def test_what_stands_behind_a_lone_value_is_told_with_its_line() -> None:
    with pytest.raises(ManifestError, match=r"a\.json:1: .*twice"):
        read_documents({"a.json": b'{"kind": "A", "kind": "B"}'})


def test_joined_files_may_each_begin_with_a_byte_order_mark() -> None:
    text = BOM + MAP % "a" + "---\n" + BOM + MAP % "b" + "--- # c\n" + BOM + MAP % "c"
    assert [document.body["metadata"]["name"] for document in read(text)] == ["a", "b", "c"]


def test_a_byte_order_mark_elsewhere_is_named() -> None:
    with pytest.raises(ManifestError) as refused:
        read(MAP % "a" + BOM + "---\n" + MAP % "b")
    assert refused.value.problems == (
        "web.yaml:4: an invisible character, a byte order mark (U+FEFF), stands here; remove it",
    )


@pytest.mark.control_plane
@pytest.mark.skipif(not KUBECTL.exists(), reason="needs kubectl: set KUBEBUILDER_ASSETS")
@pytest.mark.parametrize("case", ["json-line-breaks", "bom-inside"])
def test_kubectl_reads_the_same(case: str) -> None:
    """`annotate --local` prints what it reads, without a server."""
    folder = CASES / case / "kubernetes"
    command = [str(KUBECTL), "annotate", "--local", "-f", str(folder), "a=b", "-o", "json"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    theirs = [document.value for document in read_json_stream(shown) or []]
    ours = [d.body for d in read_documents({p.name: p.read_bytes() for p in folder.iterdir()})]
    assert [(b["metadata"]["name"], b.get("data")) for b in ours] == [
        (b["metadata"]["name"], b.get("data")) for b in theirs
    ]


def test_numbers_of_a_secrets_file_stay_the_text_that_was_written() -> None:
    from engine.manifests.secretfiles import parse_secrets_file

    text = '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"pin": 0012}}'
    (secret,) = parse_secrets_file(text, path="s.yaml")
    assert secret.body["data"] == {"pin": b64("0012")}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("web.yaml", True),
        ("web.yml", True),
        ("web.json", True),
        ("Kustomization", True),
        ("README.md", False),
        ("logo.png", False),
        ("chart.tar.gz", False),
        ("below/web.yaml", False),
        ("yaml", False),
    ],
)
def test_only_manifests_are_looked_at(name: str, wanted: bool) -> None:
    assert is_read(name) == wanted
    files = {name: b"\xff\xfe not text", "a.yaml": (MAP % "a").encode()}
    if wanted:
        with pytest.raises(ManifestError):
            read_documents(files)
    else:
        assert len(read_documents(files)) == 1


# Values that must be text


def slips(body: str, kind: str = "Deployment", version: str = "apps/v1") -> list[str]:
    text = f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n{body}"
    try:
        rendered(read(text))
    except ManifestError as error:
        return [problem.partition(" must be text")[0] for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("body", "kind", "version", "found"),
    [
        ("spec: {selector: {app: 1}}\n", "Service", "v1", ["web.yaml:4: spec.selector.app"]),
        (
            "spec: {selector: {matchLabels: {app: yes}}}\n",
            "Deployment",
            "apps/v1",
            ["web.yaml:4: spec.selector.matchLabels.app"],
        ),
        (
            "spec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n"
            "          - {name: c, image: c, command: [run, 1]}\n",
            "CronJob",
            "batch/v1",
            ["web.yaml:10: command[1] of c"],
        ),
        (
            "spec:\n  nodeSelector: {a: 1}\n  containers: []\n",
            "Pod",
            "v1",
            ["web.yaml:5: spec.nodeSelector.a"],
        ),
        (
            "spec: {template: {spec: {containers: [{name: c, args: [1]}]}}}\n",
            "Thing",
            "lab.example.org/v1",
            [],
        ),
    ],
)
def test_values_without_quotes_are_found_with_their_line(
    body: str, kind: str, version: str, found: list[str]
) -> None:
    assert slips(body, kind, version) == found


# Fields of the server


def exported(**metadata: object) -> Json:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", **metadata}}


def test_what_says_nothing_is_left_out_in_silence() -> None:
    body, told = without_server_fields({**exported(creationTimestamp=None), "status": {}})
    assert told == ()
    assert body == exported()


def test_what_says_something_is_told() -> None:
    revision = "deployment.kubernetes.io/revision"
    given = exported(uid="u", generation=3, annotations={revision: "7", "own": "1"})
    body, told = without_server_fields({**given, "status": {"replicas": 1}})
    assert told == ("metadata.uid", "metadata.generation", f"metadata.annotations[{revision}]", "status")
    assert body == exported(annotations={"own": "1"})


def test_a_custom_kind_may_keep_anything_under_status() -> None:
    given = {
        "apiVersion": "lab.example.org/v1",
        "kind": "Thing",
        "metadata": {"name": "a"},
        "status": {"a": 1},
    }
    assert without_server_fields(given) == (given, ())


# Lines of fields that are named by keys


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ('spec.containers[name="b"].image', 8),
        ('spec.containers[name="b"].ports[containerPort=80,protocol="TCP"]', 10),
        ('spec.containers[name="none"].image', 5),
        ("spec.containers[1].ports[0].containerPort", 10),
        ("metadata.annotations[example.org/a.b]", 3),
    ],
)
def test_items_are_found_by_their_keys(path: str, line: int) -> None:
    text = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p, annotations: {example.org/a.b: x}}\nspec: \n  containers:\n"
        "  - {name: a, image: a}\n  - name: b\n    image: b\n    ports:\n    - containerPort: 80\n"
    )
    assert line_of_field(text.encode(), Source("p.yaml", 1), path).line == line
