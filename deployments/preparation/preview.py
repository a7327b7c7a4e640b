"""What exactly will happen if somebody presses Deploy: made by the functions that the pipeline uses, without a write.

It talks to Git's mirror, AWS, the registry and the cluster, each with short timeouts; the answer is kept for half a
minute per environment and commit, without secret values, so that going back and forth costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog
from django.core.cache import cache

from adapters.git.repository import Commit
from core.origin import origin
from core.redactor import redact_text, redacting
from deployments.models import Deploy, Release
from deployments.preparation import prepare
from deployments.preparation.preflight import ERROR, Finding, Preflight, WithFindings, preflight
from deployments.preparation.prepare import Fetched, NotDeployable
from deployments.queries import last_release
from engine.cluster.dryrun import ObjectChange
from engine.cluster.resources import ClusterKinds
from engine.errors import ManifestError, SlipwayError
from engine.manifests.documents import Document
from engine.manifests.masking import key_digests
from engine.manifests.render import ImagePin
from projects.connections import git_repository, hasty_client
from projects.models import Environment

log = structlog.get_logger(__name__)
KEPT_SECONDS = 30
OWN_ERROR = "An error of the portal itself ended this preview; its log has the details."
MOST_COMMITS = 100


@dataclass(frozen=True)
class SecretChange:
    """A key of a secrets file against the last verified release. `kind`: added, changed, removed."""

    file: str
    key: str
    kind: str


@dataclass(frozen=True)
class Preview(WithFindings):
    """Everything the page shows before the click. No secret values.

    `commits`: from what is live to the chosen one, newest first; `reverse`: the chosen one is older than what is live.
    `findings`: errors stop the deploy. `changes`: objects as the dry run answered.
    """

    commit: Commit
    live_revision: str = ""
    commits: tuple[Commit, ...] = ()
    reverse: bool = False
    commit_count: int = 0
    images: tuple[ImagePin, ...] = ()
    secret_changes: tuple[SecretChange, ...] = ()
    changes: tuple[ObjectChange, ...] = ()
    findings: tuple[Finding, ...] = field(default=())

    @property
    def errors_text(self) -> str:
        """`2 stop it`."""
        return f"{len(self.errors)} would stop it"

    @property
    def warnings_text(self) -> str:
        """`1 warning`."""
        return f"{len(self.warnings)} warning{'s' if len(self.warnings) != 1 else ''}"


def preview(environment: Environment, commit: Commit) -> Preview:
    """The preview, from the cache or fresh. Never raises for what is wrong with the revision or an outside system: that
    is a finding."""
    key = f"preview-{environment.pk}-{environment.edited}-{commit.sha}-{last_number(environment)}"
    kept = cache.get(key)
    if kept is not None:
        return kept
    with redacting():
        made = make(environment, commit)
    if not made.errors:  # who mends something and looks again must not be shown what was wrong before
        cache.set(key, made, KEPT_SECONDS)
    return made


def last_number(environment: Environment) -> int:
    """Of the newest deploy: a preview made before it is worth nothing."""
    numbers = (
        Deploy.objects.filter(environment=environment).order_by("-number").values_list("number", flat=True)
    )
    return numbers.first() or 0


def make(environment: Environment, commit: Commit) -> Preview:
    """The preview with what is found first; each part that fails becomes a finding, and the later parts are left out."""
    release = last_release(environment)
    result = with_commits(
        Preview(commit=commit, live_revision=release.revision if release else ""), environment
    )
    try:
        files = prepare.files_at(environment, commit.sha)
        documents = prepare.read(environment, files)
        fetched = prepare.fetch_secrets(environment)
        result = replace(result, secret_changes=tuple(secret_changes(release, fetched)))
        pins = prepare.resolve_images(environment, commit.sha)
        result = replace(result, images=tuple(pins))
        checked = checked_objects(environment, commit, files, documents, fetched, pins)
    except (ManifestError, NotDeployable) as error:
        problems = error.problems or (error.message,)
        findings = tuple(
            Finding(ERROR, redact_text(problem), redact_text(error.hint)) for problem in problems
        )
        return replace(result, findings=findings)
    except SlipwayError as error:
        return replace(
            result, findings=(Finding(ERROR, redact_text(error.message), redact_text(error.hint)),)
        )
    except Exception:  # told here: outside of this redactor the traceback might show a value
        log.exception("a preview ended by an error of the portal", environment=environment.label)
        return replace(result, findings=(Finding(ERROR, OWN_ERROR, f"Reference: {origin().request_id}."),))
    return replace(
        result,
        changes=tuple(redacted_change(change) for change in checked.changes),
        findings=tuple(redacted_finding(finding) for finding in checked.findings),
    )


def checked_objects(
    environment: Environment, commit: Commit, files: Mapping[str, bytes], documents: Sequence[Document],
    fetched: Sequence[Fetched], pins: Sequence[ImagePin],
) -> Preflight:  # fmt: skip
    """Render and preflight with the diff, on a client of its own."""
    client = hasty_client(environment.cluster, purpose="preview")
    try:
        kinds = ClusterKinds(client)
        rendered = prepare.render_release(environment, commit.sha, documents, fetched, pins, kinds)
        prepared = prepare.Prepared(files, documents, fetched, pins, rendered)
        return preflight(client, kinds, environment, prepared, with_diff=True)
    finally:
        client.close()


def with_commits(result: Preview, environment: Environment) -> Preview:
    """The commits between what is live and the chosen one; none when the live one is not in the repository any more."""
    repository = git_repository(environment.project)
    base, head = result.live_revision, result.commit.sha
    try:
        if not base:
            return replace(result, commits=tuple(repository.log(None, head, 20)))
        ahead, behind = repository.count(base, head)
        if ahead == 0 and behind:
            return replace(
                result,
                commits=tuple(repository.log(head, base, MOST_COMMITS)),
                reverse=True,
                commit_count=behind,
            )
        return replace(result, commits=tuple(repository.log(base, head, MOST_COMMITS)), commit_count=ahead)
    except SlipwayError:
        return result


def secret_changes(release: Release | None, fetched: Sequence[Fetched]) -> list[SecretChange]:
    """Keys of the secrets files that differ from those of the release: compared by keyed digests, never by value."""
    if release is None:
        return []
    before = {
        (entry["from"]["file"], key): digest
        for entry in release.stored_objects
        if "file" in entry.get("from", {})
        for key, digest in entry["secret"]["keys"].items()
    }
    after = {
        (one.path, key): digest
        for one in fetched
        for document in one.documents
        for key, digest in key_digests(named(document, release), prepare.digest).items()
    }
    kinds = [
        *(SecretChange(*key, "added") for key in after.keys() - before.keys()),
        *(SecretChange(*key, "removed") for key in before.keys() - after.keys()),
        *(SecretChange(*key, "changed") for key in after.keys() & before.keys() if after[key] != before[key]),
    ]
    return sorted(kinds, key=lambda change: (change.file, change.key))


def named(document: Document, release: Release) -> dict:
    """The Secret with the namespace that rendering gives it: digests are made over namespace, name, key and value."""
    metadata = {"namespace": release.environment.namespace, **document.body["metadata"]}
    return {**document.body, "metadata": metadata}


def redacted_change(change: ObjectChange) -> ObjectChange:
    """API texts and diffs can hold values: through the redactor before they are kept."""
    return replace(
        change,
        diff=tuple(redact_text(line) for line in change.diff),
        error=redact_text(change.error),
        hint=redact_text(change.hint),
        warning=redact_text(change.warning),
        warning_hint=redact_text(change.warning_hint),
        conflicts=tuple(redact_text(text) for text in change.conflicts),
    )


def redacted_finding(finding: Finding) -> Finding:
    """The same for a finding."""
    return replace(
        finding,
        sentence=redact_text(finding.sentence),
        hint=redact_text(finding.hint),
        subject=redact_text(finding.subject),
    )
