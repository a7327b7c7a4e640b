"""Real processes that renew the same cluster: side by side, killed in the middle, and stopped in the middle until another one
has taken over. AWS and its registry are the sandbox's, the cluster is the simulated one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now

from projects.models import Cluster
from registry.history import TOKEN, WRITE
from registry.models import Credential, Refresh, RegistryToken, State, WriterLease
from sandbox.aws.orders import give_order
from sandbox.cluster.api import Api
from sandbox.kubernetes.faults import order_fault
from tests.factories import make_cluster, make_environment, make_registry
from tests.planes import Plane, running_plane
from tests.runs.test_live_processes import ROOT, database_url
from tests.sandbox.ends import Aws, running_aws

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
PATIENCE = 60  # seconds until a test gives up; nothing is measured
WORK = "import django, sys; django.setup(); from registry import jobs; jobs.look_at(int(sys.argv[1]))"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with running_aws(tmp_path_factory.mktemp("aws") / "state") as end:
        yield end


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane("simulated", tmp_path_factory.mktemp("plane")) as plane:
        yield plane


@pytest.fixture
def cluster(transactional_db: None, simulated: Plane, aws: Aws) -> Cluster:
    """A cluster with one environment, whose namespace is there."""
    give_order(aws.url, aws.directory, "heal")
    made = make_cluster(kubeconfig=simulated.kubeconfig.read_text())
    make_registry(endpoint=aws.url, region="eu-west-2")
    name = f"proc-{uuid.uuid4().hex[:8]}"
    make_environment(cluster=made, namespace=name, pull_secret="ecr-pull")
    api(simulated).create("/api/v1/namespaces", {"metadata": {"name": name}})
    return made


def api(plane: Plane) -> Api:
    return Api.from_kubeconfig(plane.kubeconfig, user_agent="tests")


@contextmanager
def worker(cluster: Cluster, aws: Aws) -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks at the cluster once."""
    env = {
        **os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "portal.settings",
        "AWS_ENDPOINT_URL": aws.url, "AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_DEFAULT_REGION": "eu-west-2",
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "-c", WORK, str(cluster.pk)], cwd=ROOT, env=env)
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)


def finish(cluster: Cluster, aws: Aws) -> None:
    """Another worker looks at the cluster, from its start to its end."""
    with worker(cluster, aws) as process:
        assert process.wait(PATIENCE) == 0


def until_step(step: int) -> None:
    """Waits until the worker is there."""
    deadline = time.monotonic() + PATIENCE
    while not Refresh.objects.filter(state="running", step=step).exists():
        assert time.monotonic() < deadline, list(Refresh.objects.values())
        time.sleep(0.02)


def secret(plane: Plane) -> tuple[str, str]:
    """Version and content of the Secret."""
    row = Credential.objects.get()
    body = api(plane).get(f"/api/v1/namespaces/{row.namespace}/secrets/ecr-pull")
    return body["metadata"]["resourceVersion"], body["data"][".dockerconfigjson"]


def slow_down(step: int, plane: Plane, aws: Aws) -> None:
    """Makes the worker stay in that step for some seconds."""
    if step == TOKEN:
        give_order(aws.url, aws.directory, "silent", 4)
    else:
        order_fault(plane.kubeconfig, "slow", 2)


def stop_outside_of_transactions(process: subprocess.Popen[bytes]) -> None:
    """Stops the worker, and ends its leases. One that is stopped while it writes to the database would keep everybody out."""
    impatient = "PRAGMA busy_timeout = {}" if connection.vendor == "sqlite" else "SET lock_timeout = {}"
    deadline = time.monotonic() + PATIENCE
    while True:
        process.send_signal(signal.SIGSTOP)
        try:
            with connection.cursor() as cursor:
                cursor.execute(impatient.format(200))
            WriterLease.objects.update(until=Now())
            break
        except OperationalError:
            assert time.monotonic() < deadline
            process.send_signal(signal.SIGCONT)
            time.sleep(0.05)
    connection.close()  # the next one is patient again


def speed_up(plane: Plane, aws: Aws) -> None:
    give_order(aws.url, aws.directory, "heal")
    order_fault(plane.kubeconfig, "slow", 0.001)


def test_two_at_once_make_one_token_and_one_write(cluster: Cluster, aws: Aws, simulated: Plane) -> None:
    with worker(cluster, aws) as one, worker(cluster, aws) as two:
        assert [process.wait(PATIENCE) for process in (one, two)] == [0, 0]
    assert Credential.objects.get().state == State.VALID
    assert RegistryToken.objects.get().fence == 1
    assert list(Refresh.objects.values_list("state", flat=True)) == ["succeeded"]
    version = secret(simulated)
    finish(cluster, aws)
    assert secret(simulated) == version


@pytest.mark.parametrize("step", [TOKEN, WRITE], ids=["at the token", "at the write"])
def test_after_a_kill_the_next_one_goes_on(cluster: Cluster, aws: Aws, simulated: Plane, step: int) -> None:
    slow_down(step, simulated, aws)
    with worker(cluster, aws) as process:
        until_step(step)
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
    speed_up(simulated, aws)
    finish(cluster, aws)
    assert Credential.objects.get().state != State.VALID  # its lease is still on
    WriterLease.objects.update(until=Now())
    finish(cluster, aws)
    assert Credential.objects.get().state == State.VALID
    assert not Refresh.objects.filter(state="running").exists()


@pytest.mark.parametrize("step", [TOKEN, WRITE], ids=["at the token", "at the write"])
def test_one_that_was_stopped_writes_nothing_when_it_wakes(
    cluster: Cluster, aws: Aws, simulated: Plane, step: int
) -> None:
    slow_down(step, simulated, aws)
    with worker(cluster, aws) as process:
        until_step(step)
        stop_outside_of_transactions(process)
        time.sleep(2.5 if step == WRITE else 0)  # what it had sent already is answered
        speed_up(simulated, aws)
        finish(cluster, aws)
        after, token = secret(simulated), RegistryToken.objects.get()
        row = Credential.objects.get()
        assert row.state == State.VALID
        process.send_signal(signal.SIGCONT)
        process.wait(PATIENCE)
    assert secret(simulated) == after
    again = RegistryToken.objects.get()
    assert (again.fence, again.fingerprint, again.last_error) == (token.fence, token.fingerprint, "")
    row.refresh_from_db()
    assert row.state == State.VALID
    assert not Refresh.objects.filter(state="running").exists()
