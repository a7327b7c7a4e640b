"""The preview of a deploy: runs the pipeline's preparation to its end, without a write.

It asks Git's mirror, AWS, the registry and the cluster, each with short timeouts. The result is cached for half a minute per
environment and commit, without secret values.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import structlog
from django.core.cache import cache

from adapters.git.names import is_short_commit
from adapters.git.repository import Commit
from adapters.kubernetes.client import KubernetesClient
from core.errors import Refused
from core.findings import FAILED, Finding
from core.origin import origin
from core.redactor import redact_text, redactor_in_force
from deployments.gate.secrets_alone import base_of
from deployments.models import Deploy, Release
from deployments.preparation.preflight import WithFindings
from deployments.preparation.preparation import Fresh, Preparation
from deployments.preparation.prepare import NotDeployable
from deployments.preparation.secrets_only import SecretsOnly
from deployments.preparation.slots import preview_slot
from deployments.queries import last_release
from engine.cluster.changes import ObjectChange
from engine.cluster.resources import ClusterKinds
from engine.errors import SlipwayError
from engine.manifests.meaning.words import Meaning
from engine.manifests.render import ImagePin
from engine.types import Manifest
from projects.connections import hasty_client, quick_repository
from projects.models import Environment
from projects.secret_files import Patiently, SecretChange, at_once, current_versions, secret_changes

log = structlog.get_logger(__name__)
KEPT_SECONDS = 30
OWN_ERROR = "An error of the portal itself ended this preview; its log has the details."
MOST_COMMITS = 100


@dataclass(frozen=True)
class Preview(WithFindings):
    """What the page shows before a deploy is requested. No secret values.

    `live_revision`: deployed last; where nothing was, `tagged_revision` is the one that the tags of the running images name.

    `commits`: from the live revision to the chosen one, newest first; `reverse`: the chosen one is older, and `commits` would
    be undone. `secret_versions`: path and VersionId of each secrets file; `live_versions`: the same of what runs. `findings`:
    errors stop the deploy. `changes`: the dry run's result for each object.
    """

    commit: Commit
    live_revision: str = ""
    tagged_revision: str = ""
    commits: tuple[Commit, ...] = ()
    reverse: bool = False
    commit_count: int = 0
    images: tuple[ImagePin, ...] = ()
    secret_changes: tuple[SecretChange, ...] = ()
    secret_versions: tuple[tuple[str, str], ...] = ()
    live_versions: tuple[tuple[str, str], ...] = ()
    changes: tuple[ObjectChange, ...] = ()
    findings: tuple[Finding, ...] = field(default=())


def preview(
    environment: Environment, commit: Commit, kind: str = Deploy.Kind.DEPLOY, *, person_id: int | None = None
) -> Preview:
    """The preview, from the cache or fresh. Errors of the revision and of outside systems become findings, as does a person
    or a site that makes too many at once; it raises none of them. `kind`: `deploy`, or `secrets` for the secrets alone.
    """
    key = key_of(environment, commit, kind)
    kept = cache.get(key)
    if kept is not None:
        return kept
    try:
        with preview_slot(person_id), redactor_in_force():
            made = make(environment, commit, kind)
    except Refused as error:
        return Preview(commit=commit, live_revision="", findings=findings_of(error))
    if not made.errors:  # after a correction, the next look must not show old errors
        cache.set(key, made, KEPT_SECONDS)
    return made


def key_of(environment: Environment, commit: Commit, kind: str) -> str:
    """Of the cache: other settings, another deploy and another current version of a secret make another preview."""
    versions = json.dumps(current_versions(environment), sort_keys=True)
    secrets = hashlib.sha256(versions.encode()).hexdigest()[:16]
    return f"preview-{kind}-{environment.pk}-{environment.edited}-{commit.sha}-{last_number(environment)}-{secrets}"


def last_number(environment: Environment) -> int:
    """Number of the newest deploy, or 0. Part of the cache key: each deploy makes older previews wrong."""
    numbers = (
        Deploy.objects.filter(environment=environment).order_by("-number").values_list("number", flat=True)
    )
    return numbers.first() or 0


class PageMeans:
    """How a page reaches outside systems (see `preparation.Means`): with short timeouts, without log or observer."""

    hasty = True

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    @cached_property
    def client(self) -> KubernetesClient:
        """A client with short timeouts, made on first use."""
        return hasty_client(self.environment.cluster, purpose="preview")

    @cached_property
    def kinds(self) -> ClusterKinds:
        """The kinds of object that the cluster knows."""
        return ClusterKinds(self.client)

    @property
    def patiently(self) -> Patiently:
        """Calls directly, in this thread."""
        return at_once

    def log(self, text: str, *, level: str = "info") -> None:
        """Does nothing: a preview has no log."""

    def observer(self, manifests: Sequence[Manifest]) -> None:
        """None: nothing observes the dry run of a preview."""

    def close(self) -> None:
        """Closes the connections to the cluster, if there are any."""
        if "client" in self.__dict__:
            self.client.close()


def preparation_of(environment: Environment, commit: Commit, kind: str, means: PageMeans) -> Preparation:
    """The preparation that the pipeline would use. Raises NotDeployable when the secrets cannot be deployed alone."""
    if kind != Deploy.Kind.SECRETS:
        return Fresh(environment, commit.sha, means)
    release, why_not = base_of(environment)
    if release is None:
        raise NotDeployable(f"The secrets cannot be deployed alone: {why_not}")
    return SecretsOnly(environment, release, means)


def make(environment: Environment, commit: Commit, kind: str = Deploy.Kind.DEPLOY) -> Preview:
    """Makes a fresh preview. An error becomes a finding, and the later parts stay empty."""
    release = last_release(environment)
    result = with_commits(
        Preview(commit=commit, live_revision=release.revision if release else ""), environment
    )
    means = PageMeans(environment)
    preparation: Preparation | None = None
    try:
        preparation = preparation_of(environment, commit, kind, means)
        preparation.checkout()
        preparation.secrets()
        result = with_secrets(result, preparation, release)
        preparation.render()
        checked = preparation.preflight(with_diff=True)
    except SlipwayError as error:
        return replace(result, images=images_of(preparation), findings=findings_of(error))
    except Exception:  # unforeseen: its text may hold secret values, so only the log gets it
        log.exception("a preview ended by an error of the portal", environment=environment.label)
        own = Finding(FAILED, OWN_ERROR, f"Reference: {origin().request_id}.")
        return replace(result, images=images_of(preparation), findings=(own,))
    finally:
        means.close()
    result = replace(
        result,
        images=images_of(preparation),
        changes=tuple(redacted_change(change) for change in checked.changes),
        findings=tuple(redacted_finding(finding) for finding in checked.findings),
    )
    return result if result.live_revision else with_tagged(result, environment)


def images_of(preparation: Preparation | None) -> tuple[ImagePin, ...]:
    """Those that are known already."""
    return tuple(preparation.pins) if preparation else ()


def with_secrets(result: Preview, preparation: Preparation, release: Release | None) -> Preview:
    """The versions of the secrets files that were read, and their keys that differ from those of what runs."""
    fetched, environment = preparation.fetched, preparation.environment
    changed = secret_changes(release.stored_objects, fetched, environment) if release else []
    versions = tuple((one.path, one.version_id) for one in fetched)
    live = tuple(sorted(release.secret_versions.items())) if release else ()
    return replace(result, secret_changes=tuple(changed), secret_versions=versions, live_versions=live)


def findings_of(error: SlipwayError) -> tuple[Finding, ...]:
    """An error as findings that stop the deploy: one per problem that it lists, else its message. Redacted."""
    problems = getattr(error, "problems", ()) or (error.message,)
    return tuple(
        Finding(
            FAILED,
            redact_text(problem),
            redact_text(error.hint),
            keys=error.key_names.get(problem, ()),
            cause=error.why.get(problem),
        )
        for problem in problems
    )


def with_commits(result: Preview, environment: Environment) -> Preview:
    """The preview with the commits between the live and the chosen revision; without any when Git cannot tell them."""
    repository = quick_repository(environment.project)
    base, head = result.live_revision or result.tagged_revision, result.commit.sha
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


def with_tagged(result: Preview, environment: Environment) -> Preview:
    """The preview of a first deploy over what another tool made: with the commits since the revision that its images' tags name,
    where they do."""
    tags = {one.before for change in result.changes for one in change.meaning if one.what == "image"}
    commits = sorted(tag for tag in tags if is_short_commit(tag))
    if not commits:
        return result
    try:
        found = quick_repository(environment.project).resolve(commits[0])
    except SlipwayError:
        return result
    return with_commits(replace(result, tagged_revision=found.sha), environment)


def redacted_change(change: ObjectChange) -> ObjectChange:
    """The change with redacted texts: API messages and diffs can hold secret values."""
    return replace(
        change,
        diff=tuple(redact_text(line) for line in change.diff),
        meaning=tuple(redacted_meaning(one) for one in change.meaning),
        error=redact_text(change.error),
        hint=redact_text(change.hint),
        warning=redact_text(change.warning),
        warning_hint=redact_text(change.warning_hint),
        notices=tuple(replace(notice, text=redact_text(notice.text)) for notice in change.notices),
        conflicts=tuple(redact_text(text) for text in change.conflicts),
        told=tuple(redact_text(text) for text in change.told),
    )


def redacted_meaning(meaning: Meaning) -> Meaning:
    """The change in words with redacted values."""
    return replace(
        meaning,
        name=redact_text(meaning.name),
        before=redact_text(meaning.before),
        after=redact_text(meaning.after),
    )


def redacted_finding(finding: Finding) -> Finding:
    """The finding with redacted texts."""
    return replace(
        finding,
        text=redact_text(finding.text),
        detail=redact_text(finding.detail),
        subject=redact_text(finding.subject),
    )
