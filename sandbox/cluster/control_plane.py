"""A real Kubernetes control plane on 127.0.0.1: etcd, API server, controller manager and scheduler, without nodes.

The programs come from the directory that `KUBEBUILDER_ASSETS` names (`setup-envtest use -p path` prints one). One
directory holds all state: a restart keeps the objects, the authority and the admin credentials, and the address while its
port is free. So an older kubeconfig stays valid.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

from engine.errors import SlipwayError
from sandbox import processes
from sandbox.cluster.api import Api, ApiFailed, Credentials
from sandbox.cluster.arguments import api_arguments, etcd_arguments, manager_arguments, scheduler_arguments
from sandbox.cluster.certificates import write_private
from sandbox.cluster.kubeconfig import CLIENTS, kubeconfig_text, make_credentials
from sandbox.processes import Child, End

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
_PORTS = ("etcd", "etcd-peer", "api", "manager", "scheduler")


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
        """Ends the programs, the API server before etcd, which it needs for a clean end. Returns how each ended. Safe to call
        twice."""
        ends = processes.stop(self._children, seconds)
        self._children = []
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        return ends

    def check(self) -> None:
        """Raises ControlPlaneError, with the program's name and the last lines of its log, when a program has ended by
        itself."""
        try:
            processes.check(self._children)
        except processes.ProcessError as error:
            raise ControlPlaneError(f"The control plane is broken: {error.message}") from error

    @property
    def children(self) -> tuple[Child, ...]:
        """The running programs, for the sandbox's supervisor."""
        return tuple(self._children)

    def _take_lock(self) -> None:
        """Takes the directory's lock, because two control planes would damage its data. The lock ends with its process."""
        self._lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = -1
            raise ControlPlaneError(f"Another control plane already runs in {self.directory}.") from None

    def _start_with_ports(self, programs: Path) -> Path:
        """Starts the programs; tries again with other ports when another process took a port meanwhile."""
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
        for client in CLIENTS:
            text = kubeconfig_text(
                f"https://127.0.0.1:{ports['api']}", pairs["ca"].certificate, pair=pairs[client]
            )
            path = self.kubeconfig if client == "admin" else self.directory / f"{client}.kubeconfig"
            write_private(path, text.encode())
        self._spawn(programs / "etcd", etcd_arguments(ports))
        self._spawn(programs / "kube-apiserver", api_arguments(ports))
        api = Api(Credentials.from_kubeconfig(self.kubeconfig.read_text()), user_agent="slipway-sandbox")
        self._wait("The API server", partial(_answers, api, "/readyz"), 60)
        self._spawn(programs / "kube-controller-manager", manager_arguments(ports))
        self._spawn(programs / "kube-scheduler", scheduler_arguments(ports))
        authority = pairs["ca"].certificate.decode()
        for name in ("manager", "scheduler"):
            health = Api(
                Credentials(f"https://127.0.0.1:{ports[name]}", authority), user_agent="slipway-sandbox"
            )
            self._wait(f"The {name}", partial(_answers, health, "/healthz"), 30)
        return self.kubeconfig

    def _spawn(self, program: Path, arguments: Sequence[str]) -> None:
        log = self.directory / f"{program.name}.log"
        log.unlink(missing_ok=True)  # an old log would give a wrong reason for this run's end
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
