"""What exactly will happen if somebody presses Deploy: the pipeline's own preparation, driven to its end
without a write.

It talks to Git's mirror, AWS, the registry and the cluster, each with short timeouts; the answer is kept for half a
minute per environment and commit, without secret values, so that going back and forth costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import structlog
from django.core.cache import cache

from adapters.git.repository import Commit
from adapters.kubernetes.client import KubernetesClient
from core.findings import FAILED, Finding
from core.origin import origin
from core.redactor import redact_text, redactor_in_force
from deployments.models import Deploy
from deployments.preparation.preflight import WithFindings
from deployments.preparation.preparation import Fresh
from deployments.queries import last_release
from engine.cluster.dryrun import ObjectChange
from engine.cluster.resources import ClusterKinds
from engine.errors import SlipwayError
from engine.manifests.render import ImagePin
from engine.types import Manifest
from projects.connections import git_repository, hasty_client
from projects.models import Environment
from projects.secret_files import Patiently, SecretChange, at_once, secret_changes

log = structlog.get_logger(__name__)
KEPT_SECONDS = 30
OWN_ERROR = "An error of the portal itself ended this preview; its log has the details."
MOST_COMMITS = 100


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
    with redactor_in_force():
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


class PageMeans:
    """The outside as somebody reaches it who waits for a page: soon or not at all."""

    hasty = True

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    @cached_property
    def client(self) -> KubernetesClient:
        """A client of its own, which gives up soon."""
        return hasty_client(self.environment.cluster, purpose="preview")

    @cached_property
    def kinds(self) -> ClusterKinds:
        """What its cluster knows of kinds."""
        return ClusterKinds(self.client)

    @property
    def patiently(self) -> Patiently:
        """At once."""
        return at_once

    def log(self, text: str, *, level: str = "info") -> None:
        """Nobody reads along."""

    def observer(self, manifests: Sequence[Manifest]) -> None:
        """Nobody watches the dry run."""

    def close(self) -> None:
        """Gives the cluster's connections back, if there are any."""
        if "client" in self.__dict__:
            self.client.close()


def make(environment: Environment, commit: Commit) -> Preview:
    """The preview with what is found first; each part that fails becomes a finding, and the later parts are left out."""
    release = last_release(environment)
    result = with_commits(
        Preview(commit=commit, live_revision=release.revision if release else ""), environment
    )
    means = PageMeans(environment)
    preparation = Fresh(environment, commit.sha, means)
    try:
        preparation.checkout()
        preparation.secrets()
        changed = (
            secret_changes(release.stored_objects, preparation.fetched, environment.namespace)
            if release
            else []
        )
        result = replace(result, secret_changes=tuple(changed))
        preparation.render()
        checked = preparation.preflight(with_diff=True)
    except SlipwayError as error:
        return replace(result, images=tuple(preparation.pins), findings=findings_of(error))
    except Exception:  # nobody thought of it: logged, and told without its text
        log.exception("a preview ended by an error of the portal", environment=environment.label)
        own = Finding(FAILED, OWN_ERROR, f"Reference: {origin().request_id}.")
        return replace(result, images=tuple(preparation.pins), findings=(own,))
    finally:
        means.close()
    return replace(
        result,
        images=tuple(preparation.pins),
        changes=tuple(redacted_change(change) for change in checked.changes),
        findings=tuple(redacted_finding(finding) for finding in checked.findings),
    )


def findings_of(error: SlipwayError) -> tuple[Finding, ...]:
    """What went wrong, as findings that stop the deploy: every problem that the error lists, or the error."""
    problems = getattr(error, "problems", ()) or (error.message,)
    return tuple(Finding(FAILED, redact_text(problem), redact_text(error.hint)) for problem in problems)


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


def redacted_change(change: ObjectChange) -> ObjectChange:
    """API texts and diffs can hold values: through the redactor before they are kept."""
    return replace(
        change,
        diff=tuple(redact_text(line) for line in change.diff),
        error=redact_text(change.error),
        hint=redact_text(change.hint),
        warning=redact_text(change.warning),
        warning_hint=redact_text(change.warning_hint),
        notices=tuple(replace(notice, text=redact_text(notice.text)) for notice in change.notices),
        conflicts=tuple(redact_text(text) for text in change.conflicts),
        told=tuple(redact_text(text) for text in change.told),
    )


def redacted_finding(finding: Finding) -> Finding:
    """The same for a finding."""
    return replace(
        finding,
        text=redact_text(finding.text),
        detail=redact_text(finding.detail),
        subject=redact_text(finding.subject),
    )
