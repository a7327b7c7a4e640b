"""What the editor writes is what kubectl sends, where kubectl is there."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from engine.manifests.secretfiles import strict_base64
from secrets_ui.files.edit import apply_edits
from secrets_ui.files.edits import Add
from secrets_ui.files.model import open_text
from secrets_ui.values.bulk import write_secret_file
from tests.engine.support import KUBECTL as BUNDLED
from tests.secrets_ui.styles import KEYS, VALUES, Made, files

KUBECTL = str(BUNDLED) if BUNDLED.exists() else shutil.which("kubectl")
DISCOVERY = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [{"name": "secrets", "kind": "Secret", "namespaced": True, "verbs": ["create"]}],
    },
}
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="needs kubectl")
FEW = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


def kubectl_reads(text: str, server: HTTPServer, home: Path) -> list[dict[str, bytes]]:
    """The values of the Secrets that kubectl would create."""
    for path, answer in DISCOVERY.items():
        server.expect_request(path).respond_with_json(answer)
    assert KUBECTL is not None
    command = [KUBECTL, "create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-"]
    answer = subprocess.run(
        [*command, "--server", server.url_for("")],
        input=text.encode(),
        capture_output=True,
        env={"HOME": str(home), "KUBECONFIG": "/dev/null", "PATH": "/usr/bin:/bin"},
        check=False,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stderr.decode()
    return [values_of(body) for body in bodies(answer.stdout.decode())]


def bodies(text: str) -> list[dict]:
    found, position = [], 0
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        value, position = json.JSONDecoder().raw_decode(text, position)
        found += value["items"] if value["kind"] == "List" else [value]
    return found


def values_of(body: dict) -> dict[str, bytes]:
    values = {key: base64.b64decode(value or "") for key, value in (body.get("data") or {}).items()}
    return values | {key: (value or "").encode() for key, value in (body.get("stringData") or {}).items()}


@FEW
@given(made=files(), more=st.dictionaries(KEYS, VALUES, min_size=1, max_size=6))
def test_an_edited_file(made: Made, more: dict[str, bytes], httpserver: HTTPServer, tmp_path_factory) -> None:
    opened = open_text(made.text)
    if any("\ufeff" in made.text[1:] or secret.closed for secret in opened.secrets):
        return
    new = {key: value for key, value in more.items() if key not in made.secrets[0]}
    text = apply_edits(opened, {(0, key): Add(value) for key, value in new.items()})
    made.secrets[0].update(new)
    home = tmp_path_factory.mktemp("home")
    assert kubectl_reads(text.removeprefix("\ufeff"), httpserver, home) == made.secrets


@FEW
@given(values=st.dictionaries(KEYS, VALUES, max_size=30))
def test_a_written_file(values: dict[str, bytes], httpserver: HTTPServer, tmp_path_factory) -> None:
    text = write_secret_file("app", values, namespace="shop")
    assert kubectl_reads(text, httpserver, tmp_path_factory.mktemp("home")) == [values]


def test_words_and_numbers_as_keys_and_values(httpserver: HTTPServer, tmp_path: Path) -> None:
    words = ("1234", "true", "null", "0777", "yes", "on", "12e03", "y", "n", "0x12", "1_00", "1e10")
    values = {word: strict_base64(word) or word.encode() for word in words}
    text = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\n"
    text = apply_edits(open_text(text), {(0, key): Add(value) for key, value in values.items()})
    assert kubectl_reads(text, httpserver, tmp_path) == [values]
    strings = text.replace("data:", "stringData:\n  a: text\ndata:")
    assert kubectl_reads(strings, httpserver, tmp_path)[0]["a"] == b"text"
