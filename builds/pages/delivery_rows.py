"""The rows of the page of deliveries: what came, what followed in which project, and whether the person may replay it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Prefetch, QuerySet
from django.urls import reverse

from builds.concerned import SEEN
from builds.models import Build, Decision, Delivery
from builds.pushes import Push
from projects.access import strongest, visible_projects
from projects.models import Membership, Project, Role

BUILT = {"succeeded": "Built", "running": "Building", "failed": "Build failed"}


@dataclass(frozen=True)
class Outcome:
    """What followed in one project. `word`: a state's word; `earlier`: how many decisions came before a replay."""

    project: Project
    word: str
    sentence: str
    build: Build | None
    decided: Decision
    earlier: int
    may_replay: bool


@dataclass(frozen=True)
class Line:
    """One delivery. `word`, `sentence`: what followed where no project's decision says it."""

    delivery: Delivery
    ref: str
    word: str
    sentence: str
    outcomes: Sequence[Outcome]

    @property
    def address(self) -> str:
        """The address of the row: the page that begins with it, however many came since."""
        return address_of(self.delivery.pk)

    @property
    def subject(self) -> str:
        """The subject of the pushed commit, as the sender wrote it."""
        return str(self.delivery.facts.get("subject", ""))

    @property
    def short(self) -> str:
        """The beginning of GitHub's id; empty for rows that the portal made."""
        made = self.delivery.event == SEEN or self.delivery.state == Delivery.State.REFUSED
        return "" if made else self.delivery.delivery_id[:8]

    @property
    def kind(self) -> str:
        """The event for people, where it is no push."""
        return {"push": "", SEEN: "seen in Git", "refused": ""}.get(
            self.delivery.event, self.delivery.event.replace("_", " ")
        )


def address_of(pk: int) -> str:
    """The address of a delivery's row."""
    return f"{reverse('pushes:deliveries')}?before={pk + 1}#delivery-{pk}"


def visible(user: Any, project: Project | None = None) -> QuerySet[Delivery]:
    """The deliveries that a person may see: those with a decision in one of their projects; admins see all. With their decisions,
    in a number of queries that does not depend on theirs."""
    decisions = Decision.objects.select_related("project", "build").order_by("pk")
    if not user.is_admin:
        decisions = decisions.filter(project__in=visible_projects(user))
    if project is not None:
        decisions = decisions.filter(project=project)
    rows = Delivery.objects.prefetch_related(Prefetch("decisions", queryset=decisions, to_attr="shown"))
    if user.is_admin and project is None:
        return rows
    own = Decision.objects.filter(delivery=OuterRef("pk"))
    own = own.filter(project=project) if project else own.filter(project__in=visible_projects(user))
    return rows.filter(Exists(own))


def lines(user: Any, deliveries: Iterable[Delivery]) -> list[Line]:
    """The rows, with one query for the person's roles."""
    found = list(deliveries)
    projects = {d.project for one in found for d in _decisions(one)}
    deploys = deployed_by(user, projects)
    return [line(one, deploys) for one in found]


def deployed_by(user: Any, projects: Iterable[Project]) -> set[int]:
    """Of these projects, those whose deployer the person is."""
    ids = {project.pk for project in projects}
    if user.is_admin:
        return ids
    held = list(Membership.objects.filter(user=user, project__in=ids))
    roles = {pk: strongest((m for m in held if m.project_id == pk), None) for pk in ids}
    return {pk for pk, role in roles.items() if role is not None and role.rank >= Role.DEPLOYER.rank}


def line(delivery: Delivery, deploys: set[int]) -> Line:
    """The row of one delivery."""
    by_project: dict[int, list[Decision]] = {}
    for decision in _decisions(delivery):
        by_project.setdefault(decision.project_id, []).append(decision)
    outcomes = [_outcome(delivery, made, deploys) for made in by_project.values()]
    word, sentence = _said(delivery) if not outcomes else ("", "")
    return Line(delivery, shown_ref(delivery.ref), word, sentence, outcomes)


def shown_ref(ref: str) -> str:
    """A branch's or tag's name alone."""
    push = Push(ref)
    return push.branch or push.tag or ref


def _decisions(delivery: Delivery) -> list[Decision]:
    return list(getattr(delivery, "shown", ()))


def _outcome(delivery: Delivery, made: Sequence[Decision], deploys: set[int]) -> Outcome:
    last = made[-1]
    replayable = delivery.event in ("push", SEEN)
    return Outcome(
        project=last.project,
        word=_word(last),
        sentence=last.sentence,
        build=last.build,
        decided=last,
        earlier=len(made) - 1,
        may_replay=replayable and last.project_id in deploys,
    )


def _word(decision: Decision) -> str:
    if decision.build is None:
        return "No build"
    return BUILT.get(decision.build.state, decision.build.state)


def _said(delivery: Delivery) -> tuple[str, str]:
    """State and sentence of a delivery without a decision."""
    if delivery.state == Delivery.State.WAITING:
        return "Waiting", delivery.sentence or "It is decided in a moment."
    if delivery.state == Delivery.State.REFUSED:
        more = f" {delivery.repeats} more like it within that hour." if delivery.repeats else ""
        return "Refused", f"{delivery.sentence}{more}"
    if delivery.event == "ping":
        return "Warning" if delivery.facts.get("sends_pushes") is False else "Passed", delivery.sentence
    word = "Error" if delivery.state == Delivery.State.FAILED else "Ignored"
    return word, delivery.sentence
