"""Publishes images to the sandbox's registry without a Docker engine, as `docker push` would over HTTP."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sandbox.aws import REGION

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
FINDINGS, PACE = "slipway.sandbox/findings", "slipway.sandbox/scan"  # labels that scans of the image follow

_TIMEOUT = 10.0  # seconds for one request


@dataclass(frozen=True)
class Published:
    """An image in the registry."""

    repository: str  # without the host
    digest: str
    tags: tuple[str, ...]


class RegistryClient:
    """Pushes to one registry. `endpoint`: its URL; `authorization`: ECR's authorizationToken (base64 `AWS:…`)."""

    def __init__(self, endpoint: str, authorization: str) -> None:
        self.endpoint = endpoint
        self.headers = {"Authorization": f"Basic {authorization}"}

    def put_blob(self, repository: str, content: bytes) -> str:
        """Stores a blob and returns its digest."""
        digest = _digest(content)
        self._send(
            "POST", f"{repository}/blobs/uploads/?digest={digest}", content, "application/octet-stream"
        )
        return digest

    def put_manifest(self, repository: str, reference: str, content: bytes) -> None:
        """Stores a manifest under a tag or its digest."""
        self._send("PUT", f"{repository}/manifests/{reference}", content, MANIFEST_TYPE)

    def _send(self, method: str, path: str, content: bytes, content_type: str) -> None:
        headers = {**self.headers, "Content-Type": content_type}
        request = urllib.request.Request(f"{self.endpoint}/v2/{path}", content, headers, method=method)
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            response.read()


def publish_image(
    registry: RegistryClient,
    repository: str,
    tags: Sequence[str],
    labels: Mapping[str, str],
    *,
    layers: Sequence[Mapping[str, bytes]] = (),
    created: datetime = datetime(2026, 1, 1, tzinfo=UTC),
) -> Published:
    """Makes an image of the given files by layer and puts it into `repository` (which must exist) under all `tags`.

    `labels` go into the image's configuration. The same input gives the same digest. Raises urllib.error.HTTPError.
    """
    archives = [_layer(files) for files in layers or [{"etc/image": repository.encode()}]]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": created.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "config": {"Labels": dict(labels), "Cmd": []},
        "rootfs": {"type": "layers", "diff_ids": [_digest(gzip.decompress(archive)) for archive in archives]},
    }
    for archive in archives:
        registry.put_blob(repository, archive)
    content = _json(config)
    registry.put_blob(repository, content)
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(CONFIG_TYPE, content),
            "layers": [_descriptor(LAYER_TYPE, archive) for archive in archives],
        }
    )
    for tag in tags:
        registry.put_manifest(repository, tag, manifest)
    return Published(repository, _digest(manifest), tuple(tags))


def connect(endpoint: str) -> RegistryClient:
    """A client with a fresh token of the sandbox's ECR, which answers at the same `endpoint`."""
    answer = ecr_call(endpoint, "GetAuthorizationToken", {})
    return RegistryClient(endpoint, answer["authorizationData"][0]["authorizationToken"])


def ecr_call(endpoint: str, action: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Calls ECR's API over plain HTTP: the sandbox's AWS needs no signature. Raises urllib.error.HTTPError."""
    scope = f"Credential=sandbox/20260101/{REGION}/ecr/aws4_request"
    headers = {
        "Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0",
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"AmazonEC2ContainerRegistry_V20150921.{action}",
    }
    request = urllib.request.Request(endpoint + "/", json.dumps(parameters).encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        return json.loads(response.read())


def registry_host(endpoint: str) -> str:
    """The beginning of image references: the endpoint without its scheme."""
    return endpoint.partition("://")[2].rstrip("/")


def docker_config(endpoint: str, authorization: str) -> str:
    """The text of a `.dockerconfigjson` that opens this registry."""
    user, _, password = base64.b64decode(authorization).decode().partition(":")
    entry = {"username": user, "password": password, "auth": authorization}
    return json.dumps({"auths": {registry_host(endpoint): entry}})


def _layer(files: Mapping[str, bytes]) -> bytes:
    """A gzipped tar of these files, the same bytes each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), compresslevel=6, mtime=0)


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "size": len(content), "digest": _digest(content)}


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _json(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
