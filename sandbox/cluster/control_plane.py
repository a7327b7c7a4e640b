"""A real Kubernetes control plane on 127.0.0.1: etcd, API server, controller manager and scheduler, without nodes.

The programs come from the directory that `KUBEBUILDER_ASSETS` names (`setup-envtest use -p path` prints one). All
state is in one directory and stays there: after a restart the same objects, the same authority and the same admin
credentials, so that a kubeconfig somebody keeps goes on working, at the same address while its port is free.
"""

from __future__ import annotations

import base64
import fcntl
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

import yaml

from engine.errors import SlipwayError
from engine.types import Json
from sandbox import processes
from sandbox.cluster.api import Api, ApiFailed, Credentials
from sandbox.cluster.certificates import (
    Pair,
    load_or_make,
    make_authority,
    make_certificate,
    make_signing_key,
    write_private,
)
from sandbox.processes import Child, End

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
_PORTS = ("etcd", "etcd-peer", "api", "manager", "scheduler")
_CLIENTS = {
    "admin": ("admin", "system:masters"),
    "manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
}
_SERVER_NAMES = (
    "127.0.0.1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "10.96.0.1",
)
_WORKERS = (
    "deployment",
    "replicaset",
    "statefulset",
    "daemonset",
    "job",
    "endpoint",
    "service-endpoint",
    "gc",
)


class ControlPlaneError(SlipwayError):
    """The control plane cannot start, or one of its programs ended."""


def assets(environment: str | None = None) -> Path:
    """The directory of the programs, from `KUBEBUILDER_ASSETS`. Raises ControlPlaneError when they are not there."""
    named = environment if environment is not None else os.environ.get("KUBEBUILDER_ASSETS", "")
    hint = "Get one by `setup-envtest use -p path` and set KUBEBUILDER_ASSETS to the path it prints."
    if not named:
        raise ControlPlaneError("KUBEBUILDER_ASSETS names no control plane.", hint=hint)
    missing = [p for p in PROGRAMS if not os.access(Path(named) / p, os.X_OK)]
    if missing:
        raise ControlPlaneError(f"KUBEBUILDER_ASSETS={named} lacks {', '.join(missing)}.", hint=hint)
    return Path(named).resolve()


class ControlPlane:
    """Starts, watches and stops the four programs; `with ControlPlane(directory) as plane:` does both ends."""

    def __init__(self, directory: Path, *, programs: Path | None = None) -> None:
        """`directory` holds everything (made if missing); `programs` defaults to `assets()`, looked up by `start`."""
        self.directory = directory.resolve()
        self.kubeconfig = self.directory / "kubeconfig"
        self._programs = programs
        self._children: list[Child] = []
        self._lock = -1

    def __enter__(self) -> ControlPlane:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Path:
        """Returns the path of the admin's kubeconfig once everything answers (about 4 s). Raises ControlPlaneError.

        Nothing is left running when it raises.
        """
        programs = self._programs or assets()
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._take_lock()
        try:
            return self._start_with_ports(programs)
        except BaseException as error:
            self.stop()
            if isinstance(error, processes.ProcessError):
                raise ControlPlaneError(
                    f"The control plane did not start: {error.message}",
                    hint=f"Its logs and data are in {self.directory}; `make sandbox-reset` begins anew.",
                ) from error
            raise

    def stop(self, seconds: float = 3.0) -> list[End]:
        """Ends the programs, the API server before the etcd that it needs to end well; how each ended. Safe to call twice."""
        ends = processes.stop(self._children, seconds)
        self._children = []
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        return ends

    def check(self) -> None:
        """Raises ControlPlaneError when a program has ended by itself: which one, and the last lines of its log."""
        try:
            processes.check(self._children)
        except processes.ProcessError as error:
            raise ControlPlaneError(f"The control plane is broken: {error.message}") from error

    @property
    def children(self) -> tuple[Child, ...]:
        """The running programs, for whoever watches over all parts of the sandbox."""
        return tuple(self._children)

    def _take_lock(self) -> None:
        """Two control planes on one directory would damage its data; the lock ends with the process that holds it."""
        self._lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = -1
            raise ControlPlaneError(f"Another control plane already runs in {self.directory}.") from None

    def _start_with_ports(self, programs: Path) -> Path:
        """Once more, with other ports, when somebody took one between our look and our use of it."""
        try:
            return self._start_all(programs)
        except processes.ProcessError as error:
            if "address already in use" not in error.message:
                raise
        processes.stop(self._children)
        self._children = []
        return self._start_all(programs)

    def _start_all(self, programs: Path) -> Path:
        ports = processes.remembered_ports(self.directory / "ports.json", _PORTS)
        pairs = make_credentials(self.directory)
        for client in _CLIENTS:
            text = kubeconfig_text(
                f"https://127.0.0.1:{ports['api']}", pairs["ca"].certificate, pair=pairs[client]
            )
            path = self.kubeconfig if client == "admin" else self.directory / f"{client}.kubeconfig"
            write_private(path, text.encode())
        self._spawn(programs / "etcd", _etcd_arguments(ports))
        self._spawn(programs / "kube-apiserver", _api_arguments(ports))
        api = Api(Credentials.from_kubeconfig(self.kubeconfig.read_text()), user_agent="slipway-sandbox")
        self._wait("The API server", partial(_answers, api, "/readyz"), 60)
        self._spawn(programs / "kube-controller-manager", _manager_arguments(ports))
        self._spawn(programs / "kube-scheduler", _scheduler_arguments(ports))
        authority = pairs["ca"].certificate.decode()
        for name in ("manager", "scheduler"):
            health = Api(
                Credentials(f"https://127.0.0.1:{ports[name]}", authority), user_agent="slipway-sandbox"
            )
            self._wait(f"The {name}", partial(_answers, health, "/healthz"), 30)
        return self.kubeconfig

    def _spawn(self, program: Path, arguments: Sequence[str]) -> None:
        log = self.directory / f"{program.name}.log"
        log.unlink(missing_ok=True)  # the log of the run before would explain this run's end wrongly
        environment = {"PATH": os.defpath, "HOME": str(self.directory), "GOGC": "75"}
        self._children.append(
            processes.spawn([program, *arguments], log=log, env=environment, cwd=self.directory)
        )

    def _wait(self, what: str, ready: partial[bool], seconds: float) -> None:
        processes.wait_until(ready, self._children, seconds=seconds, what=what)


