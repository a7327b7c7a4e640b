"""Everything that can be known before the first write (design.md §4.4): the preview shows it, the pipeline insists."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass

from adapters.errors import Denied, ExternalError, NotFound
from adapters.registry import Registry
from core.redactor import current
from deployments.preparation.prepare import Fetched, Prepared, digest, reference_documents
from engine.cluster.client import ApiError, Client
from engine.cluster.dryrun import ObjectChange, dry_run
from engine.cluster.resources import ClusterKinds, built_in
from engine.manifests.documents import Document
from engine.manifests.fieldlines import line_of_field
from engine.manifests.references import Reference, missing_references
from engine.manifests.render import ImagePin
from engine.manifests.secretfiles import check_against_reference
from engine.types import Manifest, ObjectRef, Observer
from projects.models import Environment, Image

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Finding:
    """One result of a check. `level`: error (stops the deploy) or warning. `subject`: object or file it is about."""

    level: str
    sentence: str
    hint: str = ""
    subject: str = ""

    @property
    def line(self) -> str:
        """As the log has it: where, what, and what to do."""
        return f"{f'{self.subject}: ' if self.subject else ''}{self.sentence} {self.hint}".strip()


class WithFindings:
    """Has findings, of which some stop a deploy."""

    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Those that stop the deploy."""
        return tuple(finding for finding in self.findings if finding.level == ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Those that somebody should read."""
        return tuple(finding for finding in self.findings if finding.level == WARNING)


@dataclass(frozen=True)
class Preflight(WithFindings):
    """Every finding, and what applying would do to each object."""

    findings: tuple[Finding, ...]
    changes: tuple[ObjectChange, ...]


def check_secrets_files(
    environment: Environment, documents: Sequence[Document], fetched: Sequence[Fetched]
) -> list[Finding]:
    """Reference file and secrets file agree: a missing key is an error, an extra one a warning, a placeholder either."""
    findings: list[Finding] = []
    level = ERROR if environment.placeholders_stop else WARNING
    for one in fetched:
        result = check_against_reference(reference_documents(documents, one.path), one.documents)
        hint = "Edit the secrets file in AWS Secrets Manager; the reference file in the repository names the keys."
        findings += [
            Finding(ERROR, f"The secrets file lacks the key {key}.", hint, one.path) for key in result.missing
        ]
        findings += [Finding(WARNING, f"The secrets file has the key {key}, which the reference file lacks.", "", one.path)
                     for key in result.extra]  # fmt: skip
        findings += [
            Finding(level, f"The value of {key} still is a placeholder.", hint, one.path)
            for key in result.placeholders
        ]
    return findings


def live_keys(client: Client) -> Callable[[str, str, str], set[str] | None]:
    """For references to objects that the deploy does not bring: their keys on the cluster, None when they are not there."""

    def keys(kind: str, namespace: str, name: str) -> set[str] | None:
        try:
            body = client.request("GET", built_in(kind).path(namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return set(body.get("data") or {}) | set(body.get("binaryData") or {})

    return keys


def check_references(client: Client, manifests: Sequence[Manifest]) -> list[Finding]:
    """Every Secret, ConfigMap and key that a workload reads exists, in the deploy or on the cluster."""
    missing = missing_references(manifests, live_keys(client))
    return [
        Finding(ERROR, reason, _reference_hint(reference), str(reference.by)) for reference, reason in missing
    ]


def _reference_hint(reference: Reference) -> str:
    what = f"the key {reference.key}" if reference.key else f"the {reference.kind} {reference.name}"
    return f"Add {what} to the manifests or to the secrets file, or mark the reference as optional."


def check_pull_secret(
    client: Client, environment: Environment, pins: Sequence[ImagePin], images: Mapping[str, Image]
) -> list[Finding]:
    """The pull secret is there and opens the registry: tried with an image of this very deploy (facts B2)."""
    name = environment.pull_secret
    if not name or not pins:
        return []
    hint = "Renew the pull secret in this namespace; pods that start without it cannot fetch their image."
    subject = f"Secret/{environment.namespace}/{name}"
    try:
        body = client.request("GET", built_in("Secret").path(environment.namespace, name))
    except ApiError as error:
        if error.status != 404:
            raise
        return [
            Finding(
                ERROR,
                f"The pull secret {name} is missing in the namespace {environment.namespace}.",
                hint,
                subject,
            )
        ]
    findings = []
    for pin in pins:
        credential = credential_for(body, pin.repository.partition("/")[0])
        if credential is None:
            findings.append(
                Finding(
                    ERROR, f"The pull secret {name} holds no credential for {pin.repository}.", hint, subject
                )
            )
        else:
            hide(credential)
            findings += prove(images[pin.name], pin, credential, name, hint, subject)
    return findings


def hide(credential: tuple[str, str]) -> None:
    """Makes the cluster's own password for the registry known to the redactor, as every secret that is fetched."""
    redactor = current()
    if redactor is not None:
        redactor.add([credential[1], ":".join(credential)])


def credential_for(secret: dict, host: str) -> tuple[str, str] | None:
    """User and password for a registry's host from a `kubernetes.io/dockerconfigjson` Secret; None when there is none."""
    if secret.get("type") != "kubernetes.io/dockerconfigjson":
        return None
    try:
        config = json.loads(
            base64.b64decode((secret.get("data") or {}).get(".dockerconfigjson", ""), validate=True)
        )
        entry = config["auths"][host]
        user, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None
    return user, password


def prove(
    image: Image, pin: ImagePin, credential: tuple[str, str], name: str, hint: str, subject: str
) -> list[Finding]:
    """Asks the registry for the image's manifest with the cluster's own credential."""
    try:
        Registry(image.registry.endpoint, *credential).digest(image.repository, pin.digest or pin.tag)
    except Denied as error:
        return [
            Finding(
                ERROR,
                f"The pull secret {name} does not open {pin.repository}: {error.message}",
                hint,
                subject,
            )
        ]
    except NotFound:
        return [
            Finding(
                ERROR, f"The registry no longer holds {pin.reference}.", "Build this revision again.", subject
            )
        ]
    except ExternalError as error:
        return [
            Finding(
                WARNING, f"The pull secret {name} could not be tried: {error.message}", error.hint, subject
            )
        ]
    return []


def change_findings(
    changes: Sequence[ObjectChange], sources: Mapping[ObjectRef, str] | None = None
) -> list[Finding]:
    """What the dry run refused, as errors; what it takes over, and what it does about numbers of replicas, as warnings.
    `sources`: file and line by object."""
    findings = [
        Finding(ERROR, change.error, change.hint, (sources or {}).get(change.ref, str(change.ref)))
        for change in changes
        if change.error
    ]
    findings += [
        Finding(
            WARNING, change.warning, change.warning_hint, (sources or {}).get(change.ref, str(change.ref))
        )
        for change in changes
        if change.warning
    ]
    taken = [change for change in changes if change.takes_over]
    if taken:
        managers = sorted({manager for change in taken for manager in change.takes_over})
        findings.append(
            Finding(
                WARNING,
                f"Slipway takes over the fields of {len(taken)} object{'s' if len(taken) > 1 else ''}"
                f" from {', '.join(managers)}, once.",
                "From then on fields dropped from the manifests are removed; `kubectl apply` on them would conflict.",
            )
        )
    return findings


def places(
    environment: Environment,
    changes: Sequence[ObjectChange],
    manifests: Sequence[Manifest],
    files: Mapping[str, bytes],
) -> dict[ObjectRef, str]:
    """Where to look for what was refused or warned of: `kubernetes/staging/web.yaml:31`, the line of the field if it has one."""
    by_ref = {manifest.ref: manifest.source for manifest in manifests}
    found = {}
    for change in changes:
        if (change.error or change.warning) and change.ref in by_ref:
            source = by_ref[change.ref]
            field = change.field_errors[0] if change.field_errors else change.warned_field
            if field and source.file in files:
                source = line_of_field(files[source.file], source, field)
            found[change.ref] = f"{environment.config_directory}/{source}"
    return found


def preflight(
    client: Client, kinds: ClusterKinds, environment: Environment, prepared: Prepared, *, with_diff: bool,
    observer: Observer | None = None,
) -> Preflight:  # fmt: skip
    """All checks, side by side: none depends on another. Raises ApiError when the cluster does not answer."""
    images = {image.name: image for image in environment.project.images.select_related("registry")}
    manifests = prepared.rendered.manifests
    with ThreadPoolExecutor(max_workers=3) as pool:
        references = pool.submit(check_references, client, manifests)
        pull = pool.submit(copy_context().run, check_pull_secret, client, environment, prepared.pins, images)
        changes = dry_run(
            client, manifests, kinds=kinds, digest=digest, with_diff=with_diff, observer=observer
        )
        found = [*references.result(), *pull.result()]
    findings = [
        *check_secrets_files(environment, prepared.documents, prepared.fetched),
        *found,
        *change_findings(changes, places(environment, changes, manifests, prepared.files)),
        *(Finding(WARNING, warning) for warning in prepared.rendered.warnings),
    ]
    return Preflight(tuple(findings), tuple(changes))
