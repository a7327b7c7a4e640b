"""Judges a push with what Git knows: whether the branch still has the commit, and which paths changed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from adapters.errors import ExternalError, Invalid, NotFound
from adapters.git.repository import Commit, GitRepository
from builds.pushes import Push
from builds.requests import images_of
from builds.rules import Rules, apply_rules, needs_paths
from builds.stored import build_settings
from projects import connections
from projects.contacts import git_host, note_answer, note_error
from projects.models import Project

FETCH_SECONDS = 20.0  # a host that hangs keeps back the others in the queue no longer than that


@dataclass(frozen=True)
class Judged:
    """The result: `commit` to build, or None, and the reason as a sentence. `is_head`: the branch or tag leads to it now."""

    sentence: str
    commit: Commit | None = None
    is_head: bool = False


def rules_of(project: Project) -> Rules:
    """The project's rules, for the pure functions."""
    stored = build_settings(project.pk)
    return Rules(
        default_branch=project.default_branch,
        on_push=stored.on_push,
        branches=tuple(stored.branches),
        tags=tuple(stored.tags),
        watch=tuple(stored.watch),
        ignore=tuple(stored.ignore),
        images=len(images_of(project)),
    )


def judge_push(
    project: Project, rules: Rules, push: Push, *, age: float, patience: float | None = None
) -> Judged:
    """Whether the push leads to a build. Asks Git only where the push itself wants one.

    `age`: seconds since the push came; a mirror that was fetched since then need not be fetched again. Raises ExternalError
    while Git does not answer, CannotDecrypt.
    """
    first = apply_rules(rules, push)
    if not first.builds:
        return Judged(first.sentence)
    repository = fetched(project, age, patience)
    head = _commit_of(repository, push)
    if isinstance(head, str):
        return Judged(head)
    known = replace(push, commit=head)
    if needs_paths(rules, known):
        known = replace(known, paths=_changed(repository, known))
    last = apply_rules(rules, known)
    if not last.builds:
        return Judged(last.sentence)
    unknown = needs_paths(rules, known)
    sentence = "What changed cannot be told, so it is built." if unknown else last.sentence
    return Judged(sentence, head, is_head=repository.resolve(push.ref).sha == head.sha)


def fetched(project: Project, age: float, patience: float | None = None) -> GitRepository:
    """The project's repository, fetched within the last `age` seconds. Raises ExternalError, CannotDecrypt."""
    if patience is None:
        repository = connections.git_repository(project)
    else:
        repository = connections.git_repository(project, patience=patience)
    try:
        repository.fetch(max_age=age, timeout=patience or FETCH_SECONDS)
    except ExternalError as error:
        note_error(git_host(project), error)
        raise
    note_answer(git_host(project))
    return repository


def _commit_of(repository: GitRepository, push: Push) -> Commit | str:
    """The pushed commit as Git knows it, or why it is not to be built. The subject and author of the delivery do not count."""
    if push.commit is None:
        try:
            return repository.resolve(push.ref)
        except (NotFound, Invalid):
            return f"The repository has no {push.name} any more."
    if not repository.contains(push.ref, push.commit.sha):
        return f"The {push.name} does not have {push.commit.short} any more: it was moved or deleted since."
    return repository.log(None, push.commit.sha, 1)[0]


def _changed(repository: GitRepository, push: Push) -> tuple[str, ...] | None:
    """The paths that differ between the old and the new head; None when the old head is gone."""
    if push.commit is None:
        return None
    try:
        return tuple(repository.changed_paths(push.before, push.commit.sha))
    except NotFound:
        return None
