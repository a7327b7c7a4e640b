"""`manage.py refresh_pull_credentials`: its exit status, its words and its JSON."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from adapters.errors import Unavailable
from registry.models import Refresh
from tests.factories import make_cluster, make_environment

COMMAND = "refresh_pull_credentials"


def run(*arguments: str) -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    try:
        call_command(COMMAND, *arguments, stdout=out, stderr=err)
        return 0, out.getvalue(), err.getvalue()
    except SystemExit as stop:
        return int(stop.code or 0), out.getvalue(), err.getvalue()


def test_it_renews_and_says_so(place, clock) -> None:
    environment = place.home()
    code, out, err = run()
    assert (code, err) == (0, "")
    assert out == f"{place.cluster.slug}: 1 of 1 in order, 1 renewed\n"
    assert place.pulls(environment)
    code, out, _ = run("--cluster", place.cluster.slug, "--namespace", environment.namespace, "--json")
    [found] = json.loads(out)
    assert (code, found["cluster"], found["error"], found["renewed"]) == (0, place.cluster.slug, "", 0)
    assert found["credentials"][0]["state"] == "valid"
    assert found["credentials"][0]["namespace"] == environment.namespace
    assert place.world.last not in out


def test_check_writes_nothing(place, clock) -> None:
    environment = place.home()
    code, _, err = run("--check")
    assert code == 1
    assert f"{place.cluster.slug}/{environment.namespace}/ecr-pull: missing" in err
    assert place.secret(environment) is None
    assert place.world.asked == []
    assert Refresh.objects.count() == 0


def test_what_fails_is_said(place, clock) -> None:
    place.home()
    place.world.fails = Unavailable("ECR is not reachable.", system="ECR")
    code, _, err = run()
    assert code == 1
    assert "ECR is not reachable." in err


@pytest.mark.django_db
def test_a_cluster_that_does_not_answer(world) -> None:
    cluster = make_cluster()
    make_environment(cluster=cluster, pull_secret="ecr-pull")
    code, out, err = run("--json")
    assert code == 1
    assert "does not answer" in err
    assert json.loads(out)[0]["error"]


@pytest.mark.django_db
@pytest.mark.parametrize("arguments", [["--cluster", "nowhere"], ["--namespace", "shop"]])
def test_a_wrong_request_has_the_exit_status_2(arguments) -> None:
    with pytest.raises(CommandError) as refused:
        call_command(COMMAND, *arguments)
    assert refused.value.returncode == 2
