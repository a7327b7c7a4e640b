"""Live validation: tries the outside systems with what was entered. Each function returns findings and never raises an
error of an outside system.

Each request has a short timeout, and all together ten seconds. A finding has a sentence, the remedy, the form's field,
and whether the person may save anyway: yes when a system is down or an object does not exist yet, no when a system
refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial

from adapters.aws.ecr import Ecr
from adapters.aws.secrets_manager import SecretsManager
from adapters.errors import Denied, ExternalError, NotFound
from adapters.git.repository import RepositoryFacts, UntrustedHost, UnusableKey
from adapters.kubernetes.client import KubernetesClient
from adapters.kubernetes.limits import RetryPolicy
from core.fields import CannotDecrypt, Sealed, opened
from core.findings import FAILED, PASSED, WARNING, Finding
from engine.errors import ManifestError, SlipwayError
from engine.manifests.documents import Document, read_documents
from engine.manifests.secretfiles import NotOneSecret, check_against_reference
from projects import connections
from projects.cluster_rights import deploy_finding, namespace_findings, pull_finding
from projects.models import Project, Registry, SecretsFile
from projects.namespaces import namespace_facts
from projects.reference_files import newest, newest_reference
from projects.secret_files import read_secret

TIMEOUT = 5.0
DEADLINE = 10.0  # seconds for all checks; an adapter's own repeats may take longer
ONCE = RetryPolicy(attempts=1)


@dataclass(frozen=True)
class ClusterAnswer:
    """The findings about a cluster, and its version (empty when it did not answer)."""

    findings: list[Finding]
    version: str = ""


Check = Callable[[], list[Finding]]


def run(checks: Sequence[Check], *, deadline: float = DEADLINE) -> list[Finding]:
    """The findings of all checks, in order. The checks run in parallel threads and must not use the database. They share
    the caller's redactor.

    A check that has not ended after `deadline` seconds is abandoned, so that the page is not delayed further.
    """
    if not checks:
        return []
    pool = ThreadPoolExecutor(max_workers=len(checks))
    started = [pool.submit(copy_context().run, check) for check in checks]
    pool.shutdown(wait=False)
    done, _ = wait(started, timeout=deadline)
    return [f for check in started for f in (check.result() if check in done else [_too_slow(deadline)])]


def _too_slow(deadline: float) -> Finding:
    text = f"An outside system did not answer within {deadline:.0f} s."
    return Finding(FAILED, text, "Try again in a while.", can_override=True)


def trouble(error: SlipwayError, field: str, *, may_come: bool = False) -> Finding:
    """The finding for an error at a field. `may_come`: the object may be created later, so NotFound can be overridden."""
    is_down = isinstance(error, ExternalError) and not error.permanent
    not_there = may_come and isinstance(error, NotFound)
    return Finding(FAILED, error.message, error.hint, field, can_override=is_down or not_there)


# Clusters


def cluster(kubeconfig: Sealed | str, *, field: str = "kubeconfig") -> ClusterAnswer:
    """Whether the cluster accepts these credentials, and which rights they lack for deploying to every namespace."""
    try:
        with KubernetesClient.from_kubeconfig(
            opened(kubeconfig), user_agent=connections.user_agent("check"), retry=ONCE
        ) as client:
            facts = client.probe()
            answers = Finding(
                PASSED, f"{client.server} answers: Kubernetes {facts.version.removeprefix('v')}."
            )
            rights = [deploy_finding(client, "", field, WARNING), pull_finding(client, field)]
            return ClusterAnswer([answers, *rights, *namespace_findings(client, field)], facts.version)
    except (ExternalError, CannotDecrypt) as error:
        return ClusterAnswer([trouble(error, field)])


def namespace(kubeconfig: Sealed | str, name: str) -> list[Finding]:
    """Whether the namespace exists, and the rights in it suffice. A missing one can be overridden: manifests may create
    it."""
    try:
        with KubernetesClient.from_kubeconfig(
            opened(kubeconfig), user_agent=connections.user_agent("check"), retry=ONCE
        ) as client:
            client.probe()
            return [
                *namespace_facts(client, name, timeout=TIMEOUT),
                deploy_finding(client, name, "cluster", FAILED),
            ]
    except (ExternalError, CannotDecrypt) as error:
        return [trouble(error, "cluster")]


# Repositories


def repository(project: Project, *, own_branch: list[str] | None = None) -> list[Finding]:
    """Whether the project's repository accepts its credential, and has its default branch. Where the project names none, it is
    the repository's own one, which `own_branch` takes."""
    try:
        facts = connections.repository_of(project).check(timeout=TIMEOUT)
    except (ExternalError, CannotDecrypt) as error:
        refused = isinstance(error, Denied | UnusableKey | CannotDecrypt) and not isinstance(
            error, UntrustedHost
        )
        field = "credential" if refused and project.credential_kind else "repository_url"
        return [trouble(error, field)]
    branch = project.default_branch or _own_branch(facts)
    if own_branch is not None:
        own_branch.append(branch)
    if branch not in facts.branches:
        return [_no_branch(branch, facts.branches)]
    count = len(facts.branches)
    text = f"The repository answers; it has {count} branch{'es' if count != 1 else ''}, {branch} among them."
    return [Finding(PASSED, text)]


def _own_branch(facts: RepositoryFacts) -> str:
    """The branch that the repository calls its default, else the only one, else `main`."""
    return facts.default_branch or (facts.branches[0] if len(facts.branches) == 1 else "main")


