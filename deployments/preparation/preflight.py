"""Everything that can be known before the first write: the preview shows it, the pipeline insists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace

from adapters.errors import Denied, ExternalError, NotFound
from core.findings import FAILED, WARNING, Finding
from core.secret_values import digest
from deployments.preparation.prepare import NotDeployable
from engine.cluster.client import Client, find
from engine.cluster.dryrun import ObjectChange, dry_run
from engine.cluster.resources import ClusterKinds, built_in
from engine.manifests.documents import Document
from engine.manifests.fieldlines import line_of_field
from engine.manifests.makers import custom_objects, keys_of
from engine.manifests.missing import missing_references
from engine.manifests.references import Reference
from engine.manifests.render import ImagePin
from engine.manifests.secretfiles import check_against_reference
from engine.types import Manifest, ObjectRef, Observer
from projects.models import Environment, Image
from projects.pull_secrets import PullCredential, prove, pull_credentials
from projects.reference_files import reference_documents
from projects.secret_files import Fetched

RENEW = "Renew the pull secret in this namespace; pods that start without it cannot fetch their image."


class WithFindings:
    """Has findings, of which some stop a deploy."""

    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Those that stop the deploy."""
        return tuple(finding for finding in self.findings if finding.state == FAILED)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Those that somebody should read."""
        return tuple(finding for finding in self.findings if finding.state == WARNING)

    @property
    def can_be_overridden(self) -> bool:
        """Whether something stops the deploy, and a person may deploy nevertheless, with a reason."""
        return bool(self.errors) and all(finding.can_override for finding in self.errors)


@dataclass(frozen=True)
class Preflight(WithFindings):
    """Every finding, and what applying would do to each object."""

    findings: tuple[Finding, ...]
    changes: tuple[ObjectChange, ...]

    def overridden(self, reason: str) -> Preflight:
        """The same with what may be overridden as warnings that say why; without a reason as it is."""
        if not reason:
            return self
        return replace(self, findings=tuple(_overridden(finding, reason) for finding in self.findings))


def _overridden(finding: Finding, reason: str) -> Finding:
    if finding.state != FAILED or not finding.can_override:
        return finding
    return replace(finding, state=WARNING, detail=f"Overridden for this deploy: {reason}")


def check_secrets_files(
    environment: Environment, documents: Sequence[Document], fetched: Sequence[Fetched]
) -> list[Finding]:
    """Reference file and secrets file agree: a missing key is an error, an extra one a warning, a placeholder either."""
    findings: list[Finding] = []
    state = FAILED if environment.placeholders_stop else WARNING
    for one in fetched:
        result = check_against_reference(reference_documents(documents, one.path), one.documents)
        hint = "Edit the secrets file in AWS Secrets Manager; the reference file in the repository names the keys."
        findings += [
            Finding(FAILED, f"The secrets file lacks the key {key}.", hint, subject=one.path)
            for key in result.missing
        ]
        findings += [
            Finding(
                WARNING,
                f"The secrets file has the key {key}, which the reference file lacks.",
                subject=one.path,
            )
            for key in result.extra
        ]
        findings += [
            Finding(state, f"The value of {key} still is a placeholder.", hint, subject=one.path)
            for key in result.placeholders
        ]
    return findings


def live_keys(client: Client) -> Callable[[str, str, str], set[str] | None]:
    """For references to objects that the deploy does not bring: their keys on the cluster, None when they are not there."""

    def keys(kind: str, namespace: str, name: str) -> set[str] | None:
        body = find(client, built_in(kind).path(namespace, name))
        return None if body is None else keys_of(body)

    return keys


def check_references(client: Client, manifests: Sequence[Manifest]) -> list[Finding]:
    """Every Secret, ConfigMap and key that a workload reads exists, in the deploy or on the cluster. An operator that
    Slipway does not know may make a missing object: a person can override the finding."""
    missing = missing_references(manifests, live_keys(client))
    return [
        Finding(
            FAILED,
            f"{reason}.",
            _reference_hint(reference, custom_objects(manifests, reference.namespace)),
            can_override=True,
            subject=str(reference.by),
        )
        for reference, reason in missing
    ]


def _reference_hint(reference: Reference, makers: Sequence[str]) -> str:
    what = f"the key {reference.key}" if reference.key else f"the {reference.kind} {reference.name}"
    add = f"Add {what} to the manifests or to the secrets file, or mark the reference as optional."
    if not makers:
        return f"{add} If something on the cluster makes it, override this for the deploy."
    return f"{add} If {' or '.join(makers[:_MOST_MAKERS])} makes it, override this for the deploy."


_MOST_MAKERS = 3  # custom objects that are named


def check_pull_secret(
    client: Client, environment: Environment, pins: Sequence[ImagePin], images: Mapping[str, Image]
) -> list[Finding]:
    """The pull secret is there and opens the registry: tried with an image of this very deploy."""
    name = environment.pull_secret
    if not name or not pins:
        return []
    subject = f"Secret/{environment.namespace}/{name}"
    credentials = pull_credentials(client, environment.namespace, name)
    if credentials is None:
        text = f"The pull secret {name} is missing in the namespace {environment.namespace}."
        return [Finding(FAILED, text, RENEW, subject=subject)]
    findings = [_tried(credentials, pin, images[pin.name], name) for pin in pins]
    return [replace(finding, subject=subject) for finding in findings if finding is not None]


def _tried(
    credentials: Mapping[str, PullCredential], pin: ImagePin, image: Image, name: str
) -> Finding | None:
    """What the registry says of an image that is asked for with the cluster's own credential; None when all is well."""
    credential = credentials.get(pin.repository.partition("/")[0])
    if credential is None:
        return Finding(FAILED, f"The pull secret {name} holds no credential for {pin.repository}.", RENEW)
    try:
        prove(credential, image, pin.digest or pin.tag)
    except Denied as error:
        text = f"The pull secret {name} does not open {pin.repository}: {error.message}"
        return Finding(FAILED, text, RENEW)
    except NotFound:
        return Finding(FAILED, f"The registry no longer holds {pin.reference}.", "Build this revision again.")
    except ExternalError as error:
        return Finding(WARNING, f"The pull secret {name} could not be tried: {error.message}", error.hint)
    return None


