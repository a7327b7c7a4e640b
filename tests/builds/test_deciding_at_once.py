"""Several workers decide at once: each delivery once, and one build left of a branch."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connections

from builds import deciding
from builds.models import Build, BuildSettings, Decision, Delivery
from core import jobs
from tests import factories as make
from tests.adapters.conftest import origin  # noqa: F401  (a fixture)
from tests.builds.pushing import Shop, shop_fixture, site_secret_fixture  # noqa: F401  (fixtures)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "push", lambda *_, **__: True)


def together(calls: list[Any]) -> None:
    """Makes all calls at the same moment, each in a thread, and raises what one of them raised."""
    gate, errors = threading.Barrier(len(calls)), []

    def run(call: Any) -> None:
        gate.wait()
        try:
            call()
        except Exception as error:  # noqa: BLE001  told below
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []


def test_one_delivery_in_two_workers_is_decided_once(transactional_db: None, shop: Shop) -> None:
    delivery = shop.push()
    together([lambda: deciding.decide(delivery.pk)] * 3)
    assert (Decision.objects.count(), Build.objects.count()) == (1, 1)


def test_of_pushes_decided_at_once_the_newest_is_left(transactional_db: None, shop: Shop) -> None:
    other = make.with_address(make.make_project(slug="other", repository_url=shop.url))
    make.make_image(other, name="x")
    BuildSettings.objects.create(project=other, on_push=True)
    deliveries = [shop.push(f"Change {n}") for n in range(4)]
    together([lambda pk=one.pk: deciding.decide(pk) for one in reversed(deliveries)])
    assert not Delivery.objects.exclude(state="decided").exists()
    left = Build.objects.filter(state="queued")
    assert {(one.project.slug, one.delivery_id) for one in left} == {
        ("shop", deliveries[-1].pk),
        ("other", deliveries[-1].pk),
    }
    assert Build.objects.filter(state="superseded").count() == 6
