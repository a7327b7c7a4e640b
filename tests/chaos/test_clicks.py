"""People who click twice, at once, too late; and those who change their mind."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.chaos.workers import no_worker_takes_a_job
from tests.e2e.fixtures import People, Slow
from tests.e2e.portal import Person, number_of
from tests.e2e.running import Running

pytestmark = pytest.mark.slow
AT_ONCE = 50


def count(sandbox: Running) -> int:
    """All deploys there are."""
    return int(sandbox.rows("SELECT count(*) AS n FROM deployments_deploy")[0]["n"])


@pytest.mark.parametrize("keys", [1, AT_ONCE], ids=["one form", "as many forms"])
def test_fifty_clicks_at_once_are_one_deploy(sandbox: Running, people: People, slow: Slow, keys: int) -> None:
    """A double click, a browser that sends again: the same form, the same deploy; also after it has ended. Of many forms for one
    revision each one is answered with the deploy that waits or runs. The site goes on."""
    dev, before = people("dev"), count(sandbox)
    commit = "main" if keys == 1 else slow("catalog")
    names = [uuid.uuid4().hex for _ in range(keys)]

    def send(turn: int) -> requests.Response:
        own = Person(sandbox, "dev", session=requests.Session())
        own.session.cookies.update(dev.session.cookies)
        return own.ask("catalog", "staging", commit, key=names[turn % keys], timeout=120)

    with no_worker_takes_a_job(sandbox), ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(send, range(AT_ONCE)))
    assert {answer.status_code for answer in answers} == {200}
    (number,) = {number_of(answer) for answer in answers}
    assert count(sandbox) == before + 1
    assert requests.get(f"{sandbox.url}/login/", timeout=20).status_code == 200
    assert sandbox.ended(number)["state"] == "succeeded"
    if keys == 1:  # of many, the deploy knows the one that made it
        assert number_of(dev.ask("catalog", "staging", commit, key=names[0])) == number


def test_two_people_at_once(sandbox: Running, people: People, slow: Slow) -> None:
    """The same revision is one deploy; another one waits behind it, and says for whom."""
    dev, lead, before = people("dev"), people("lead"), count(sandbox)
    commit = slow("catalog")
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(who.deploy, "catalog", "staging", commit) for who in (dev, lead)]
    first = asked[0].result()
    assert asked[1].result() == first
    assert count(sandbox) == before + 1
    second = lead.deploy("catalog", "staging", "main")
    third = dev.deploy("catalog", "staging", commit, reason="again, after the other one")
    assert third == first, "it still runs"
    assert f"deploy #{first}" in lead.get(f"/deploys/{second}/").text
    for number in (first, second):
        assert sandbox.ended(number)["state"] == "succeeded"
    assert sandbox.deploy(first)["ended_at"] <= sandbox.deploy(second)["started_at"]


def test_cancelled_while_it_runs(sandbox: Running, people: People, slow: Slow) -> None:
    """It stops before its next write, says who asked and what stays; cancelling twice is once; what waited goes on."""
    dev, lead = people("dev"), people("lead")
    number = dev.deploy("storefront", "staging", slow("storefront"))
    sandbox.reaches(number, "apply")
    behind = dev.deploy("storefront", "staging", "main")
    assert lead.act(number, "cancel").status_code == 200
    assert dev.act(number, "cancel").status_code == 200
    found = sandbox.ended(number)
    assert found["state"] == "cancelled"
    assert found["result"].startswith("lead cancelled it.")
    assert "written and stay as they are" in found["result"]
    assert sandbox.step(number, "apply")["state"] == "cancelled"
    assert sandbox.step(number, "rollout")["state"] == "skipped"
    assert sandbox.ended(behind)["state"] == "succeeded"
    answer = dev.act(number, "cancel")
    assert answer.status_code == 200
    assert "before it changed anything" not in answer.text
    answer = dev.act(behind, "cancel")
    assert answer.status_code == 409
    assert "there is nothing to cancel" in answer.text


def test_cancelled_before_it_starts(sandbox: Running, people: People, slow: Slow) -> None:
    dev = people("dev")
    first = dev.deploy("catalog", "staging", slow("catalog"))
    behind = dev.deploy("catalog", "staging", "main")
    assert "cancelled it before it started" in dev.act(behind, "cancel").text
    found = sandbox.deploy(behind)
    assert (found["state"], found["result"]) == ("cancelled", "dev cancelled it before it started.")
    assert sandbox.ended(first)["state"] == "succeeded"


def test_sent_after_the_session_ended(sandbox: Running, people: People) -> None:
    """Nothing is done, what was typed is kept to be sent again, and the address is the same."""
    person, before = Person(sandbox, "dev").sign_in(), count(sandbox)
    del person.session.cookies["sessionid"]
    answer = person.ask("catalog", "staging", "main", reason="a reason worth keeping")
    assert answer.status_code == 401
    assert "a reason worth keeping" in answer.text
    assert count(sandbox) == before


def test_who_may_not(sandbox: Running, people: People) -> None:
    """The page of somebody too weak says whom to ask; his form does nothing."""
    before = count(sandbox)
    answer = people("viewer").ask("catalog", "staging", "main")
    assert answer.status_code == 403
    assert "lead" in answer.text
    assert count(sandbox) == before