def change_findings(
    changes: Sequence[ObjectChange], sources: Mapping[ObjectRef, str] | None = None
) -> list[Finding]:
    """What the dry run refused, as errors; what it takes over, and what it does about numbers of replicas, as warnings.
    `sources`: file and line by object."""
    known = sources or {}
    findings = [
        Finding(FAILED, change.error, change.hint, subject=known.get(change.ref, str(change.ref)))
        for change in changes
        if change.error
    ]
    findings += told_findings(changes, known)
    findings += [
        Finding(WARNING, change.warning, change.warning_hint, subject=known.get(change.ref, str(change.ref)))
        for change in changes
        if change.warning
    ]
    findings += [
        Finding(WARNING, notice.text, notice.hint, subject=known.get(change.ref, str(change.ref)))
        for change in changes
        for notice in change.notices
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


def told_findings(changes: Sequence[ObjectChange], known: Mapping[ObjectRef, str]) -> list[Finding]:
    """The API server's own warnings, each once, with the first object that it was said of."""
    about: dict[str, list[ObjectChange]] = {}
    for change in changes:
        for text in change.told:
            about.setdefault(text, []).append(change)
    return [
        Finding(
            WARNING,
            f"The cluster warns: {text}",
            f"Of {plural(len(found), 'object')}." if len(found) > 1 else "",
            subject=known.get(found[0].ref, str(found[0].ref)),
        )
        for text, found in about.items()
    ]


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
        if (change.error or change.warning or change.notices or change.told) and change.ref in by_ref:
            source = by_ref[change.ref]
            field = change.field_errors[0] if change.field_errors else change.warned_field
            if field and source.file in files:
                source = line_of_field(files[source.file], source, field)
            found[change.ref] = f"{environment.config_directory}/{source}"
    return found


def check_objects(
    client: Client, kinds: ClusterKinds, environment: Environment, manifests: Sequence[Manifest], pins: Sequence[ImagePin],
    images: Mapping[str, Image], *, with_diff: bool, observer: Observer | None = None,
) -> tuple[list[Finding], list[ObjectChange]]:  # fmt: skip
    """What the cluster and the registry say of the objects, asked side by side: references and the pull secret as findings,
    and what applying would do. Raises ApiError when the cluster does not answer."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        references = pool.submit(copy_context().run, check_references, client, manifests)
        pull = pool.submit(copy_context().run, check_pull_secret, client, environment, pins, images)
        changes = dry_run(
            client, manifests, kinds=kinds, digest=digest, with_diff=with_diff, observer=observer
        )
        return [*references.result(), *pull.result()], changes


OVERRIDE_HINT = "Or override it, with a reason: the box below the checks of the new deploy, or --override."


def stop_for(found: Preflight) -> None:
    """Raises NotDeployable when something found stops the deploy: the first in words, how many more, and all of them. The
    findings must be in the log."""
    if not found.errors:
        return
    first, count = found.errors[0], len(found.errors) - 1
    override = OVERRIDE_HINT if found.can_be_overridden else ""
    more = f" And {plural(count, 'more problem')}." if count else ""
    raise NotDeployable(
        f"{first.text}{more}",
        problems=tuple(finding.text for finding in found.errors),
        in_log=True,
        hint=" ".join(
            part for part in (first.detail, override, "Nothing was changed on the cluster.") if part
        ),
    )


def plural(count: int, word: str) -> str:
    """`1 object`, `3 objects`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
