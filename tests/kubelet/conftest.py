"""The real node, and what tests need to deploy on it.

Most tests wait for pods most of the time. Those with the mark `beside` run some at a time, each in a namespace of its own,
while pytest runs the others one after the other; their turn in pytest only takes the outcome.
"""

from __future__ import annotations

import inspect
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.kubernetes.client import KubernetesClient
from engine.cluster.apply import ApplyError
from engine.cluster.resources import ClusterKinds
from engine.manifests.documents import read_documents
from engine.manifests.plan import stages
from engine.manifests.render import render
from engine.manifests.settling import USUAL, Settling
from engine.rollout.rollout import Rollout
from engine.types import Manifest, ObjectStatus
from tests.observer import Watching
from tests.planes import NODE_ONLY, RealNode, running_node

Json = dict[str, Any]
Outcomes = dict[str, Future[None]]
PORT = 8080
GOOD = (
    "sh",
    "-c",
    # It serves for a second after it was asked to end, as long as the news takes to those who send requests.
    f"trap 'sleep 1; exit 0' TERM; mkdir /tmp/w; echo $VERSION >/tmp/w/index.html; httpd -p {PORT} -h /tmp/w; "
    "echo serving; while :; do sleep 1 & wait $!; done",
)


# Seconds for a deploy, far more than one takes on a busy machine. A verdict that comes by what was seen comes before them:
# `Ended.timed_out` says so, and no test holds seconds against a limit (`make soak` and `make bench` measure).
PATIENT = 300.0


@dataclass(frozen=True)
class Ended:
    """How a deploy ended."""

    ok: bool
    timed_out: bool
    seconds: float
    failures: tuple[ObjectStatus, ...]
    lines: tuple[str, ...]

    @property
    def sentence(self) -> str:
        return self.failures[0].sentence if self.failures else ""


@dataclass
class Place:
    """A namespace of the node's cluster, and short words for what tests do there."""

    node: RealNode
    client: KubernetesClient
    name: str
    numbers: list[int] = field(default_factory=list)

    @property
    def core(self) -> str:
        return f"/api/v1/namespaces/{self.name}"

    def rendered(self, bodies: Sequence[Json], settling: Settling = USUAL) -> list[Manifest]:
        """As a deploy renders them."""
        documents = read_documents({"app.yaml": yaml.safe_dump_all(bodies).encode()})
        made = render(
            documents,
            variables=[],
            images=[],
            namespace=self.name,
            environment_label="shop.staging",
            secret_documents={},
            kinds=ClusterKinds(self.client),
            settling=settling,
        )
        return list(made.manifests)

    def deploy(
        self,
        *bodies: Json,
        settling: Settling = USUAL,
        timeout: float = PATIENT,
        observer: Watching | None = None,
    ) -> Ended:
        return self.apply(self.rendered(bodies, settling), timeout=timeout, observer=observer)

    def apply(
        self, manifests: Sequence[Manifest], *, timeout: float = PATIENT, observer: Watching | None = None
    ) -> Ended:
        """A deploy of rendered objects, to its end."""
        self.numbers.append(len(self.numbers))
        observer = observer or Watching()
        began = time.monotonic()
        planned = stages(manifests, deploy_number=len(self.numbers))
        kinds = ClusterKinds(self.client)
        with Rollout(self.client, planned, kinds=kinds, observer=observer, timeout=timeout) as rollout:
            try:
                rollout.apply()
                result = rollout.wait()
                ok, timed_out, failures = result.ok, result.timed_out, result.failures
            except ApplyError as error:
                bad = tuple(s for s in error.statuses if s.progress in ("failed", "timed_out"))
                ok, timed_out, failures = False, False, bad
        return Ended(ok, timed_out, time.monotonic() - began, failures, tuple(observer.lines))

    def pods(self) -> list[Json]:
        """Those that are not on their way out."""
        items = self.client.request("GET", f"{self.core}/pods")["items"]
        return [pod for pod in items if not pod["metadata"].get("deletionTimestamp")]

    def addresses(self) -> list[str]:
        """Where the Service `app` sends requests."""
        path = f"/apis/discovery.k8s.io/v1/namespaces/{self.name}/endpointslices"
        slices = self.client.request("GET", path)["items"]
        ends = [end for one in slices for end in one.get("endpoints") or []]
        return [end["addresses"][0] for end in ends if end["conditions"].get("ready")]


