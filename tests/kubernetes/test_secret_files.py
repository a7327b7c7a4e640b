"""What the secrets' editor writes is stored by a cluster as it was meant: by `kubectl apply` of both kinds, and by a deploy."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from engine.manifests.secretfiles import parse_secrets_file, read_secrets
from secrets_ui.files.edit import apply_edits
from secrets_ui.files.edits import Add, Remove, Set
from secrets_ui.files.model import open_text
from tests.kubernetes.support import SSA, Home, Raw
from tests.planes import kubectl_program

EVERY_BYTE = bytes(range(256))
TEXTS = (
    "", " ", "\n", "a\n", "a\n\n\n", "\r\n", "a\r\nb\r\n", "a\rb", "\ta\t", "  a\n b\n", "\n\n a", "a \n\n b \n",
    "ünïcode 🚀 ẞ", "\x85 \xa0 \u2028 \u2029", "\ufeffa", "\ud7ff\ue000\ufffd\U0010ffff", "e\u0301\u200d\u202e",
    "# x", "a: b # c", "- a", "? a", "'", '"', "it's \"so\"", "\\", "\\n", "${A} $(A) {{ a }} %(a)s", "{a: b}", "[a", "a]",
    "true", "null", "~", "0777", "0x1f", "1_000", "1e3", ".inf", "2001-01-01", "=", "<<", "---\na", "...", "%YAML 1.1", "@a",
    "`a", "!a", "*a", "&a", "|", ">-", "a\0b", "".join(map(chr, range(1, 32))) + "\x7f", "x" * 300, "word " * 60, "line\n" * 60,
)  # fmt: skip
BINARY = (EVERY_BYTE, EVERY_BYTE[::-1] * 8, b"\xff\xfe", b"\x80", b"\xed\xa0\x80")
# Keys in every style in which the editor finds a value, and leaves it where it can.
STYLES = {
    "plain": "eA==", "single": "'eA=='", "double": '"eA=="', "nothing": "", "literal": "|\n    eA==",
    "literal-strip": "|-\n    eA==", "literal-keep": "|+\n    eA==\n", "folded": ">\n    eA==", "folded-strip": ">-\n    eA==",
    "lines": '"eA\n    =="', "under": "\n    eA==",
}  # fmt: skip
PLAIN = {name: text.replace("eA\n    ==", "eA ==") for name, text in STYLES.items()}
Files = dict[str, tuple[str, dict[str, bytes]]]  # by the name of the Secret: its text, and its values
HEAD = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n"


def block(name: str, part: str, styles: dict[str, str]) -> str:
    return (
        HEAD.format(name=name) + f"{part}:\n" + "".join(f"  {key}: {text}\n" for key, text in styles.items())
    )


def flow(name: str, quote: str) -> str:
    pairs = ", ".join(f"{quote}{key}{quote}: {quote}eA=={quote}" for key in ("one", "two"))
    return HEAD.format(name=name) + f"data: {{{pairs}}}\n"


def json_file(name: str) -> str:
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "data": {"one": "eA==", "two": ""},
    }
    return json.dumps(body, indent=2)


def edited(text: str, value: bytes) -> str:
    """Every key gets the value, and one key is added with it."""
    opened = open_text(text)
    edits = {(0, entry.key): Set(value) for entry in opened.secrets[0].entries}
    return apply_edits(opened, {**edits, (0, "added"): Add(value)})


def made() -> Iterator[tuple[str, str, dict[str, bytes]]]:
    """Texts as the editor leaves them, each with the name of its Secret and its values."""
    for number, value in enumerate([*(text.encode() for text in TEXTS), *BINARY]):
        texts = {
            f"block-{number}": block(f"block-{number}", "data", STYLES),
            f"json-{number}": json_file(f"json-{number}"),
        }
        if number < len(TEXTS):
            texts[f"string-{number}"] = block(f"string-{number}", "stringData", PLAIN)
        for at, quote in enumerate(("", "'", '"')):
            texts[f"flow{at}-{number}"] = flow(f"flow{at}-{number}", quote)
        for name, text in texts.items():
            after = edited(text, value)
            yield name, after, dict.fromkeys(open_text(after).secrets[0].values(), value)


@pytest.fixture(scope="module")
def files() -> Files:
    return {name: (text, values) for name, text, values in made()}


def stored(home: Home) -> dict[str, dict[str, bytes]]:
    """The values of all Secrets of the namespace, as the cluster has them."""
    listed = home.api.get(f"/api/v1/namespaces/{home.name}/secrets")["items"]
    return {
        body["metadata"]["name"]: {
            key: base64.b64decode(text) for key, text in (body.get("data") or {}).items()
        }
        for body in listed
    }


def wanted(files: Files) -> dict[str, dict[str, bytes]]:
    return {name: values for name, (_, values) in files.items()}


def test_other_readers_agree(files: Files) -> None:
    """PyYAML, and the reader of deploys."""
    for name, (text, values) in files.items():
        body = yaml.load(text, Loader=yaml.CSafeLoader)
        data = {key: base64.b64decode(value or "") for key, value in (body.get("data") or {}).items()}
        data |= {key: (value or "").encode() for key, value in (body.get("stringData") or {}).items()}
        (document,) = parse_secrets_file(text, path="s.yaml")
        deployed = {key: base64.b64decode(value) for key, value in document.body["data"].items()}
        assert data == deployed == values, name


def as_kubectl_can(files: Files, how: list[str]) -> Files:
    """Without what is lost on the way of a server-side apply: the API server reads kubectl's JSON as YAML, where NEL is a
    line break and DEL is refused. As base64 both arrive."""
    lost = (b"\x7f", "\x85".encode()) if "--server-side" in how else ()
    return {
        name: found
        for name, found in files.items()
        if not (name.startswith("string") and any(sign in found[1]["added"] for sign in lost))
    }


def without_blank(values: dict[str, bytes]) -> dict[str, bytes]:
    """A key without anything behind it is no key to some of them, and an empty one to others."""
    return {key: value for key, value in values.items() if value or key != "nothing"}


@pytest.mark.parametrize("how", [["apply"], ["apply", "--server-side"]], ids=["client", "server"])
def test_kubectl_apply(home: Home, files: Files, tmp_path: Path, how: list[str]) -> None:
    program, files = kubectl_program(), as_kubectl_can(files, how)
    folder = tmp_path / "files"
    folder.mkdir()
    for name, (text, _) in files.items():
        ending = "json" if name.startswith("json") else "yaml"
        (folder / f"{name}.{ending}").write_bytes(text.encode())
    command = [
        str(program),
        "--kubeconfig",
        str(home.kubeconfig),
        "-n",
        home.name,
        "--cache-dir",
        str(tmp_path / "cache"),
    ]
    done = subprocess.run(
        [*command, *how, "-f", str(folder)], capture_output=True, text=True, timeout=120, check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = {name: without_blank(values) for name, values in stored(home).items()}
    assert found == {name: without_blank(values) for name, values in wanted(files).items()}


def applied(home: Home, raw: Raw, body: dict) -> int:
    path = f"/api/v1/namespaces/{home.name}/secrets/{body['metadata']['name']}"
    return raw.send("PATCH", path, body, content_type=SSA, fieldManager="slipway", force="true").status


def test_a_deploy_s_own_apply(home: Home, raw: Raw, files: Files) -> None:
    """Server-side apply of what the reader of deploys makes of each file."""
    few = {name: found for name, found in files.items() if name.startswith(("block", "string"))}
    for text, _ in few.values():
        (document,) = parse_secrets_file(text, path="s.yaml")
        assert applied(home, raw, dict(document.body)) in (200, 201)
    assert stored(home) == wanted(few)


def test_a_key_that_is_removed_goes_from_the_cluster(home: Home, raw: Raw) -> None:
    """It does not stay, and does not become empty; the others do not change."""
    text = HEAD.format(name="app") + "data:\n  a: eA==\n  b: eA==\nstringData:\n  c: x\n  d: x\n"
    (before,) = parse_secrets_file(text, path="s.yaml")
    assert applied(home, raw, dict(before.body)) == 201
    text = apply_edits(open_text(text), {(0, "b"): Remove(), (0, "d"): Remove()})
    (after,) = parse_secrets_file(text, path="s.yaml")
    assert applied(home, raw, dict(after.body)) == 200
    assert stored(home) == {"app": {"a": b"x", "c": b"x"}}


def test_a_flat_file_reaches_the_cluster(home: Home, raw: Raw) -> None:
    """The other form of storage: text values only."""
    reference = parse_secrets_file(HEAD.format(name="flat"), path="s.yaml")
    text = "{}"
    for number, value in enumerate(TEXTS):
        text = apply_edits(open_text(text), {(0, f"key-{number}"): Add(value.encode())})
    assert json.loads(text) == {f"key-{number}": value for number, value in enumerate(TEXTS)}
    (document,) = read_secrets(text, path="s.yaml", reference=reference)
    assert applied(home, raw, dict(document.body)) == 201
    assert stored(home)["flat"] == {f"key-{number}": value.encode() for number, value in enumerate(TEXTS)}


def test_as_much_as_aws_takes(home: Home, raw: Raw) -> None:
    """The largest value whose file AWS stores: 65,536 bytes of text."""
    head, room = HEAD.format(name="large"), 65_536 - len(HEAD.format(name="large") + "data:\n  key: \n")
    value = (EVERY_BYTE * 256)[: room // 4 * 3]
    text = apply_edits(open_text(head), {(0, "key"): Add(value)})
    assert 65_532 < len(text) <= 65_536
    (document,) = parse_secrets_file(text, path="s.yaml")
    assert applied(home, raw, dict(document.body)) == 201
    assert stored(home) == {"large": {"key": value}}
