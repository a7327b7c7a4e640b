"""A cluster that does not answer: what waits goes on waiting, what begins is told so, nothing is guessed."""

from __future__ import annotations

import pytest

from tests.chaos.breaking import kill, silent
from tests.e2e.fixtures import People, Slow
from tests.e2e.running import Running, until

pytestmark = pytest.mark.slow


def is_unknown(html: str) -> bool:
    """Whether a page says that the cluster does not answer and that its state is unknown, shows no state from before as
    today's, and has one banner at most."""
    main = html.partition("<main")[2].lower()
    assert main.count("does not answer; its last answer came") <= 1
    return "does not answer" in main and "unknown" in main and ">healthy<" not in main


def test_silent_for_half_a_minute_then_restarted(sandbox: Running, people: People, slow: Slow) -> None:
    """The rollout under way ends well; the deploy that began meanwhile waits a minute, changed nothing and says why."""
    dev = people("dev")
    rolling = dev.deploy("storefront", "staging", slow("storefront"))
    sandbox.reaches(rolling, "rollout")
    with silent(sandbox.api_server_pid()):
        began = dev.deploy("catalog", "staging", slow("catalog"))
        ended = sandbox.ended(began, 120)
        assert ended["state"] == "errored"
        assert "did not answer" in ended["result"] or "does not answer" in ended["result"]
        assert "Nothing was changed on the cluster." in ended["hint"]
        for path in ("/", "/projects/catalog/", "/projects/catalog/staging/"):
            until(
                f"{path} says that nothing is known now",
                lambda path=path: is_unknown(dev.get(path).text),
                150,
            )
        dev.get(f"/deploys/{began}/")
        assert sandbox.deploy(rolling)["state"] == "running"
    kill(sandbox.api_server_pid())
    found = sandbox.ended(rolling, 150)
    assert (found["state"], found["attempt"]) == ("succeeded", 1), found["result"]
    log = sandbox.log(rolling)
    assert "answers again" in log
    assert "Traceback" not in log
    assert sandbox.ended(dev.deploy("catalog", "staging", "main"))["state"] == "succeeded"
