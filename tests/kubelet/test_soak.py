"""A short soak on the real node (first deploy, a crash, one stopped, the way back); `make soak` runs a long one."""

from __future__ import annotations

import os
import random
import time

import pytest

from tests.kubelet.conftest import Place
from tests.kubelet.soaking.history import History, say
from tests.kubelet.soaking.portal import portal_for
from tests.kubelet.soaking.shop import images
from tests.kubelet.soaking.truth import Truth

SEED = int(os.environ.get("SOAK_SEED", "223"))
DEPLOYS = int(os.environ.get("SOAK_DEPLOYS", "4"))


@pytest.mark.django_db(transaction=True)
def test_every_verdict_agrees_with_the_truth(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    portal = portal_for(place, monkeypatch, deploy_timeout=240)
    began = time.monotonic()
    with Truth(place.client, place.name) as truth:
        history = History(portal, truth, images(place.node), random.Random(SEED))
        history.run(DEPLOYS)
    seconds = time.monotonic() - began
    say(f"seed {SEED}: {len(history.told)} deploys in {seconds:.0f} s, answered: {truth.answered}")
