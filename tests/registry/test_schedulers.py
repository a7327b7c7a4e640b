"""Two real schedulers and two real workers on one database, and twenty deploys at once in real processes: AWS is asked for one
token, and nothing is written or audited twice. AWS and its registry are the sandbox's, the cluster is the simulated one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.utils import timezone

from audit.models import AuditEvent
from core.models import Lease
from projects.models import Cluster, Environment
from registry.models import Cause, Credential, Refresh, RefreshResult, RegistryToken, State
from sandbox.aws.orders import give_order
from sandbox.cluster.api import Api
from tests import redis_server
from tests.factories import make_cluster, make_environment, make_project, make_registry
from tests.planes import Plane, running_plane
from tests.registry.test_processes import PATIENCE
from tests.runs.test_live_processes import ROOT, database_url
from tests.sandbox.ends import Aws, running_aws

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
CLUSTERS, NAMESPACES, PROCESSES, THREADS = 3, 4, 4, 5
DEPLOYS = """
import sys, threading, django
django.setup()
from contextlib import closing
from django.db import connection
from projects.connections import hasty_client
from projects.models import Environment
from registry import deploys
pks, failed = sys.argv[1].split(","), []
gate = threading.Barrier(len(pks))
def deploy(pk):
    environment = Environment.objects.select_related("cluster", "project").get(pk=pk)
    with closing(hasty_client(environment.cluster)) as client:
        gate.wait()
        found = deploys.ensure(environment, client, asked_as=f"deploy {pk}", wait=60)
    if not found.is_usable or found.sentence.startswith("Another"):
        failed.append(found.sentence)
    connection.close()
