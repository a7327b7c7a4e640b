"""The step `checkout`: the engine, the revision, the secrets and the credentials. All that the images share."""

from __future__ import annotations

from functools import partial

from django.conf import settings

from adapters.docker.context import MOST_FILES, dockerfile_text
from adapters.docker.faults import BuildFailed
from adapters.docker.session import Login
from adapters.errors import ExternalError, NotFound
from adapters.git.repository import GitRepository
from adapters.git.snapshot import Snapshot
from builds.engine import engine
from builds.models import Build
from builds.pipeline import bases, secrets
from builds.pipeline.guarding import Guard
from builds.pipeline.orders import orders_of
from builds.pipeline.work import NotBuildable, Tools, Work
from builds.pushed import DONE
from builds.stored import build_settings
from core.secret_values import register
from projects import contacts
from projects.allotting.rules import not_allotted
from projects.allotting.services import sentence
from projects.allotting.wishes import of_project, of_repository, of_secret, once
from projects.connections import ecr, git_repository
from projects.models import Registry
from ui.words import size

SILENCE_SECONDS = 900.0
FRESH_SECONDS = 30.0


def checkout(work: Work) -> str:
    """Makes the attempt's tools. Nothing is unpacked: the files go from the mirror to the engine. Raises ExternalError,
    NotBuildable, FenceLost."""
    check_allotted(work)
    made = engine()
    facts = work.patiently(made.facts)
    work.log(f"Docker {facts.version} builds with {named(facts.builder)}")
    with work.fence.held(builder=facts.builder):
        work.build.builder = facts.builder
    snapshot = snapshot_of(work)
    summary = tell_files(work, snapshot)
    guard = check_bases(work, snapshot)
    work.tools = Tools(
        guard=guard,
        network=settings.BUILD_NETWORK,
        engine=made,
        snapshot=snapshot,
        stopper=work.stopper,
        most_bytes=settings.BUILD_CONTEXT_MB * 1_000_000,
        silence=min(SILENCE_SECONDS, float(build_settings(work.build.project_id).timeout)),
        secrets=secrets.read(list(work.project.build_secrets.all()), work.patiently),
        logins=logins(work),
    )
    return summary


def named(builder: str) -> str:
    """A builder for people."""
    return "BuildKit" if builder == "buildkit" else "the classic builder (it has no BuildKit)"


def check_allotted(work: Work) -> None:
    """What the project's settings name, and where the build's images go, must still be allotted to it. Raises NotBuildable."""
    wishes = of_project(work.project)
    for row in work.build.images.exclude(state__in=DONE).select_related("registry"):
        if row.registry is None:
            raise NotBuildable(
                f"{row.name}: its registry {row.reference.partition('/')[0]} is not there any more.",
                hint="Build it again.",
            )
        wishes += of_repository(row.registry, row.reference.partition("/")[2])
    for secret in work.project.build_secrets.all():
        wishes += of_secret(secret.secret_id, secret.role_arn)
    missing = not_allotted(work.project, once(wishes))
    if missing:
        raise NotBuildable(sentence(work.project, missing[0]), hint="Nothing was built.")


def check_bases(work: Work, snapshot: Snapshot) -> Guard:
    """Images that Dockerfiles take from the portal's registries must be allotted to the project, like those that it pushes: the
    engine and its credentials are the same for all projects. Returns what keeps a build from taking others of them all the same
    (by a trigger of a base image). Raises NotBuildable."""
    registries = {registry.host.lower().removesuffix(":443"): registry for registry in Registry.objects.all()}
    named = dict[int, frozenset[tuple[str, str]]]()
    for order in orders_of(work.build):
        try:
            text = work.patiently(partial(dockerfile_text, snapshot, order.dockerfile))
        except BuildFailed:
            continue  # its own step says why
        found = bases.taken(text, order.arguments)
        if found.frontends:
            raise NotBuildable(
                f"{order.name}: {order.dockerfile} (or the build argument BUILDKIT_SYNTAX) wants {found.frontends[0]} to read it;"
                " only Docker's own docker/dockerfile may.",
                hint="Remove the line “# syntax=…”, or write “# syntax=docker/dockerfile:1”.",
            )
        if found.unclear:
            raise NotBuildable(
                f"{order.name}: what {found.unclear[0]} in {order.dockerfile} means cannot be told before the build.",
                hint="Write the image's name plainly; give variables in it a default (ARG name=value) or a build argument.",
            )
        named[order.pk] = frozenset(map(bases.place, found.names))
        for host, repository in named[order.pk]:
            wishes = of_repository(registries[host], repository) if host in registries else []
            missing = not_allotted(work.project, wishes)
            if missing:
                raise NotBuildable(
                    f"{order.name}: {sentence(work.project, missing[0])}", hint="Nothing was built."
                )
    return Guard(frozenset(registries), named)


def snapshot_of(work: Work) -> Snapshot:
    """The revision's files in the mirror, fetched when it is not there. Raises NotBuildable when the host has it no more."""
    repository = git_repository(work.project)
    name = contacts.git_host(work.project)
    try:
        snapshot: Snapshot = work.patiently(partial(_fetched, repository, work.build.revision))
    except NotFound as error:
        contacts.note_answer(name)
        raise NotBuildable(
            f"The repository does not have {work.build.short} any more: {error.message}",
            hint="Was the branch force-pushed? Build its newest commit.",
        ) from None
    except ExternalError as error:
        contacts.note_error(name, error)
        raise
    contacts.note_answer(name)
    return snapshot


def _fetched(repository: GitRepository, revision: str) -> Snapshot:
    repository.fetch(max_age=FRESH_SECONDS)
    return repository.snapshot(revision)


def tell_files(work: Work, snapshot: Snapshot) -> str:
    """Says what the revision has, and what is left out."""
    entries = work.patiently(partial(snapshot.entries, "", most=MOST_FILES))
    submodules = [one.path for one in entries if one.is_submodule]
    if submodules:
        work.log(f"Submodules are left out: {', '.join(submodules[:10])}", level="warning")
    total = sum(one.size for one in entries)
    work.log(f"{work.build.short} {work.build.subject} ({work.build.author})")
    return f"{len(entries) - len(submodules)} files, {size(total)}"


def logins(work: Work) -> dict[str, Login]:
    """Credentials of the registries of the build's images, by host: for pushes, and for base images there."""
    found: dict[str, Login] = {}
    for registry in registries_of(work.build):
        token = work.patiently(ecr(registry).token)
        register([token.password])
        found[registry.host] = (token.username, token.password)
    return found


def registries_of(build: Build) -> list[Registry]:
    """The registries of a build's images."""
    return list(Registry.objects.filter(pk__in=build.images.values("registry")))
