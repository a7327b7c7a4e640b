"""Finds what a person types into the search: projects, environments, deploys, commits, people, and what they may do there.

Only the database is asked, with a bounded number of rows for each kind; nothing that the person may not see is found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Max, OuterRef, Q, QuerySet, Subquery, TextField
from django.db.models.functions import Cast
from django.urls import reverse

from adapters.git.repository import commit_url
from deployments.models import BranchState, Deploy
from deployments.pages.overview import environments as with_deploys
from deployments.queries import light, succeeded
from people.models import User
from projects.access import roles_by_environment, visible_filter, visible_projects
from projects.current import NOT_ARCHIVED
from projects.models import Environment, Project, Role

MOST = 8  # of each kind
MOST_WORDS = 6
LONGEST = 100
NEWEST = 10_000  # deploys whose subjects are searched, besides those that run; the history looks through all
_NUMBER = re.compile(r"#?(\d{1,9})")
_SHA = re.compile(r"[0-9a-f]{4,40}")
VERBS = {"deploy": "deployments:new", "secrets": "secrets:environment"}


@dataclass(frozen=True)
class Hit:
    """One thing that was found. `more`: a quiet line below it; `icon`: a lucide name."""

    text: str
    url: str
    more: str = ""
    icon: str = ""


@dataclass(frozen=True)
class Place:
    """An environment with regard to a commit: it runs it, or not yet; `runs` is None where that is not known."""

    name: str
    url: str
    runs: bool | None


@dataclass(frozen=True)
class FoundCommit:
    """A commit of a default branch, and the environments of its project."""

    revision: str
    url: str
    subject: str
    author: str
    project: Project
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Found:
    """All that fits. `hits` by title of their kind, in the order of the page."""

    query: str
    hits: tuple[tuple[str, tuple[Hit, ...]], ...] = ()
    commits: tuple[FoundCommit, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing fits."""
        return not self.hits and not self.commits

    @property
    def by_subject(self) -> bool:
        """Whether subjects of deploys were searched, of which only some are looked at."""
        return (
            len(self.query) >= 3
            and not _NUMBER.fullmatch(self.query)
            and not _SHA.fullmatch(self.query.lower())
        )

    @property
    def count(self) -> int:
        """The number of all hits."""
        return sum(len(hits) for _, hits in self.hits) + len(self.commits)


def find(user: Any, text: str) -> Found:
    """What fits the text; nothing for less than two characters."""
    query = " ".join(text.split())[:LONGEST]
    if len(query) < 2 and not query.isdigit():
        return Found(query)
    words = query.lower().split(" ")[:MOST_WORDS]
    verb = words[0] if words[0] in VERBS and len(words) > 1 else ""
    names = words[1:] if verb else words
    environments = environments_named(user, names)
    kinds = (
        ("Do", actions(user, environments, verb)),
        ("Deploys", deploys(user, query)),
        ("Projects", [] if verb else projects(user, query)),
        ("Environments", [] if verb else [_environment(one) for one in environments]),
        ("People", people(user, query)),
    )
    found = tuple((title, tuple(hits)) for title, hits in kinds if hits)
    return Found(query, found, () if verb else tuple(commits(user, query)))


def environments_named(user: Any, words: Sequence[str]) -> list[Environment]:
    """The environments of which each word is a part of the project's or the environment's name."""
    rows = Environment.objects.current().filter(visible_filter(user, "project")).select_related("project")
    for word in words:
        rows = rows.filter(
            Q(project__slug__icontains=word) | Q(project__name__icontains=word)
            | Q(slug__icontains=word) | Q(name__icontains=word)
        )  # fmt: skip
    return list(rows.order_by("project__slug", "order", "slug")[:MOST])


def _environment(one: Environment) -> Hit:
    url = reverse("deployments:environment", args=[one.project.slug, one.slug])
    return Hit(f"{one.project.name} {one.name}", url, f"{one.project.slug} {one.slug}", "layers")


def actions(user: Any, environments: Sequence[Environment], verb: str) -> list[Hit]:
    """What the person may do in these environments: with a verb that, else a deploy where the words leave only a few."""
    if not verb and len(environments) > 2:
        return []
    verb = verb or "deploy"
    roles = roles_by_environment(user, list(environments))
    may = [one for one in environments if verb == "secrets" or _deploys(roles[one.pk])]
    words = {"deploy": "Deploy {} to {}", "secrets": "Secrets of {} {}"}[verb]
    icon = {"deploy": "rocket", "secrets": "key-round"}[verb]
    return [
        Hit(
            words.format(one.project.name, one.name),
            reverse(VERBS[verb], args=[one.project.slug, one.slug]),
            "",
            icon,
        )
        for one in may
    ]


def _deploys(role: Role | None) -> bool:
    return role is not None and role.rank >= Role.DEPLOYER.rank


def deploys(user: Any, query: str) -> list[Hit]:
    """The deploy of that number, and the newest deploys of a revision or with this text in their subject."""
    rows = light(Deploy.objects.filter(visible_filter(user)))
    number, sha = _NUMBER.fullmatch(query), _SHA.fullmatch(query.lower())
    found: list[Deploy] = []
    if number:
        found += rows.filter(number=int(number[1]))
    if sha:
        prefix = query.lower()
        found += rows.filter(revision__gte=prefix, revision__lt=f"{prefix}g").order_by("-number")[:MOST]
    elif not number and len(query) >= 3:
        found += by_subject(user, rows, query)
    shown = list({one.pk: one for one in found}.values())[:MOST]
    runs = set(
        running_ids(Environment.objects.current().filter(pk__in=[one.environment_id for one in shown]))
    )
    return [_deploy(one, one.pk in runs) for one in shown]