@dataclass
class Requests:
    """Steady requests to a Service, by its endpoints: a node without kube-proxy serves no cluster addresses."""

    place: Place
    answers: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Requests:
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _ask(self) -> None:
        turn = 0
        while not self._over.wait(0.05):
            addresses = sorted(self.place.addresses())
            if not addresses:
                self.failed.append("no pod is ready")
                continue
            turn += 1
            try:
                url = f"http://{addresses[turn % len(addresses)]}:{PORT}/"
                with urllib.request.urlopen(url, timeout=2) as answer:
                    self.answers.append(answer.read().decode().strip())
            except OSError as error:
                self.failed.append(str(error))


@pytest.fixture(scope="session", params=NODE_ONLY)
def node(request: pytest.FixtureRequest) -> Iterator[RealNode]:
    """The real node; the parameter is its name among the planes."""
    with running_node() as found:
        yield found


@pytest.fixture(scope="session")
def good_image(node: RealNode) -> str:
    """Serves its VERSION, ends when it is asked to."""
    return node.image("tests/good:1", *GOOD)


def new_place(node: RealNode) -> Place:
    """A new namespace with a pull secret."""
    text = Path(node.kubeconfig).read_text()
    client = KubernetesClient.from_kubeconfig(text, user_agent="slipway/tests")
    place = Place(node, client, f"shop-{uuid.uuid4().hex[:8]}")
    client.request("POST", "/api/v1/namespaces", body={"metadata": {"name": place.name}})
    client.request("POST", f"{place.core}/secrets", body=node.pull_secret("pull"))
    return place


def remove(place: Place) -> None:
    place.client.request("DELETE", place.core)
    place.client.close()


@pytest.fixture
def place(node: RealNode) -> Iterator[Place]:
    made = new_place(node)
    yield made
    remove(made)


SOME = 4  # tests that run beside each other
beside = pytest.mark.beside


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that run beside come last: the others use the time."""
    items.sort(key=lambda item: item.get_closest_marker("beside") is not None)


@pytest.fixture(scope="session", autouse=True)
def outcomes(request: pytest.FixtureRequest, node: RealNode, good_image: str) -> Iterator[Outcomes]:
    """Starts the tests that run beside. By test, its outcome."""

    def run(item: pytest.Function) -> None:
        place = new_place(node)
        given = {**item.callspec.params, "place": place, "node": node, "good_image": good_image}
        try:
            item.function(**{name: given[name] for name in inspect.signature(item.function).parameters})
        finally:
            remove(place)

    with ThreadPoolExecutor(SOME) as pool:
        items = [item for item in request.session.items if item.get_closest_marker("beside")]
        yield {item.nodeid: pool.submit(run, item) for item in items if isinstance(item, pytest.Function)}
        pool.shutdown(wait=True, cancel_futures=True)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """The outcome of a test that runs beside; nothing for others, which pytest calls itself."""
    if pyfuncitem.get_closest_marker("beside") is None:
        return None
    pyfuncitem.funcargs["outcomes"][pyfuncitem.nodeid].result()
    return True


def workload(
    image: str, *, kind: str = "Deployment", replicas: int = 2, pod: Json | None = None, **container: Any
) -> Json:
    """A workload `app` of one container."""
    main = {"name": "app", "image": image, **container}
    spec = {
        "terminationGracePeriodSeconds": 3,
        "imagePullSecrets": [{"name": "pull"}],
        "containers": [main],
        **(pod or {}),
    }
    labels = {"app": "app"}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "app"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def service() -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "app"},
        "spec": {"selector": {"app": "app"}, "ports": [{"port": 80, "targetPort": PORT}]},
    }
