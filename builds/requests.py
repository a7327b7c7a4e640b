"""Requests a build. Pages, deliveries, the tick for missed pushes and the command line all come here.

Each function takes the actor, checks their right, and writes the audit event in the transaction of the change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction

from adapters.git.repository import Commit
from audit.actors import Actor
from audit.record import record
from builds.kind import BUILD, steps_of
from builds.models import Build, BuiltImage, Delivery
from builds.pushes import BRANCH, TAG
from builds.superseding import BY_PUSH, supersede_older
from core.errors import Refused
from projects import access
from projects.current import NOT_ARCHIVED
from projects.leaving.locking import lock_project
from projects.models import Image, Project, Role
from runs.life import opening
from runs.life.queue import enqueue_run
from runs.models import OPEN


@dataclass(frozen=True)
class Order:
    """The checked content of a request. `branch`: without `refs/heads/`, empty for a commit; `also_for`: further refs, whole;
    `key`: the idempotency key."""

    commit: Commit
    branch: str = ""
    git_tags: Sequence[str] = ()
    also_for: Sequence[str] = ()
    cause: Build.Cause = Build.Cause.PERSON
    is_fresh: bool = False
    delivery: Delivery | None = None
    retry_of: Build | None = None
    key: str = ""

    @property
    def refs(self) -> list[str]:
        """The refs that ask."""
        own = [f"{BRANCH}{self.branch}"] if self.branch else []
        return [*own, *(f"{TAG}{tag}" for tag in self.git_tags), *self.also_for]


@dataclass(frozen=True)
class Answer:
    """The answer to a request. `created` is False when an earlier request opened the same build."""

    build: Build
    created: bool


def request_build(actor: Actor, project: Project, order: Order) -> Answer:
    """Requests the build of a commit. An open build of the same commit is the answer to a second request, and takes up its
    branch and tags.

    Raises Refused (role, no-images; the open build is being cancelled: busy); nothing is changed then.
    """
    require_deployer(actor, project)
    images = images_of(project)
    if not images:
        raise Refused(
            f"{project} has no image that is built here.",
            hint="Add an image in the project's settings.",
            code="no-images",
        )
    try:
        with transaction.atomic():
            lock_project(project)
            known = same_request(actor, project, order)
            if known:
                BUILD.audit(actor, "build.repeated", known)
                return Answer(known, created=False)
            build = create(actor, project, order, images)
            BUILD.audit(actor, "build.requested", build)
            supersede_older(build)
            enqueue_run(BUILD, build)
    except IntegrityError:  # an equal request came at the same time
        with transaction.atomic():
            known = same_request(actor, project, order)
        if known is None and order.cause in BY_PUSH:
            raise  # the one that is being cancelled ends soon; the push is decided again
        if known is None:
            raise Refused(
                f"A build of {order.commit.short} is being cancelled.", hint="Ask again when it has ended.", code="busy"
            ) from None  # fmt: skip
        return Answer(known, created=False)
    return Answer(build, created=True)


def require_deployer(actor: Actor, project: Project) -> None:
    """Raises Refused unless the actor may build; the refused attempt is audited."""
    try:
        access.require_project(actor, project, Role.DEPLOYER)
    except Refused as refusal:
        record(
            actor, "build.refused", target_kind="project", target_id=project.pk, target_text=project.slug,
            project=project.slug, data={"reason": refusal.message},
        )  # fmt: skip
        raise


def images_of(project: Project) -> list[Image]:
    """The images of the project that are built here, with their registry and recipe."""
    rows = project.images.filter(NOT_ARCHIVED).select_related("registry", "recipe")
    return list(rows.exclude(recipe__is_built=False))


def same_request(actor: Actor, project: Project, order: Order) -> Build | None:
    """The build of this actor's idempotency key, else the open build of the same commit without a cancel request, which takes up
    the refs that ask. Call it in a transaction."""
    if order.key:
        keyed = Build.objects.filter(
            actor_kind=actor.kind, actor_id=actor.id, idempotency_key=order.key
        ).first()
        if keyed:
            return keyed
    rows = Build.objects.select_for_update().filter(
        project=project, revision=order.commit.sha, state__in=OPEN, cancel_requested_at=None
    )
    known = rows.first()
    if known is not None:
        take_up(known, order)
    return known


def take_up(build: Build, order: Order) -> None:
    """Notes the refs for which an open build is asked for again, so that their images get their tags, and so that it does not
    give way to a newer push of its first branch. A person's request counts also for the same branch."""
    again = order.refs or build.refs if order.cause not in BY_PUSH else order.refs
    own = build.refs if order.cause in BY_PUSH else build.also_for
    new = [ref for ref in dict.fromkeys(again) if ref not in own]
    if new:
        build.also_for = [*build.also_for, *new]
        build.save(update_fields=["also_for"])


def create(actor: Actor, project: Project, order: Order, images: Sequence[Image]) -> Build:
    """Creates the build's row, its steps and a row for each image."""
    build = opening.create(
        BUILD,
        actor,
        steps_of(image.name for image in images),
        project=project,
        revision=order.commit.sha,
        subject=order.commit.subject[:300],
        author=order.commit.author[:150],
        branch=order.branch[:200],
        git_tags=list(order.git_tags),
        also_for=list(order.also_for),
        cause=order.cause,
        is_fresh=order.is_fresh,
        delivery=order.delivery,
        retry_of=order.retry_of,
        idempotency_key=order.key[:100] or None,
    )
    BuiltImage.objects.bulk_create(row(build, position, image) for position, image in enumerate(images))
    return build


def row(build: Build, position: int, image: Image) -> BuiltImage:
    """The row of an image, with a copy of its recipe."""
    recipe = getattr(image, "recipe", None)
    return BuiltImage(
        build=build,
        image=image,
        registry=image.registry,
        name=image.name,
        position=position,
        reference=image.reference,
        dockerfile=image.dockerfile,
        context=image.context,
        target=recipe.target if recipe else "",
        platform=recipe.platform if recipe else "",
    )
