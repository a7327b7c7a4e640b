"""Pulling images as a node does: manifest and configuration from the registry, with the pod's own pull secrets.

Only registries on this machine (or for which a mirror is named) are asked, over plain HTTP with basic authentication.
Every other image is taken to exist, with no labels. Errors are worded as containerd words them.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import ipaddress
import json
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import urlsplit

import urllib3

from engine.errors import SlipwayError
from engine.types import Json

_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
# The grammar of github.com/distribution/reference, without its length limits.
_REFERENCE = re.compile(
    r"(?P<name>(?:[A-Za-z0-9.-]+(?::\d+)?/|\[[0-9a-fA-F:]+\](?::\d+)?/)?[a-z0-9]+(?:(?:[._]|__|-+|/)[a-z0-9]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "amd64")


class PullError(SlipwayError):
    """The image is not to be had. `reason` is the kubelet's word for the container's state."""

    def __init__(self, message: str, *, reason: str = "ErrImagePull") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Reference:
    """An image reference taken apart. `tag` is `latest` when neither tag nor digest is written."""

    text: str
    host: str
    repository: str
    tag: str
    digest: str

    @property
    def full(self) -> str:
        """With the registry and the tag written out, as containerd names it in its messages."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")

    @property
    def wanted(self) -> str:
        """What the registry is asked for: the digest goes before the tag."""
        return self.digest or self.tag


@dataclass(frozen=True)
class Image:
    """An image on a node. `identity` is the container status' imageID, `size` in bytes."""

    identity: str
    size: int = 0
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Login:
    """A user and password for the registries (and paths) that `pattern` covers, out of a pull secret."""

    pattern: str
    username: str
    password: str = field(repr=False)
    source: str  # the pull secret, as namespace/name

    def covers(self, reference: Reference) -> bool:
        host, _, path = self.pattern.partition("/")
        return fnmatch.fnmatch(reference.host, host) and reference.repository.startswith(path)


def parse_reference(text: str) -> Reference:
    """Raises PullError (InvalidImageName) for what is no image reference."""
    match = _REFERENCE.fullmatch(text)
    if not match:
        message = f'Failed to apply default image tag "{text}": couldn\'t parse image name "{text}": '
        raise PullError(message + "invalid reference format", reason="InvalidImageName")
    first, slash, rest = match["name"].partition("/")
    if slash and (first == "localhost" or set(first) & set(".:")):
        host, repository = first, rest
    else:
        host, repository = "docker.io", match["name"] if slash else f"library/{match['name']}"
    digest = match["digest"] or ""
    return Reference(text, host, repository, match["tag"] or ("" if digest else "latest"), digest)


def logins_of(secret: Json) -> list[Login]:
    """The logins of a pull secret; a secret of another type, or one that cannot be read, has none."""
    data, kind = secret.get("data") or {}, secret.get("type")
    try:
        if kind == "kubernetes.io/dockerconfigjson":
            auths = json.loads(base64.b64decode(data[".dockerconfigjson"]))["auths"]
        elif kind == "kubernetes.io/dockercfg":
            auths = json.loads(base64.b64decode(data[".dockercfg"]))
        else:
            return []
        source = f"{secret['metadata']['namespace']}/{secret['metadata']['name']}"
        return [_login(server, entry, source) for server, entry in auths.items()]
    except (KeyError, ValueError, TypeError, AttributeError):
        return []