def address_alone(project: Project) -> list[Finding]:
    """What is wrong with the address or branch, as far as it can be told without the credential that is yet to be entered."""
    if not project.repository_url.startswith(("https://", "http://")):
        return []
    try:
        facts = connections.repository_of(project).check(timeout=TIMEOUT)
    except (Denied, NotFound):
        return []  # hosts answer so where a credential is missing
    except ExternalError as error:
        return [trouble(error, "repository_url")]
    known = not project.default_branch or project.default_branch in facts.branches
    return [] if known else [_no_branch(project.default_branch, facts.branches)]


def _no_branch(branch: str, branches: Sequence[str]) -> Finding:
    if not branches:
        text, hint = "The repository is empty: it has no branch yet.", "Push a first commit."
    else:
        text = f"The repository has no branch “{branch}”."
        hint = f"There is {', '.join(branches[:5])}{' and more' if len(branches) > 5 else ''}."
    return Finding(FAILED, text, hint, "default_branch", can_override=True)


def config_directory(project: Project, directory: str) -> list[Finding]:
    """Whether the directory exists at the newest revision of the default branch, with readable manifests."""
    try:
        found = newest(project)
        files = found.files(directory)
    except (ExternalError, CannotDecrypt) as error:
        return [trouble(error, "config_directory", may_come=True)]
    try:
        documents = read_documents(files)
    except ManifestError as error:
        first = f" {error.problems[0]}" if error.problems else ""
        return [
            Finding(
                FAILED,
                f"{directory} at {found.sha[:7]}: {error.message}{first}",
                error.hint,
                "config_directory",
                True,
            )
        ]
    count = len(documents)
    return [
        Finding(PASSED, f"{count} object{'s' if count != 1 else ''} found in {directory} at {found.sha[:7]}.")
    ]


# AWS


def registry(row: Registry) -> list[Finding]:
    """Whether the registry gives a token, and its address is the configured one."""
    try:
        token = connections.ecr(row, hasty=True).token()
    except ExternalError as error:
        return [trouble(error, "account" if isinstance(error, Denied) else "region")]
    named = token.endpoint.partition("://")[2].rstrip("/") or token.endpoint
    if named and named != row.host:
        return [
            Finding(
                WARNING,
                f"The registry calls itself {named}, the address says {row.host}.",
                "Manifests must name the images by this address.",
            )
        ]
    return [Finding(PASSED, f"{row.host} answers and hands out credentials.")]


def image_repository(api: Ecr, name: str) -> list[Finding]:
    """Whether the registry has the repository."""
    try:
        exists = api.repository_exists(name)
    except ExternalError as error:
        return [trouble(error, "registry", may_come=True)]
    if exists:
        return [Finding(PASSED, f"The registry has the repository {name}.")]
    text = f"The registry has no repository {name}."
    return [
        Finding(
            FAILED, text, "Create it in the registry, or correct the name.", "repository", can_override=True
        )
    ]


def secret(
    api: SecretsManager, secret_id: str, reference: Callable[[], Sequence[Document]], path: str
) -> list[Finding]:
    """Whether the secret exists, is a secrets file in one of the two forms, and has the keys of its reference file. Shows
    no value. Raises RuntimeError where no redactor is in force."""
    blank, trouble_with_it = _reference(reference)
    try:
        populated = read_secret(api, secret_id, path, reference=blank).documents
    except NotFound as error:
        return [trouble(error, "secret_id", may_come=True)]
    except NotOneSecret as error:
        return trouble_with_it or [_unreadable(error)]
    except ManifestError as error:
        return [_unreadable(error)]
    except ExternalError as error:
        return [trouble(error, "secret_id")]
    return trouble_with_it or _compare(blank, populated)


def _reference(ask: Callable[[], Sequence[Document]]) -> tuple[Sequence[Document], list[Finding]]:
    """The blank Secrets of the reference file, or why they are not to be had."""
    try:
        return ask(), []
    except (ExternalError, ManifestError) as error:
        return (), [_no_reference(error)]


def _unreadable(error: ManifestError) -> Finding:
    first = f" {error.problems[0]}" if error.problems else ""
    text = f"The secret is no Kubernetes Secret file, and no flat JSON object.{first}"
    return Finding(FAILED, text, error.hint, "secret_id")


def secrets_file(row: SecretsFile) -> list[Finding]:
    """The secret of a secrets file (saved or not), against the reference file that it replaces."""
    environment = row.environment
    reference = partial(newest_reference, environment.project, environment.config_directory, row.path)
    return secret(connections.secrets_manager(row, hasty=True), row.secret_id, reference, row.path)


def _no_reference(error: SlipwayError) -> Finding:
    down = isinstance(error, ExternalError)
    first = f" {error.problems[0]}" if isinstance(error, ManifestError) and error.problems else ""
    return Finding(FAILED, f"{error.message}{first}", error.hint, "path", can_override=down)


def _compare(reference: Sequence[Document], populated: Sequence[Document]) -> list[Finding]:
    result = check_against_reference(reference, populated)
    findings = []
    if result.missing:
        text = f"The secret lacks keys of the reference file: {', '.join(result.missing[:8])}."
        findings.append(Finding(WARNING, text, "Deploys stop until they are there."))
    if result.placeholders:
        text = f"Still a placeholder: {', '.join(result.placeholders[:8])}."
        findings.append(Finding(WARNING, text, "Fill them in before a deploy needs them."))
    return findings or [Finding(PASSED, "The secret is there and has every key of the reference file.")]
