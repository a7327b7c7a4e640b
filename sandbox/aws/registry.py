"""The registry side of ECR: the OCI distribution protocol at `/v2/`, for the images of the sandbox's ECR.

Its errors, in ECR's own words where they are known: 401 without a valid password, 403 once the token has
expired, 404 MANIFEST_UNKNOWN, NAME_UNKNOWN, BLOB_UNKNOWN. Pushing works too (`docker push` needs an
existing repository). Protocol: https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import uuid
from pathlib import Path
from typing import Any

from moto.ecr.exceptions import ImageAlreadyExistsException
from moto.ecr.models import ECRBackend, Repository, ecr_backends
from werkzeug.wrappers import Request, Response

from sandbox.aws import ACCOUNT, REGION
from sandbox.aws.ecr_fixes import ImageTagAlreadyExistsException, digest_of, find_image
from sandbox.aws.snapshot import Snapshot
from sandbox.aws.tokens import Tokens, TokenState

_PATH = re.compile(
    r"/v2/(?P<name>[a-z0-9][a-z0-9._/-]*)/(?P<kind>manifests|blobs/uploads|blobs|tags)/(?P<reference>[^/]*)"
)
_EXPIRED = (
    "Your Authorization Token has expired. Please run 'aws ecr get-login-password' to fetch a new one.\n"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Registry:
    """Answers requests for `/v2/…`. Blobs are files of `blobs`, named by their digest."""

    def __init__(self, tokens: Tokens, blobs: Path, snapshot: Snapshot, *, region: str = REGION) -> None:
        self.tokens = tokens
        self.blobs = blobs
        self.snapshot = snapshot
        self.region = region
        blobs.mkdir(parents=True, exist_ok=True)

    def answer(self, request: Request) -> Response:
        """The answer to one request, refusals included."""
        request.get_data()  # read to its end even if refused: the client is still sending
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if request.path == "/v2/":
            return _json({}, 200)
        match = _PATH.fullmatch(request.path)
        if match is None:
            return _error(404, "UNSUPPORTED", "The operation is unsupported.")
        repository = self._backend().repositories.get(match["name"])
        if repository is None:
            return _error(404, "NAME_UNKNOWN", _no_repository(match["name"]))
        return self._dispatch(request, repository, match["kind"], match["reference"])

    def _backend(self) -> ECRBackend:
        return ecr_backends[ACCOUNT][self.region]

    def _refusal(self, request: Request) -> Response | None:
        """ECR's refusal of a request without a valid token, or None."""
        given = request.authorization
        if given is None or given.type != "basic":
            return _unauthorized(request, "Not Authorized\n")
        state = self.tokens.check(given.password or "") if given.username == "AWS" else TokenState.INVALID
        if state is TokenState.EXPIRED:
            return Response(_EXPIRED, 403)
        if state is TokenState.INVALID:
            return _unauthorized(request, "Your Authorization Token is invalid.\n")
        return None

    def _dispatch(self, request: Request, repository: Repository, kind: str, reference: str) -> Response:
        match (kind, request.method):
            case ("manifests", "GET" | "HEAD"):
                return self._manifest(repository, reference)
            case ("manifests", "PUT"):
                return self._put_manifest(request, repository, reference)
            case ("blobs", "GET" | "HEAD"):
                return self._blob(reference)
            case ("blobs/uploads", "POST" | "PATCH" | "PUT"):
                return self._upload(request, repository, reference)
            case ("tags", "GET"):
                return _json({"name": repository.name, "tags": sorted(_tags(repository))}, 200)
        return _error(405, "UNSUPPORTED", "The operation is unsupported.")

    def _manifest(self, repository: Repository, reference: str) -> Response:
        image: Any = find_image(repository, reference)
        if image is None or image.image_status != "ACTIVE":  # an archived image cannot be pulled
            return _error(404, "MANIFEST_UNKNOWN", "Requested image not found")
        headers = {"Docker-Content-Digest": image.get_image_digest()}
        return Response(image.image_manifest, 200, headers, content_type=image.image_manifest_media_type)

    def _put_manifest(self, request: Request, repository: Repository, reference: str) -> Response:
        text = request.get_data().decode()
        manifest = json.loads(text)
        parts = [manifest["config"], *manifest["layers"]] if "config" in manifest else []
        if any(not self._blob_path(part["digest"]).exists() for part in parts):
            return _error(404, "MANIFEST_BLOB_UNKNOWN", "A blob of this manifest is unknown to the registry")
        tag = None if reference.startswith("sha256:") else reference
        backend: Any = self._backend()
        try:
            with self.snapshot.change(), contextlib.suppress(ImageAlreadyExistsException):  # pushed once more
                backend.put_image(repository.name, text, tag, request.mimetype, None)
        except ImageTagAlreadyExistsException as error:
            return _error(400, "TAG_INVALID", str(error))
        return Response("", 201, {"Docker-Content-Digest": digest_of(text), "Location": request.path})

    def _blob_path(self, digest: str) -> Path:
        return self.blobs / digest.replace(":", "-")

    def _blob(self, digest: str) -> Response:
        path = self._blob_path(digest)
        if not _DIGEST.fullmatch(digest) or not path.exists():
            return _error(404, "BLOB_UNKNOWN", "The blob is unknown to the registry")
        headers = {"Docker-Content-Digest": digest}
        return Response(path.read_bytes(), 200, headers, content_type="application/octet-stream")

    def _upload(self, request: Request, repository: Repository, upload: str) -> Response:
        """One step of a push: POST opens, PATCH adds, PUT (or POST with a digest) ends it."""
        if request.method != "POST" and not re.fullmatch(r"[0-9a-f]{32}", upload):
            return _error(404, "BLOB_UPLOAD_UNKNOWN", "The upload is unknown to the registry")
        upload = upload or uuid.uuid4().hex
        part = self.blobs / f"upload-{upload}"
        with part.open("ab") as file:
            file.write(request.get_data())
            size = file.tell()
        location = f"/v2/{repository.name}/blobs/uploads/{upload}"
        digest = request.args.get("digest", "")
        if not digest:
            return Response(
                "",
                202,
                {"Location": location, "Docker-Upload-UUID": upload, "Range": f"0-{max(size - 1, 0)}"},
            )
        if digest != "sha256:" + hashlib.sha256(part.read_bytes()).hexdigest():
            part.unlink()
            return _error(400, "DIGEST_INVALID", "The content does not have the given digest")
        part.replace(self._blob_path(digest))
        return Response(
            "", 201, {"Location": f"/v2/{repository.name}/blobs/{digest}", "Docker-Content-Digest": digest}
        )


def _tags(repository: Repository) -> set[str]:
    return {tag for image in repository.images for tag in image.image_tags}


def _no_repository(name: str) -> str:
    return f"The repository with name '{name}' does not exist in the registry with id '{ACCOUNT}'"


def _unauthorized(request: Request, text: str) -> Response:
    realm = f'Basic realm="{request.host_url}",service="ecr.amazonaws.com"'
    return Response(text, 401, {"WWW-Authenticate": realm, "Docker-Distribution-Api-Version": "registry/2.0"})


def _json(body: dict[str, object], status: int) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")


def _error(status: int, code: str, message: str) -> Response:
    return _json({"errors": [{"code": code, "message": message}]}, status)
