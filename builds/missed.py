"""Makes up for pushes that no delivery told: a look at Git compares the heads of branches and tags with those that were decided.

Works without any webhook. The first look at a project only notes the heads, and builds the default branch's if its images are
not in the registry: old branches are not built because the portal begins to look. What it finds becomes a row like a delivery's,
so that one list tells of every push.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import structlog
from django.db import IntegrityError, transaction
from django.utils import timezone

from adapters.errors import ExternalError
from adapters.git.repository import Branch
from builds.concerned import SEEN, projects_of
from builds.deciding import LONGEST_PAUSE, decide
from builds.incoming.receiving import SEEN_ID
from builds.judging import fetched, rules_of
from builds.models import BuildSettings, Delivery, SeenBranch
from builds.pushes import BRANCH, TAG, Push, facts_of
from builds.requests import images_of
from builds.rules import Rules, wants_ref
from core.jobs import enqueue, slot
from engine.errors import SlipwayError
from projects import connections
from projects.models import Project

log = structlog.get_logger(__name__)
LOOK_SECONDS = 60
PER_ROUND = 50  # projects
MOST_REFS = 1000  # of a project, the newest ones
MOST_PUSHES = 20  # that one look decides; the next look goes on


def look_due() -> None:
    """Tick: enqueues a look at the projects that build pushes. Where there are many, at the next ones in each round."""
    ids = list(
        BuildSettings.objects.filter(on_push=True, project__archived_at=None)
        .order_by("project")
        .values_list("project", flat=True)
    )
    now = slot(LOOK_SECONDS)
    begin = now * PER_ROUND % len(ids) if len(ids) > PER_ROUND else 0
    for project_id in (ids[begin:] + ids[:begin])[:PER_ROUND]:
        enqueue("builds.missed.look_at", project_id, queue="git", job_id=f"missed-{project_id}-{now}")


def look_at(project_id: int) -> None:
    """Job: compares one project's heads with those that were decided. Git that does not answer is asked again later."""
    project = Project.objects.current().filter(pk=project_id, build_settings__on_push=True).first()
    if project is None:
        return
    try:
        refs = refs_of(project)
    except SlipwayError as error:
        log.info("missed pushes not looked for", project=project.slug, error=error.message)
        return
    if is_first_look(project):
        begin(project, refs)
    else:
        compare(project, refs)


def refs_of(project: Project) -> dict[str, Branch]:
    """The branches and tags that the project builds, by their whole names. Raises ExternalError, CannotDecrypt."""
    repository = fetched(project, LOOK_SECONDS / 2)
    rules = rules_of(project)
    found = {f"{BRANCH}{one.name}": one for one in repository.branches()[:MOST_REFS]}
    found |= {f"{TAG}{one.name}": one for one in repository.tags()[:MOST_REFS]} if rules.tags else {}
    return {ref: one for ref, one in found.items() if _is_wanted(rules, ref)}


def _is_wanted(rules: Rules, ref: str) -> bool:
    return len(ref) <= 300 and wants_ref(rules, Push(ref))


def is_first_look(project: Project) -> bool:
    """Whether no head of the project was noted yet. A delivery notes heads, too, but then the portal has not looked."""
    return not SeenBranch.objects.filter(project=project, ref=LOOKED).exists()


# The row that says that the portal has looked; no branch has this name.
LOOKED = "looked"


def begin(project: Project, refs: dict[str, Branch]) -> None:
    """Notes all heads. The default branch's is decided, unless the registry has its images."""
    main = f"{BRANCH}{project.default_branch}"
    head = refs.get(main)
    if head is not None and are_built(project, head.commit.sha):
        _note(project, main, head.commit.sha)
    elif head is not None:
        catch_up(project, Push(main, commit=head.commit, is_new=True))
    noted = set(SeenBranch.objects.filter(project=project).values_list("ref", flat=True))
    new = [
        SeenBranch(project=project, ref=ref, head=one.commit.sha)
        for ref, one in refs.items()
        if ref not in noted and ref != main
    ]
    mark = SeenBranch(project=project, ref=LOOKED, head="")
    SeenBranch.objects.bulk_create([*new, mark], ignore_conflicts=True)