def _answers(api: Api, path: str) -> bool:
    try:
        return api.text(path) != ""
    except ApiFailed:
        return False


def make_credentials(directory: Path) -> dict[str, Pair]:
    """The authority, server, client and token signing keys of a control plane: those in `directory`, or new ones."""

    def pair(name: str, make: partial[Pair]) -> Pair:
        return load_or_make(directory / f"{name}.crt", directory / f"{name}.key", make)

    authority = pair("ca", partial(make_authority, "slipway-sandbox"))
    pairs = {"ca": authority, "tokens": pair("tokens", partial(make_signing_key))}
    pairs["server"] = pair(
        "server", partial(make_certificate, authority, common_name="kube-apiserver", names=_SERVER_NAMES)
    )
    for name, (common_name, organization) in _CLIENTS.items():
        make = partial(make_certificate, authority, common_name=common_name, organization=organization)
        pairs[name] = pair(name, make)
    return pairs


def kubeconfig_text(server: str, authority: bytes, *, pair: Pair | None = None, token: str = "") -> str:
    """A kubeconfig for one server and one user, by client certificate or by token."""
    user: Json = {"token": token}
    if pair:
        user = {"client-certificate-data": _base64(pair.certificate), "client-key-data": _base64(pair.key)}
    cluster = {"server": server, "certificate-authority-data": _base64(authority)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "sandbox",
        "clusters": [{"name": "sandbox", "cluster": cluster}],
        "users": [{"name": "sandbox", "user": user}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox"}}],
    }
    return yaml.safe_dump(config, sort_keys=False)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _etcd_arguments(ports: dict[str, int]) -> list[str]:
    client, peer = f"http://127.0.0.1:{ports['etcd']}", f"http://127.0.0.1:{ports['etcd-peer']}"
    return [
        "--data-dir=etcd",
        "--unsafe-no-fsync",  # a killed process loses nothing by it, only a machine that loses power
        "--log-level=warn",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]


def _api_arguments(ports: dict[str, int]) -> list[str]:
    return [
        f"--etcd-servers=http://127.0.0.1:{ports['etcd']}",
        "--bind-address=127.0.0.1",
        f"--secure-port={ports['api']}",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        "--tls-cert-file=server.crt",
        "--tls-private-key-file=server.key",
        "--client-ca-file=ca.crt",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=tokens.crt",
        "--service-account-signing-key-file=tokens.key",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--allow-privileged=true",
        "--kubelet-preferred-address-types=InternalIP",
        # A webhook is called by its endpoints, of which there are none: nothing is dialled outside this machine.
        "--enable-aggregator-routing=true",
        "--profiling=false",
        "--shutdown-delay-duration=0s",
    ]


def _manager_arguments(ports: dict[str, int]) -> list[str]:
    return [
        "--kubeconfig=manager.kubeconfig",
        "--bind-address=127.0.0.1",
        f"--secure-port={ports['manager']}",
        "--tls-cert-file=server.crt",
        "--tls-private-key-file=server.key",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        "--service-account-private-key-file=tokens.key",
        "--root-ca-file=ca.crt",
        "--profiling=false",
        "--terminated-pod-gc-threshold=300",  # pods of ended Jobs would pile up in a sandbox that is kept
        "--kube-api-qps=500",  # the default of 20 would make a rollout of many pods crawl
        "--kube-api-burst=1000",
        *(f"--concurrent-{w}-syncs=20" for w in _WORKERS),
    ]


def _scheduler_arguments(ports: dict[str, int]) -> list[str]:
    return [
        "--kubeconfig=scheduler.kubeconfig",
        "--bind-address=127.0.0.1",
        f"--secure-port={ports['scheduler']}",
        "--tls-cert-file=server.crt",
        "--tls-private-key-file=server.key",
        "--leader-elect=false",
        "--profiling=false",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]
