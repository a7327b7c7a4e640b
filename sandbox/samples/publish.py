"""Makes the outside world of the samples: their Git repositories, the images of every revision, the secrets files.

Everything is made once, at the first start, and noted in one file; a restart reads the note and makes nothing again.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import boto3
from botocore.config import Config

from sandbox.aws import REGION
from sandbox.aws.images import FINDINGS, PACE, RegistryClient, connect, ecr_call, publish_image, registry_host
from sandbox.samples import SAMPLES
from sandbox.samples.history import Revision, make_repository
from sandbox.samples.model import Image, SampleProject, SecretsFile
from sandbox.samples.values import filled

_LABEL = re.compile(r'^LABEL (?P<name>\S+?)="(?P<value>(?:[^"\\]|\\.)*)"$', re.MULTILINE)
_ESCAPES = {"\\n": "\n", "\\t": "\t", '\\"': '"', "\\\\": "\\"}


@dataclass(frozen=True)
class World:
    """What was made: every sample's commit ids by branch, oldest first."""

    commits: Mapping[str, Mapping[str, list[str]]]

    def resolve(self, slug: str, name: str) -> str:
        """The commit that a branch (`main`, `broken`) or `main~N` named when the world was made. Raises KeyError, IndexError."""
        branch, _, back = name.partition("~")
        return self.commits[slug][branch][-1 - int(back or 0)]


def make_world(note: Path, repositories: Path, aws: str) -> World:
    """Makes whatever is not there yet. `aws`: the URL of the sandbox's AWS and registry. Returns the same each time."""
    if note.exists():
        return World(json.loads(note.read_text()))
    start = _started(note.with_suffix(".started"))
    commits: dict[str, dict[str, list[str]]] = {}
    registry = connect(aws)
    for sample in SAMPLES:
        place = repositories / sample.repository
        revisions = make_repository(sample, place, start=start, registry_host=registry_host(aws))
        _publish_images(registry, sample, revisions)
        _store_secrets(sample, revisions, aws)
        branches: dict[str, list[str]] = {}
        for revision in revisions:
            branches.setdefault(revision.branch, []).append(revision.commit)
        commits[sample.slug] = branches
    note.write_text(json.dumps(commits, indent=1) + "\n")
    return World(commits)


def _started(path: Path) -> datetime:
    """When the first attempt began: one that was broken off is taken up with the same commits."""
    if not path.exists():
        path.write_text(datetime.now(UTC).isoformat(timespec="seconds"))
    return datetime.fromisoformat(path.read_text())


def _once(registry: RegistryClient, action: str, parameters: Mapping[str, Any], done: bytes) -> None:
    """Calls ECR; the error `done` says that an earlier attempt did it."""
    try:
        ecr_call(registry.endpoint, action, parameters)
    except HTTPError as error:
        if done not in error.read():
            raise


def _publish_images(registry: RegistryClient, sample: SampleProject, revisions: list[Revision]) -> None:
    for repository in {i.repository for i in sample.images} | {m.repository for m in sample.mirrored}:
        _once(
            registry, "CreateRepository", {"repositoryName": repository}, b"RepositoryAlreadyExistsException"
        )
    for mirrored in sample.mirrored:
        labels = {"slipway.sandbox/behaviour": mirrored.behaviour, "slipway.sandbox/log": mirrored.log}
        publish_image(registry, mirrored.repository, (mirrored.tag,), labels)
    newest = {revision.branch: revision.commit for revision in revisions}
    work = [
        (image, revision)
        for image in sample.images
        for revision in revisions
        if image.dockerfile in revision.files
    ]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda pair: _publish(registry, pair[0], pair[1], newest, sample.default_branch), work))
    for image in sample.images:
        _give_a_past(registry, image, [revision.commit for one, revision in work if one is image])