def _note(project: Project, ref: str, sha: str) -> None:
    SeenBranch.objects.update_or_create(project=project, ref=ref, defaults={"head": sha})


def are_built(project: Project, sha: str) -> bool:
    """Whether the registry has the images of a revision. False when it does not say: then the build finds out."""
    images = images_of(project)
    try:
        return bool(images) and all(
            sha in connections.ecr(image.registry).digests(image.repository, [sha]) for image in images
        )
    except ExternalError:
        return False


def compare(project: Project, refs: dict[str, Branch]) -> None:
    """Decides the heads that nobody told of, a few at a time, and forgets refs that are gone."""
    known = dict(SeenBranch.objects.filter(project=project).values_list("ref", "head"))
    for push in list(moved(refs, known))[:MOST_PUSHES]:
        catch_up(project, push)
    gone = [ref for ref in known if ref not in refs and ref != LOOKED]
    SeenBranch.objects.filter(project=project, ref__in=gone).delete()


def moved(refs: dict[str, Branch], known: dict[str, str]) -> Iterator[Push]:
    """The pushes that lead from the known heads to those of Git."""
    for ref, one in refs.items():
        before = known.get(ref, "")
        if before != one.commit.sha:
            yield Push(ref, before=before, commit=one.commit, is_new=not before)


def catch_up(project: Project, push: Push) -> None:
    """Decides a push that Git shows. The same one is decided once, however many looks find it at once."""
    commit = push.commit
    if commit is None or is_told(project, push):
        return
    mark = hashlib.sha256(f"{project.pk} {push.ref} {push.before} {commit.sha}".encode()).hexdigest()[:32]
    try:
        with transaction.atomic():
            row = Delivery.objects.create(
                delivery_id=f"{SEEN_ID}{mark}", event=SEEN, repository=shown_name(project),
                addresses=[project.repository_url], ref=push.ref, before=push.before, after=commit.sha,
                facts=facts_of(replace(push, paths=None)), signed_by=project,
            )  # fmt: skip
    except IntegrityError:
        found_again(project, push, Delivery.objects.get(delivery_id=f"{SEEN_ID}{mark}"))
        return
    decide(row.pk)


def found_again(project: Project, push: Push, row: Delivery) -> None:
    """A look finds a push that an earlier one found. Where that decision failed, it is made again after a pause, so that the push
    is not lost. One that was decided is noted."""
    if row.state == Delivery.State.DECIDED:
        _note(project, push.ref, row.after)
        return
    rested = Delivery.objects.filter(
        pk=row.pk, state=Delivery.State.FAILED, decided_at__lt=timezone.now() - LONGEST_PAUSE
    )
    if rested.update(state=Delivery.State.WAITING, tries=0, sentence="") == 1:
        decide(row.pk)


def is_told(project: Project, push: Push) -> bool:
    """Whether a delivery of this head that concerns the project waits to be decided: then nothing was missed. The same commit of
    the same branch may be in another repository, too."""
    commit = push.commit
    if commit is None:
        return False
    waiting = Delivery.objects.filter(
        state=Delivery.State.WAITING, event__in=("push", SEEN), ref=push.ref, facts__revision=commit.sha
    )
    return any(project in projects_of(delivery) for delivery in waiting.select_related("signed_by"))


def shown_name(project: Project) -> str:
    """Owner and name of the repository, from its address."""
    path = project.repository_url.rstrip("/").removesuffix(".git").replace(":", "/").split("/")
    return "/".join(part for part in path[-2:] if part)[:300]


def forget_heads(projects: Sequence[Project]) -> None:
    """After other rules of branches or tags: the next look is a first one, so that old branches that fit now are not built."""
    SeenBranch.objects.filter(project__in=projects).delete()
