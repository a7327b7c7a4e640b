"""What people outside the portal do to the samples: push branches, publish images, edit secrets."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

import boto3

from sandbox.aws import REGION
from sandbox.aws.images import connect, publish_image
from secrets_ui.files.edit import apply_edits
from secrets_ui.files.edits import Add
from secrets_ui.files.model import open_text
from tests.e2e.running import Running

BEHAVIOUR, LOG = "slipway.sandbox/behaviour", "slipway.sandbox/log"
READY = {BEHAVIOUR: "ready"}


@dataclass(frozen=True)
class Edit:
    """One place of a file: `old` becomes `new`."""

    path: str
    old: str
    new: str


def push(running: Running, project: str, branch: str, *edits: Edit, subject: str = "") -> str:
    """One commit on top of main as the project's branch of that name; its id."""
    repository = running.directory / "git" / f"{project}.git"
    with tempfile.TemporaryDirectory() as folder:
        who = {"NAME": "Tess Tester", "EMAIL": "tess@example.com"}
        env = {f"GIT_{role}_{what}": text for role in ("AUTHOR", "COMMITTER") for what, text in who.items()}
        env |= {"PATH": os.environ["PATH"], "GIT_INDEX_FILE": f"{folder}/index", "GIT_CONFIG_NOSYSTEM": "1"}
        env |= {"GIT_CONFIG_GLOBAL": os.devnull}

        def git(*arguments: str, given: str = "") -> str:
            command = ["git", "-C", str(repository), *arguments]
            return subprocess.run(
                command, env=env, input=given, capture_output=True, text=True, check=True
            ).stdout

        git("read-tree", "main")
        for edit in edits:
            text = git("show", f"main:{edit.path}")
            assert text.count(edit.old) == 1, f"{edit.old!r} in {edit.path}"
            blob = git("hash-object", "-w", "--stdin", given=text.replace(edit.old, edit.new)).strip()
            git("update-index", "--cacheinfo", f"100644,{blob},{edit.path}")
        tree = git("write-tree").strip()
        commit = git("commit-tree", tree, "-p", "main", "-m", subject or f"Try {branch}").strip()
        git("update-ref", f"refs/heads/{branch}", commit)
    return commit


def publish(running: Running, commit: str, images: Mapping[str, Mapping[str, str]]) -> None:
    """Images of a commit: labels by repository."""
    registry = connect(running.env["AWS_ENDPOINT_URL"])
    for repository, labels in images.items():
        publish_image(registry, repository, [commit[:7], commit], {**labels, "revision": commit})


def secrets_manager(running: Running) -> object:
    """Secrets Manager of the sandbox."""
    return boto3.client(
        "secretsmanager", endpoint_url=running.env["AWS_ENDPOINT_URL"], region_name=REGION,
        aws_access_key_id="sandbox", aws_secret_access_key="sandbox",
    )  # fmt: skip


def read_secret(running: Running, secret_id: str) -> dict[str, bytes]:
    """The values of a populated secrets file, by key, of all its Secrets."""
    text = secrets_manager(running).get_secret_value(SecretId=secret_id)["SecretString"]  # type: ignore[attr-defined]
    return {key: value for secret in open_text(text).secrets for key, value in secret.values().items()}


def add_to_secret(running: Running, secret_id: str, values: Mapping[str, str]) -> None:
    """Puts more keys into the first Secret of a populated secrets file: a new version of it. All else stays as it is."""
    client = secrets_manager(running)
    opened = open_text(client.get_secret_value(SecretId=secret_id)["SecretString"])  # type: ignore[attr-defined]
    text = apply_edits(opened, {(0, key): Add(value.encode()) for key, value in values.items()})
    client.put_secret_value(SecretId=secret_id, SecretString=text)  # type: ignore[attr-defined]
