"""The record of a revision: where it ran and failed, what speaks against deploying it, and that it is asked once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused
from deployments.gate import requests
from deployments.gate.doubts import doubts, untried
from deployments.models import Deploy
from deployments.records import record_of, records, tried_first
from projects.models import Environment, Role
from runs.models import State
from tests.deployments.conftest import COMMITS
from tests.factories import grant, make_deploy, make_environment, make_release, make_user

pytestmark = pytest.mark.django_db
MAIN, OLDER = COMMITS["main"].sha, COMMITS["older"].sha
START = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def production(environment: Environment) -> Environment:
    return make_environment(environment.project, slug="production", name="Production", is_production=True)


def deployed(
    place: Environment, revision: str, day: int, state: str = State.SUCCEEDED, **fields: Any
) -> Deploy:
    """A deploy that ended on that day, after it had begun to write."""
    fields.setdefault("release", make_release(place, revision=revision))
    return make_deploy(place, state, revision=revision, ended_at=START + timedelta(days=day), **fields)


def told(place: Environment, revision: str = MAIN) -> list[str]:
    """The record in short: + where it is, days where it was, ! where it failed."""
    found = record_of(place, revision)
    stays = [f"{s.place.slug} {'+' if s.seconds is None else s.seconds / 86400:}" for s in found.stays]
    return [*stays, *(f"!{one.place.slug} {one.reason}" for one in found.failures)]


class TestRecord:
    def test_nothing_is_known_of_a_new_revision(self, environment: Environment) -> None:
        assert told(environment) == []
        assert not record_of(environment, MAIN).is_bad

    def test_where_it_ran_and_for_how_long(self, environment: Environment, production: Environment) -> None:
        deployed(environment, MAIN, 1)
        deployed(environment, MAIN, 2)  # again: the same stay
        deployed(environment, OLDER, 5)
        deployed(production, MAIN, 4)
        assert told(environment) == ["production +", "staging 4.0"]
        assert told(environment, OLDER) == ["staging +"]

    def test_it_comes_back_by_a_rollback(self, environment: Environment) -> None:
        deployed(environment, MAIN, 1)
        deployed(environment, OLDER, 2)
        deployed(environment, MAIN, 3, kind="rollback")
        assert told(environment) == ["staging +", "staging 1.0"]
        assert record_of(environment, MAIN).past == ()  # it is there again

    def test_the_newest_outcome_in_a_place_counts(
        self, environment: Environment, production: Environment
    ) -> None:
        deployed(environment, MAIN, 1, State.FAILED, result="web crashed.")
        assert told(environment) == ["!staging web crashed."]
        deployed(environment, MAIN, 2)
        assert told(environment) == ["staging +"]
        deployed(production, MAIN, 3, State.TIMED_OUT, result="x" * 500)
        assert len(record_of(environment, MAIN).failures[0].reason) == 140

    @pytest.mark.parametrize(
        ("state", "fields"),
        [
            (State.FAILED, {"release": None}),  # in its checks
            (State.ERRORED, {}), (State.CANCELLED, {}), (State.ABANDONED, {}),
            (State.FAILED, {"kind": "rollback"}),
        ],
    )  # fmt: skip
    def test_other_ends_say_nothing(
        self, environment: Environment, state: str, fields: dict[str, Any]
    ) -> None:
        deployed(environment, MAIN, 1, state, **fields)
        assert told(environment) == []

    def test_another_projects_deploys_are_not_in_it(self, environment: Environment) -> None:
        deployed(make_environment(), MAIN, 1, State.FAILED)
        assert told(environment) == []

    def test_a_mark_counts_until_a_newer_release_is_verified(self, environment: Environment) -> None:
        make_release(environment, revision=MAIN, marked_bad_by="lead", bad_reason="Prices are wrong.")
        assert [mark.said for mark in record_of(environment, MAIN).marks] == [
            "marked bad in staging by lead: Prices are wrong."
        ]
        make_release(environment, revision=MAIN, verified_at=START)
        assert record_of(environment, MAIN).marks == ()

    def test_as_many_queries_for_many_revisions(
        self, environment: Environment, production: Environment
    ) -> None:
        shas = [f"{n:040x}" for n in range(20)]
        for n, sha in enumerate(shas):
            deployed(environment, sha, n)
            deployed(production, sha, n, State.FAILED)
        with CaptureQueriesContext(connection) as queries:
            found = records(environment.project, shas)
        assert len(queries) == 2
        assert all(len(one.failures) == len(one.stays) == 1 for one in found.values())


class TestDoubts:
    def test_of_a_failure_anywhere(self, environment: Environment, production: Environment) -> None:
        bad = deployed(environment, MAIN, 1, State.FAILED, result="web crashed.")
        assert doubts(environment, MAIN) == (f"It failed in staging (deploy #{bad.number}): web crashed.",)
        assert doubts(environment, MAIN, seen=bad.number) == ()
        assert doubts(production, MAIN)[0] == doubts(environment, MAIN)[0]

    def test_of_a_mark_elsewhere(self, environment: Environment, production: Environment) -> None:
        make_release(environment, revision=MAIN, marked_bad_by="lead", bad_reason="Prices are wrong.")
        assert doubts(environment, MAIN) == ("lead marked the release of 1111111 as bad: Prices are wrong.",)
        assert doubts(production, MAIN) == (
            "lead marked the release of 1111111 as bad in staging: Prices are wrong.",
        )

    def test_production_is_not_the_first_place_where_another_one_is_in_use(
        self, environment: Environment, production: Environment
    ) -> None:
        def told(place: Environment, revision: str) -> str:
            assert doubts(place, revision) == ()  # nobody is asked
            return untried(place, record_of(place, revision), tried_first(place))

        assert told(production, MAIN) == ""  # nothing was ever deployed to staging
        deployed(environment, OLDER, 1)
        assert tried_first(production) == "staging"
        assert told(production, MAIN) == "It never ran in staging."
        assert told(environment, MAIN) == told(production, OLDER) == ""
        deployed(production, MAIN, 2)
        assert told(production, MAIN) == ""  # it ran here


class TestAsking:
    @pytest.fixture
    def failed(self, environment: Environment, commits: Any, pushed: Any) -> Deploy:
        return deployed(environment, MAIN, 1, State.FAILED, result="web crashed.")

    def test_it_is_asked_once_and_audited(self, production: Environment, failed: Deploy) -> None:
        lead = make_user("lead")
        grant(lead, Role.DEPLOYER, production.project)
        with pytest.raises(Refused, match=r"web crashed\. Nothing was started") as refusal:
            requests.request_deploy(person(lead), environment=production, revision="main")
        assert refusal.value.code == "bad-release"
        made = requests.request_deploy(
            person(lead), environment=production, revision="main", although_bad=True
        )
        assert made.created
        event = AuditEvent.objects.get(verb="deploy.requested")
        assert event.data["although"] == f"It failed in staging (deploy #{failed.number}): web crashed."

    def test_the_command_line_does_not_mind_a_failure(
        self, environment: Environment, failed: Deploy, capsys: Any
    ) -> None:
        place = (environment.project.slug, environment.slug)
        call_command("deploy", *place, revision="main")  # a script may try again
        assert Deploy.objects.filter(revision=MAIN, state=State.QUEUED).count() == 1

    def test_the_command_line_asks_for_its_option_after_a_mark(
        self, environment: Environment, commits: Any, pushed: Any, capsys: Any
    ) -> None:
        make_release(environment, revision=MAIN, marked_bad_by="lead", bad_reason="Prices are wrong.")
        place = (environment.project.slug, environment.slug)
        with pytest.raises(CommandError, match="--although-bad") as refusal:
            call_command("deploy", *place, revision="main")
        assert refusal.value.returncode == 2
        call_command("deploy", *place, revision="main", although_bad=True)

    def test_again_on_the_page_of_the_failure_needs_no_box(
        self, environment: Environment, failed: Deploy, client: Client, deployer: Any, outside: Any
    ) -> None:
        outside.commits = list(COMMITS.values())
        client.force_login(deployer)
        page = client.get(f"/deploys/{failed.number}/").content.decode()
        assert "although_bad" not in page
        client.post(f"/deploys/{failed.number}/again/", {"key": "k"})
        assert Deploy.objects.filter(revision=MAIN, state=State.QUEUED).count() == 1
