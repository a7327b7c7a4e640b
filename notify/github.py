"""Tells GitHub of builds (statuses of commits) and deploys (deployments), by rows of the outbox.

A row holds no token: that of the project, or the site's, is looked up when the row is sent.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction

from adapters.errors import Denied, NotFound
from adapters.github import DeploymentState, GitHub, Status, StatusState, repository_of, shortened
from core.fields import CannotDecrypt, Sealed
from core.redactor import redact_text
from core.secret_values import register
from notify import rows
from notify.models import GitHubRefusal, Outgoing
from projects.allotting.rules import not_allotted
from projects.allotting.wishes import of_git, of_project
from projects.models import Project

log = structlog.get_logger(__name__)
KINDS = (Outgoing.Kind.GITHUB_STATUS, Outgoing.Kind.GITHUB_DEPLOYMENT)
DELIVERY_SECONDS = 20
CONTEXT = "slipway/build"
OwnToken = Callable[[int], Sealed | None]  # takes a project's primary key


def _no_own_token(_project_id: int) -> Sealed | None:
    return None


_own_token: list[OwnToken] = [_no_own_token]


def register_token(lookup: OwnToken) -> None:
    """Names the function that finds a project's own token. The app that keeps such tokens calls it in `AppConfig.ready`."""
    _own_token[0] = lookup


def repository_for(project: Project) -> str:
    """`owner/name` of the project's repository, if GitHub can be told of it: it lies there, there is a token, and the project's
    address is allotted to it. For the site's token that counts without a stored credential, too: a maintainer may name any
    repository, and must not write to it with a right that is not theirs."""
    own = _own_token[0](project.pk)
    wishes = of_project(project) if own else of_git(project.repository_url)
    if not (own or settings.GITHUB_TOKEN) or not_allotted(project, wishes):
        return ""
    return repository_of(project.repository_url, settings.GITHUB_API_URL)


def tell_status(project: Project, sha: str, state: StatusState, said: str, url: str, *, key: str) -> None:
    """Queues the status of a commit, in the caller's transaction. Idempotent by `key`. Nothing without a repository on
    GitHub and a token."""
    repository = repository_for(project)
    if repository:
        payload = {
            "project": project.pk,
            "sha": sha,
            "context": f"{CONTEXT}/{project.slug}" if is_shared(project) else CONTEXT,
            **_told(state, said, url),
        }
        thread = f"github-{project.pk}-{sha}"
        rows.write(Outgoing.Kind.GITHUB_STATUS, repository, key, thread, payload)


def tell_deployment(
    project: Project, sha: str, environment: str, state: DeploymentState, said: str, url: str, *, key: str, thread: str,
    production: bool,
) -> None:  # fmt: skip
    """Queues a deployment, or its next state, like `tell_status`. `thread`: the same for all states of one deployment."""
    repository = repository_for(project)
    if repository:
        payload = {
            "project": project.pk,
            "sha": sha,
            "environment": f"{project.slug}/{environment}" if is_shared(project) else environment,
            "production": production,
            **_told(state, said, url),
        }
        rows.write(Outgoing.Kind.GITHUB_DEPLOYMENT, repository, key, thread, payload)


def _told(state: str, said: str, url: str) -> dict[str, str]:
    return {"state": state, "description": shortened(redact_text(said)), "url": url}


def is_shared(project: Project) -> bool:
    """Whether another project has the same repository, however its address is written: then GitHub's names need the project's,
    too. Else one project's success would count as the other's."""
    own = repository_of(project.repository_url, settings.GITHUB_API_URL).lower()
    others = Project.objects.exclude(pk=project.pk).values_list("repository_url", flat=True)
    return any(repository_of(url, settings.GITHUB_API_URL).lower() == own for url in others)


class Moot(Exception):
    """Nobody is to be told of a row any more. The text says why."""