def publish_revision(aws: str, sample: SampleProject, revision: Revision) -> list[str]:
    """Publishes the images of one more revision, as the newest one of its branch. Returns the repositories. `aws`: as for
    `make_world`."""
    registry, newest = connect(aws), {revision.branch: revision.commit}
    images = [image for image in sample.images if image.dockerfile in revision.files]
    for image in images:
        _publish(registry, image, revision, newest, sample.default_branch)
    return [image.repository for image in images]


def _give_a_past(registry: RegistryClient, image: Image, commits: Sequence[str]) -> None:
    """Starts the scan of the newest image, and archives the oldest one, where the sample says so."""
    if image.scan:
        given = {"repositoryName": image.repository, "imageId": {"imageTag": "latest"}}
        _once(registry, "StartImageScan", given, b"LimitExceededException")
    if image.archived:
        oldest = {"repositoryName": image.repository, "imageId": {"imageTag": commits[0]}}
        ecr_call(registry.endpoint, "UpdateImageStorageClass", {**oldest, "targetStorageClass": "ARCHIVE"})


def _publish(
    registry: RegistryClient, image: Image, revision: Revision, newest: Mapping[str, str], default_branch: str
) -> None:
    """Pushes one image of one revision, under the tags that a build gives (short and full commit, branch, latest)."""
    tags = [revision.commit[:7], revision.commit]
    if newest[revision.branch] == revision.commit:
        tags.append(f"branch-{revision.branch}")
        tags += ["latest"] if revision.branch == default_branch else []
    labels = {
        **labels_of(revision.files[image.dockerfile].decode()),
        "org.opencontainers.image.revision": revision.commit,
        "org.opencontainers.image.title": image.repository,
        **(_scan_labels(image) if "latest" in tags else {}),
    }
    folder = image.dockerfile.rpartition("/")[0]
    layer = {path: content for path, content in revision.files.items() if path.startswith(folder + "/")}
    publish_image(registry, image.repository, tags, labels, layers=[layer], created=revision.made_at)


def _scan_labels(image: Image) -> dict[str, str]:
    """The labels of the image that is scanned."""
    said = {FINDINGS: image.findings, PACE: image.scan if image.scan == "slow" else ""}
    return {name: value for name, value in said.items() if value}


def labels_of(dockerfile: str) -> dict[str, str]:
    """The `LABEL name="value"` lines of a Dockerfile, escapes resolved."""
    return {m["name"]: _unescape(m["value"]) for m in _LABEL.finditer(dockerfile)}


def _unescape(text: str) -> str:
    return re.sub(r"\\.", lambda m: _ESCAPES.get(m[0], m[0]), text)


def _store_secrets(sample: SampleProject, revisions: list[Revision], aws: str) -> None:
    """Stores the populated version of each reference file in Secrets Manager."""
    files = [file for environment in sample.environments for file in environment.secrets_files]
    if not files:
        return
    head = [revision for revision in revisions if revision.branch == sample.default_branch][-1]
    client = boto3.client(
        "secretsmanager",
        endpoint_url=aws,
        region_name=REGION,
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
        config=Config(connect_timeout=3, read_timeout=10),
    )
    for file in files:
        text = populated(head.files[file.path].decode(), file)
        with suppress(client.exceptions.ResourceExistsException):
            client.create_secret(
                Name=file.secret_id, SecretString=text, Description=f"{sample.name}: {file.path}"
            )


def populated(reference: str, file: SecretsFile) -> str:
    """The reference file with each blank value filled in, base64; comments and order stay. Raises ValueError."""
    text = reference
    for key, pattern in file.values.items():
        encoded = base64.b64encode(filled(pattern)).decode()
        text, count = re.subn(rf'^(\s+{re.escape(key)}:) ""$', rf"\1 {encoded}", text, flags=re.MULTILINE)
        if count != 1:
            raise ValueError(f"{file.path} has no blank {key}")
    text = text.replace(
        "# Blank on purpose. The populated version of this file is kept in AWS Secrets Manager.\n", ""
    )
    return text.replace("\n", "\r\n") if file.windows else text