def by_subject(user: Any, rows: QuerySet[Deploy], query: str) -> list[Deploy]:
    """Deploys with this text in their subject: those that run first, then the newest. No database has to look at all: words
    within a text have no index on SQLite, nor on every PostgreSQL."""
    fits = rows.filter(subject__icontains=query).order_by("-number")
    newest = Deploy.objects.aggregate(last=Max("number"))["last"] or 0
    visible = Environment.objects.current().filter(visible_filter(user, "project"))
    return [
        *fits.filter(pk__in=list(running_ids(visible)))[:MOST],
        *fits.filter(number__gt=newest - NEWEST)[:MOST],
    ]


def running_ids(environments: QuerySet[Environment]) -> QuerySet[Environment, int]:
    """Of each environment the newest deploy that succeeded."""
    good = environments.annotate(good=Subquery(succeeded(OuterRef("pk")).values("pk")[:1]))
    return good.filter(good__isnull=False).order_by().values_list("good", flat=True)


def _deploy(one: Deploy, runs: bool) -> Hit:
    where = f"{one.environment.project.name} to {one.environment.name}"
    text = f"#{one.number} {where}: {one.short} {one.subject}".strip()
    more = f"{one.state} · {one.actor_text}" + (" · runs there now" if runs else "")
    return Hit(text, reverse("deployments:deploy", args=[one.number]), more, "arrow-right-to-line")


def projects(user: Any, query: str) -> list[Hit]:
    """Projects by a part of their name or address."""
    fits = Q(slug__icontains=query) | Q(name__icontains=query) | Q(repository_url__icontains=query)
    rows = visible_projects(user).current().filter(fits).order_by("slug")[:MOST]
    return [Hit(one.name, reverse("portal:project", args=[one.slug]), one.slug, "package") for one in rows]


def people(user: Any, query: str) -> list[Hit]:
    """People by a part of their name; for admins alone."""
    if not user.is_admin or len(query) < 2:
        return []
    fits = Q(username__icontains=query) | Q(first_name__icontains=query) | Q(last_name__icontains=query)
    rows = (
        User.objects.filter(is_active=True)
        .filter(fits | Q(email__icontains=query))
        .order_by("username")[:MOST]
    )
    return [
        Hit(one.username, reverse("people:person", args=[one.pk]), one.get_full_name(), "user")
        for one in rows
    ]


def commits(user: Any, query: str) -> Iterator[FoundCommit]:
    """Where is my commit: newest commits of default branches by revision or a part of their subject, and who runs them."""
    if len(query) < 4:
        return
    wanted = query.lower()
    states = _branches_with(visible_projects(user).current(), wanted)
    found = [
        (state, place, commit)
        for state in states
        for place, commit in enumerate(state.commits)
        if _fits(commit, wanted)
    ]
    found = found[:MOST]
    running = _running({state.project_id for state, _, _ in found})
    for state, place, (sha, subject, author, _) in found:
        order = {commit[0]: at for at, commit in enumerate(state.commits)}
        places = [_place(state.project, one, order, place) for one in running.get(state.project_id, [])]
        yield FoundCommit(
            sha, commit_url(state.project.repository_url, sha), subject, author, state.project, tuple(places)
        )


def _branches_with(visible: QuerySet[Project], wanted: str) -> list[BranchState]:
    """Default branches whose stored commits contain the text. The text of the column is searched first: few are loaded."""
    rows = BranchState.objects.filter(project__in=visible).annotate(text=Cast("commits", TextField()))
    rows = rows.filter(text__icontains=wanted).select_related("project")
    return [
        row for row in rows.order_by("project__slug")[: 4 * MOST] if row.branch == row.project.default_branch
    ]


def _fits(commit: Sequence[str], wanted: str) -> bool:
    is_sha = _SHA.fullmatch(wanted) and commit[0].startswith(wanted)
    return bool(is_sha) or wanted in commit[1].lower()


def _running(project_ids: set[int]) -> dict[int, list[tuple[Environment, str]]]:
    """The environments of these projects, each with the revision of its newest succeeded deploy."""
    found: dict[int, list[tuple[Environment, str]]] = {}
    rows = with_deploys().filter(NOT_ARCHIVED, project__in=project_ids).order_by("order", "slug")
    good = {row: row.good_id for row in rows}  # type: ignore[attr-defined]
    revisions = dict(Deploy.objects.filter(pk__in=filter(None, good.values())).values_list("pk", "revision"))
    for row, pk in good.items():
        found.setdefault(row.project_id, []).append((row, revisions.get(pk, "")))
    return found


def _place(project: Project, one: tuple[Environment, str], order: dict[str, int], place: int) -> Place:
    environment, revision = one
    at = order.get(revision)
    runs = None if revision and at is None else bool(revision) and at is not None and at <= place
    return Place(
        environment.name, reverse("deployments:environment", args=[project.slug, environment.slug]), runs
    )
