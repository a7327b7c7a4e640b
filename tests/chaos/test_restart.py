"""The whole product is asked to stop while it works: every program ends by itself, and what it did goes on at the next start.

The last test of the shared sandbox: a program's next start begins its log anew, and the canaries look into all logs.
"""

from __future__ import annotations

import re

import pytest
from requests.exceptions import ChunkedEncodingError

from tests.e2e import running
from tests.e2e.fixtures import People, Slow
from tests.e2e.running import Running

pytestmark = pytest.mark.slow

PROGRAMS = {
    *("aws", "git", "github", "node", "redis", "slack"),
    *(
        "builds",
        "deploys-1",
        "deploys-2",
        "git-worker",
        "live",
        "messages",
        "registry",
        "scheduler",
        "short",
        "web",
    ),
}
ENDED = re.compile(r" *[0-9.]+ s  (?P<name>.+?) (?P<how>(has|did not) .*)")
PLANE = {
    "simulated": {"simulated control plane"},
    "real": {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"},
}


def stopped(product: Running) -> dict[str, str]:
    """Asks it to stop; how each program ended, in the words of the sandbox."""
    said = (product.directory / "out.log").read_text().count("\n")
    running.stop(product, keep=True)
    lines = (product.directory / "out.log").read_text().splitlines()[said:]
    found = [ENDED.match(line) for line in lines]
    assert all(found[1:]), lines  # nothing but how each ended; the first line says that it is stopping
    return {match["name"]: match["how"] for match in found[1:] if match}


def test_all_end_by_themselves_and_the_deploy_goes_on_at_the_next_start(
    sandbox: Running, people: People, slow: Slow
) -> None:
    if sandbox.process is None:
        pytest.skip("TEST_SANDBOX names a sandbox that is left running")
    dev = people("dev")
    number = dev.deploy("storefront", "staging", slow("storefront", 20))
    sandbox.reaches(number, "rollout")
    with dev.get(f"/deploys/{number}/stream?after=0", stream=True) as stream:
        lines = stream.iter_lines()  # kept: the connection is closed with it
        assert next(lines).startswith(b"id:")
        ends = stopped(sandbox)
        with pytest.raises(ChunkedEncodingError):  # the stream is cut off; a browser connects anew
            list(lines)
    state, logs = sandbox.deploy(number), sandbox.tails()
    running.start_again(sandbox)
    # A program that is missing had ended before; what it said then is in the logs.
    assert ends.keys() == PROGRAMS | PLANE[sandbox.plane], logs
    assert set(ends.values()) <= {"has ended", "has ended (1)"}, ends  # 1: kube-scheduler's way
    assert [name for name, how in ends.items() if how != "has ended"] in ([], ["kube-scheduler"])

    assert state["state"] not in running.ENDS, state["result"]
    found = sandbox.ended(number)
    assert (found["state"], found["attempt"]) == ("succeeded", 2), found["result"]
    assert "another one goes on" in sandbox.log(number)