def _on_this_machine(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _login(server: str, entry: Json, source: str) -> Login:
    username, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth"):
        username, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
    pattern = re.sub(r"^https?://", "", server).rstrip("/")
    return Login(re.sub(r"/v[12]$", "", pattern), username, password, source)


class Registries:
    """Asks registries. May be used by many threads."""

    def __init__(self, mirrors: Mapping[str, str] | None = None) -> None:
        """`mirrors`: registry host as written in references, to the URL where it is found instead."""
        self._mirrors = dict(mirrors or {})
        self._http = urllib3.PoolManager(
            maxsize=8,
            headers={"User-Agent": "containerd/2.1.4", "Accept": ", ".join(_MANIFESTS)},
            timeout=urllib3.Timeout(connect=3, read=20),
            retries=urllib3.Retry(total=3, connect=0, read=0, redirect=3),
        )

    def reachable(self, reference: Reference) -> bool:
        """Whether this image's registry is asked at all."""
        return self._url(reference) != ""

    def pull(self, reference: Reference, logins: Sequence[Login]) -> Image:
        """Tries each login that covers the image, without one when there is none. Raises PullError."""
        if not self.reachable(reference):
            return Image(f"{reference.host}/{reference.repository}@{_invented_digest(reference)}")
        errors: list[str] = []
        fitting: list[Login | None] = [x for x in logins if x.covers(reference)]
        for login in fitting or [None]:
            try:
                return self._pull(reference, login)
            except PullError as error:
                errors.append(error.message)
        unique = list(dict.fromkeys(errors))
        raise PullError(unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]")

    def _url(self, reference: Reference) -> str:
        if reference.host in self._mirrors:
            return self._mirrors[reference.host].rstrip("/")
        return f"http://{reference.host}" if _on_this_machine(reference.host) else ""

    def _pull(self, reference: Reference, login: Login | None) -> Image:
        manifest, digest = self._manifest(reference, reference.wanted, login)
        identity = f"{reference.host}/{reference.repository}@{digest}"
        if manifest.get("manifests"):
            manifest, _ = self._manifest(reference, _for_this_machine(manifest["manifests"]), login)
        parts = [manifest.get("config") or {}, *(manifest.get("layers") or [])]
        config_digest = parts[0].get("digest", "")
        config = (
            _json(reference, self._ask(reference, f"blobs/{config_digest}", login)) if config_digest else {}
        )
        labels = (config.get("config") or {}).get("Labels") or {}
        size = sum(int(p.get("size", 0)) for p in parts)
        return Image(identity, size, MappingProxyType({str(k): str(v) for k, v in labels.items()}))

    def _manifest(self, reference: Reference, wanted: str, login: Login | None) -> tuple[Json, str]:
        data = self._ask(reference, f"manifests/{wanted}", login)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if wanted.startswith("sha256:") and wanted != digest:
            raise _failed(
                reference, f"failed commit on ref: unexpected commit digest {digest}, expected {wanted}"
            )
        return _json(reference, data), digest

    def _ask(self, reference: Reference, what: str, login: Login | None) -> bytes:
        url = f"{self._url(reference)}/v2/{reference.repository}/{what}"
        verb = "HEAD" if what.startswith("manifests/") else "GET"
        headers = {**self._http.headers, **(_basic(login) if login else {})}
        try:
            answer = self._http.request("GET", url, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise _unresolved(
                reference, f'failed to do request: {verb.title()} "{url}": {_why(error)}'
            ) from error
        if answer.status == 404:
            raise _unresolved(reference, f"{reference.full}: not found", code="NotFound")
        if answer.status == 401 and login is None:
            refused = "pull access denied, repository does not exist or may require authorization: "
            raise _unresolved(reference, refused + "authorization failed: no basic auth credentials")
        if answer.status >= 300:
            status = f"{answer.status} {answer.reason or ''}".strip()
            raise _unresolved(reference, f"unexpected status from {verb} request to {url}: {status}")
        return answer.data


def _json(reference: Reference, data: bytes) -> Json:
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise _failed(reference, "failed to unmarshal the registry's answer: invalid character")
    return value


def _invented_digest(reference: Reference) -> str:
    """The digest that is written in the reference, else one made from its text: the registry is out of reach."""
    return reference.digest or f"sha256:{hashlib.sha256(reference.full.encode()).hexdigest()}"


def _for_this_machine(manifests: Iterable[Json]) -> str:
    """The digest of the manifest for linux on this processor, else of the first one."""
    entries = list(manifests)
    for entry in entries:
        wanted = entry.get("platform") or {}
        if (wanted.get("os"), wanted.get("architecture")) == ("linux", _ARCHITECTURE):
            return str(entry["digest"])
    return str(entries[0]["digest"])


def _basic(login: Login) -> dict[str, str]:
    both = f"{login.username}:{login.password}".encode()
    return {"Authorization": f"Basic {base64.b64encode(both).decode()}"}


def _failed(reference: Reference, why: str, code: str = "Unknown") -> PullError:
    return PullError(
        f'rpc error: code = {code} desc = failed to pull and unpack image "{reference.full}": {why}'
    )


def _unresolved(reference: Reference, why: str, code: str = "Unknown") -> PullError:
    return _failed(reference, f'failed to resolve reference "{reference.full}": {why}', code)


def _why(error: urllib3.exceptions.HTTPError) -> str:
    """The cause as Go's network library would say it."""
    cause = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
    if isinstance(cause, urllib3.exceptions.NewConnectionError):
        return "dial tcp: connect: connection refused"
    if isinstance(cause, urllib3.exceptions.TimeoutError):
        return "context deadline exceeded"
    return "EOF"
