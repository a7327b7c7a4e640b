"""The left side of the new deploy page: the revisions to choose from, or the secrets alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from adapters.git.repository import Commit
from builds.pages.standing import Standing, standings
from deployments.gate import secrets_alone
from deployments.models import Deploy
from deployments.records import Record, records
from projects.image_availability import in_registry
from projects.models import Environment
from projects.picking import Offer, offer


@dataclass(frozen=True)
class Pick:
    """A revision to choose. `standing`: how its images stand, None where nothing is known; `record`: where it ran and failed;
    `off_branch`: its branch, where it is not on the project's default branch."""

    commit: Commit
    record: Record
    chosen: bool
    off_branch: str = ""
    standing: Standing | None = None


@dataclass(frozen=True)
class Choice:
    """The left side of the page. `asked`: the revision as typed; `notice`: why the list may be out of date; `problem`: why no
    revision is chosen, with `hint`. `kind`: the kind of deploy; with `secrets` there is no revision to choose. `off_branch`: the
    branch of the chosen revision, where that is not the default one."""

    branch: str = ""
    branches: tuple[str, ...] = ()
    picks: tuple[Pick, ...] = ()
    chosen: Commit | None = None
    asked: str = ""
    kind: str = Deploy.Kind.DEPLOY
    notice: str = ""
    problem: str = ""
    hint: str = ""
    off_branch: str = ""

    @property
    def is_secrets(self) -> bool:
        """Whether the secrets are deployed alone: there is no revision to pick."""
        return self.kind == Deploy.Kind.SECRETS

    @property
    def query(self) -> str:
        """What the page's address says of it."""
        if self.is_secrets:
            return urlencode({"kind": self.kind})
        return urlencode({"branch": self.branch, "revision": self.chosen.sha if self.chosen else self.asked})

    @property
    def button(self) -> str:
        """What the button does; the environment follows."""
        short = self.chosen.short if self.chosen else ""
        return f"Deploy the secrets of {short}" if self.is_secrets else f"Deploy {short}"


def chosen_by(place: Environment, query: Any, *, quick: bool = False) -> Choice:
    """What the address or the form asks for. `quick`: without a look at the registry."""
    if query.get("kind") == Deploy.Kind.SECRETS:
        return choose_secrets(place)
    choice = choose(place, query)
    return choice if quick else with_standings(place, choice)


def choose_secrets(place: Environment) -> Choice:
    """What runs, with other secrets: there is nothing to pick."""
    release, why_not = secrets_alone.base_of(place)
    if release is None:
        problem = f"The secrets cannot be deployed alone: {why_not}"
        return Choice(kind=Deploy.Kind.SECRETS, problem=problem, hint="Deploy a revision.")
    return Choice(kind=Deploy.Kind.SECRETS, chosen=secrets_alone.commit_of(release))


def choose(place: Environment, query: Any) -> Choice:
    """The commits to choose from (`projects.picking.offer`). Raises nothing from outside."""
    made = offer(place.project, query)
    found = records(place.project, [commit.sha for commit in made.commits])
    return Choice(
        branch=made.branch,
        branches=made.branches,
        picks=tuple(
            Pick(commit, found[commit.sha], commit == made.chosen, branch_of(made, commit))
            for commit in made.commits
        ),
        chosen=made.chosen,
        asked=made.asked,
        notice=made.notice,
        problem=made.problem,
        hint=made.hint,
        off_branch=made.off_branch,
    )


def branch_of(made: Offer, commit: Commit) -> str:
    """The branch of a commit that is not on the default branch, else empty."""
    if commit.sha not in made.off:
        return ""
    return made.off_branch if commit == made.chosen else made.branch


def with_standings(place: Environment, choice: Choice) -> Choice:
    """The choice, with how the images of each commit stand."""
    shas = [pick.commit.sha for pick in choice.picks]
    found = standings(place.project, shas, in_registry(place.project, shas))
    picks = tuple(replace(pick, standing=found.get(pick.commit.sha)) for pick in choice.picks)
    return replace(choice, picks=picks)