threads = [threading.Thread(target=deploy, args=(pk,)) for pk in pks]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
sys.exit("; ".join(failed) or 0)
"""


@dataclass
class Counted:
    """AWS behind a door that counts the calls for tokens."""

    aws: Aws
    url: str
    calls: list[str] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return sum(call.endswith(".GetAuthorizationToken") for call in self.calls)


@contextmanager
def counted(aws: Aws) -> Iterator[Counted]:
    found = Counted(aws, "")

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found.calls.append(self.headers.get("X-Amz-Target", ""))
            request = urllib.request.Request(aws.url + self.path, body, dict(self.headers), method="POST")
            with urllib.request.urlopen(request, timeout=30) as answer:
                data = answer.read()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with running_aws(tmp_path_factory.mktemp("aws") / "state") as end:
        yield end


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane("simulated", tmp_path_factory.mktemp("plane")) as plane:
        yield plane


@pytest.fixture
def outside(aws: Aws) -> Iterator[Counted]:
    give_order(aws.url, aws.directory, "heal")
    with counted(aws) as found:
        yield found


@pytest.fixture
def environments(transactional_db: None, simulated: Plane, outside: Counted) -> list[Environment]:
    """Some environments in each of three clusters, which are one API server; each in a namespace of its own."""
    api = Api.from_kubeconfig(simulated.kubeconfig, user_agent="tests")
    clusters = [make_cluster(kubeconfig=simulated.kubeconfig.read_text()) for _ in range(CLUSTERS)]
    make_registry(endpoint=outside.aws.url, region="eu-west-2")
    project = make_project()
    found = []
    for cluster in clusters:
        for _ in range(NAMESPACES):
            name = f"two-{uuid.uuid4().hex[:8]}"
            api.create("/api/v1/namespaces", {"metadata": {"name": name}})
            found.append(
                make_environment(project, slug=name, cluster=cluster, namespace=name, pull_secret="ecr-pull")
            )
    return found


@contextmanager
def process(outside: Counted, *command: str, redis_url: str = "") -> Iterator[subprocess.Popen[str]]:
    """A process of the portal, ended hard at the end."""
    env = {
        **os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "portal.settings",
        "AWS_ENDPOINT_URL": outside.url, "AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_DEFAULT_REGION": "eu-west-2", **({"REDIS_URL": redis_url} if redis_url else {}),
    }  # fmt: skip
    started = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True
    )
    drained = threading.Thread(target=_drain, args=(started,), daemon=True)
    drained.start()
    try:
        yield started
    finally:
        started.kill()
        started.wait(PATIENCE)
        drained.join(5)


def _drain(started: subprocess.Popen[str]) -> None:
    assert started.stderr is not None
    with started.stderr:
        started.said = started.stderr.read()  # type: ignore[attr-defined]


def until(what: str, is_so, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"{what}: {list(Refresh.objects.values())}"
        time.sleep(0.1)


def all_valid() -> bool:
    states = list(Credential.objects.values_list("state", flat=True))
    return states == [State.VALID] * (CLUSTERS * NAMESPACES) and not Refresh.objects.exclude(
        state="succeeded"
    )


def renewals() -> list[tuple[str, str]]:
    return sorted(Refresh.objects.values_list("cluster__slug", "cause"))


def events(verb: str = "pull_credential.renewed") -> list[tuple[str, str]]:
    rows = AuditEvent.objects.filter(verb=verb)
    return sorted((event.target_text.partition(":")[0], event.data["cause"]) for event in rows)


def one_each(cause: str) -> list[tuple[str, str]]:
    return [(slug, cause) for slug in Cluster.objects.order_by("slug").values_list("slug", flat=True)]


def test_two_schedulers_and_two_workers_do_each_thing_once(
    environments: list[Environment], outside: Counted
) -> None:
    """Also when the scheduler that works is killed: the other one takes over."""
    with redis_server.running() as url, ExitStack() as stack:

        def start(*command: str) -> subprocess.Popen[str]:
            return stack.enter_context(process(outside, "manage.py", *command, redis_url=url))

        workers = [start("rqworker", "registry") for _ in range(2)]
        schedulers = [start("scheduler") for _ in range(2)]
        until("all are valid", all_valid)
        assert outside.tokens == 1
        assert renewals() == sorted(one_each(Cause.APPEARED)) == events()
        assert RefreshResult.objects.filter(result="written").count() == len(environments)

        token = RegistryToken.objects.get()
        late = timezone.now() - timedelta(hours=7)
        RegistryToken.objects.update(minted_at=late, expires_at=late + timedelta(hours=12))
        holder = Lease.objects.get(name="scheduler").holder
        [working] = [one for one in schedulers if holder.endswith(f"-{one.pid}")]
        working.send_signal(signal.SIGKILL)
        until("a new token", lambda: RegistryToken.objects.get().fingerprint != token.fingerprint, 150)
        until("all are renewed", lambda: len(renewals()) == 2 * CLUSTERS and all_valid())
        assert outside.tokens == 2
        assert renewals() == sorted([*one_each(Cause.APPEARED), *one_each(Cause.DUE)]) == events()
        assert Lease.objects.get(name="scheduler").holder != holder
        assert [one.poll() for one in workers] == [None, None]
    assert events("pull_credential.not_renewed") == []


def test_twenty_deploys_at_once_make_one_token_and_no_conflict(
    environments: list[Environment], outside: Counted
) -> None:
    """In four processes; the same environments in each."""
    few = environments[: THREADS - 1] + environments[-1:]
    pks = ",".join(str(one.pk) for one in few)
    with ExitStack() as stack:
        running = [stack.enter_context(process(outside, "-c", DEPLOYS, pks)) for _ in range(PROCESSES)]
        codes = [one.wait(120) for one in running]
    assert codes == [0] * PROCESSES, [one.said for one in running]  # type: ignore[attr-defined]
    assert outside.tokens == 1
    assert set(Credential.objects.values_list("state", flat=True)) == {State.VALID}
    assert RefreshResult.objects.filter(result="written").count() == len(few)
    assert not RefreshResult.objects.exclude(result="written").exists()
    assert len(events()) == len(few) == Refresh.objects.filter(state="succeeded").count()
    assert Refresh.objects.count() == len(few)
    assert RegistryToken.objects.get().fence == 1
