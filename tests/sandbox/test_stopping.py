"""The whole product is asked to stop while it works: every program ends by itself, and what it did goes on at the next start."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from requests.exceptions import ChunkedEncodingError

from tests.e2e import running, world
from tests.e2e.fixtures import SLOW
from tests.e2e.portal import Person
from tests.e2e.running import Running
from tests.planes import PLANES, need_control_plane

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
STOP_SECONDS = 20.0  # on a busy machine; 4 s on a quiet one
PLANE = {
    "simulated": {"simulated control plane"},
    "real": {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"},
}


@pytest.fixture(params=PLANES)
def product(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    """A running sandbox of its own."""
    if request.param == "real":
        need_control_plane()
    found = running.start_in(tmp_path / "sandbox", request.param)
    yield found
    shutil.rmtree(found.directory, ignore_errors=True)


def slow_deploy(product: Running, dev: Person) -> int:
    """A deploy that takes some seconds to roll out, once it rolls out; its number."""
    commit = world.push(product, "storefront", "slow", subject="Warm the cache at start")
    world.publish(
        product, commit, {name: {world.BEHAVIOUR: word} for name, word in SLOW["storefront"].items()}
    )
    number = dev.deploy("storefront", "staging", commit)
    product.reaches(number, "rollout")
    return number


def stopped(product: Running) -> dict[str, str]:
    """Asks it to stop; how each program ended, in the words of the sandbox."""
    said = (product.directory / "out.log").read_text().count("\n")
    began = time.monotonic()
    running.stop(product, keep=True)
    lines = (product.directory / "out.log").read_text().splitlines()[said:]
    assert time.monotonic() - began < STOP_SECONDS, lines
    found = [ENDED.match(line) for line in lines]
    assert all(found[1:]), lines  # nothing but how each ended; the first line says that it is stopping
    return {match["name"]: match["how"] for match in found[1:] if match}


def test_all_end_by_themselves_and_the_deploy_goes_on_at_the_next_start(product: Running) -> None:
    dev = Person(product, "dev").sign_in()
    number = slow_deploy(product, dev)
    with dev.get(f"/deploys/{number}/stream?after=0", stream=True) as stream:
        lines = stream.iter_lines()  # kept: the connection is closed with it
        assert next(lines).startswith(b"id:")
        ends = stopped(product)
        with pytest.raises(ChunkedEncodingError):  # the stream is cut off; a browser connects anew
            list(lines)
    # A program that is missing had ended before; what it said then is in the logs.
    assert ends.keys() == PROGRAMS | PLANE[product.plane], product.tails()
    assert set(ends.values()) <= {"has ended", "has ended (1)"}, ends  # 1: kube-scheduler's way
    assert [name for name, how in ends.items() if how != "has ended"] in ([], ["kube-scheduler"])

    found = product.deploy(number)
    assert found["state"] not in running.ENDS, found["result"]
    again = running.start_in(product.directory, product.plane)
    try:
        found = again.ended(number)
        assert (found["state"], found["attempt"]) == ("succeeded", 2), found["result"]
        assert "another one goes on" in again.log(number)
    finally:
        running.stop(again)