def deliver(row: Outgoing) -> str:
    """Sends a row. Returns the id of the deployment, or an empty text. Raises ExternalError, and Moot when the project was
    removed.

    A missing right or repository is noted for the project's pages; the next success removes the note.
    """
    project_id = int(row.payload["project"])
    if not Project.objects.filter(pk=project_id).exists():
        raise Moot("The project was removed before GitHub was told.")
    try:
        github = GitHub(token_of(project_id), settings.GITHUB_API_URL, seconds=DELIVERY_SECONDS)
        external_id = _DELIVERIES[row.kind](github, row)
    except (Denied, NotFound) as error:
        if error.permanent:
            _note_refusal(project_id, row.kind, error)
        raise
    GitHubRefusal.objects.filter(project_id=project_id, kind=row.kind).delete()
    return external_id


def _note_refusal(project_id: int, kind: str, error: Denied | NotFound) -> None:
    said = {"sentence": redact_text(error.message)[:500], "hint": error.hint[:500]}
    try:
        with transaction.atomic():
            GitHubRefusal.objects.update_or_create(project_id=project_id, kind=kind, defaults=said)
    except IntegrityError:  # the project was removed while GitHub was asked: no page is left to say it on
        log.info("a refusal of GitHub was not noted", project=project_id)


def token_of(project_id: int) -> str:
    """The project's own token, else the site's. Raises Denied when there is none, or it cannot be decrypted."""
    own = _own_token[0](project_id)
    try:
        token = own.open() if own else _site_token(project_id)
    except CannotDecrypt as error:
        raise Denied(error.message, system="GitHub", hint=error.hint) from None
    if not token:
        hint = "Enter one in the project's settings; or set GITHUB_TOKEN, and let an admin allot the repository's address."
        raise Denied("There is no token for GitHub any more.", system="GitHub", hint=hint)
    register([token])
    return str(token)


def _site_token(project_id: int) -> str:
    """The site's token, where an admin has allotted the repository's address to the project; else empty."""
    project = Project.objects.filter(pk=project_id).first()
    if project is None or not_allotted(project, of_git(project.repository_url)):
        return ""
    return str(settings.GITHUB_TOKEN)


def _deliver_status(github: GitHub, row: Outgoing) -> str:
    facts = row.payload
    status = Status(facts["state"], facts["context"], facts["description"], facts["url"])
    github.set_status(row.recipient, facts["sha"], status)
    return ""


def _deliver_deployment(github: GitHub, row: Outgoing) -> str:
    """Creates the deployment with the first row of a thread, and adds the state. An earlier try may have created it."""
    facts = row.payload
    number = _known(row)
    if number is None and row.tries > 1:
        number = github.find_deployment(row.recipient, facts["sha"], facts["environment"], row.thread)
    if number is None:
        number = github.create_deployment(
            row.recipient, facts["sha"], facts["environment"], mark=row.thread, description=facts["description"],
            production=facts["production"],
        )  # fmt: skip
    github.set_deployment_status(
        row.recipient, number, facts["state"], log_url=facts["url"], description=facts["description"],
        environment=facts["environment"],
    )  # fmt: skip
    return str(number)


def _known(row: Outgoing) -> int | None:
    """The id of the deployment that an earlier row of the thread made in the same repository."""
    earlier = Outgoing.objects.filter(thread=row.thread, recipient=row.recipient, state="sent")
    found = earlier.exclude(external_id="").values_list("external_id", flat=True).first()
    return int(found) if found else None


_DELIVERIES: dict[str, Callable[[GitHub, Outgoing], str]] = {
    Outgoing.Kind.GITHUB_STATUS: _deliver_status,
    Outgoing.Kind.GITHUB_DEPLOYMENT: _deliver_deployment,
}


def refusals(project: Project) -> list[GitHubRefusal]:
    """What GitHub does not take of a project, for its pages."""
    return list(GitHubRefusal.objects.filter(project=project))
