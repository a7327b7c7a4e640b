"""The simulated control plane as a child, with the interface of `sandbox.control_plane.ControlPlane`; and its faults."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from sandbox import processes
from sandbox.api import Api
from sandbox.control_plane import ControlPlaneError
from sandbox.kubernetes import READY_LINE, command
from sandbox.kubernetes.faults import PATH
from sandbox.processes import Child

_ROOT = Path(__file__).resolve().parents[2]


class SimulatedCluster:
    """Starts, watches and stops the program; `with SimulatedCluster(directory) as plane:` does both ends."""

    def __init__(self, directory: Path) -> None:
        """`directory` keeps the state, the credentials and the port."""
        self.directory = directory.resolve()
        self.kubeconfig = self.directory / "kubeconfig"
        self._children: list[Child] = []

    def __enter__(self) -> SimulatedCluster:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Path:
        """Returns the path of the admin's kubeconfig once the server answers. Raises ControlPlaneError."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        port = processes.remembered_ports(self.directory / "ports.json", ["api"])["api"]
        log = self.directory / "kube-apiserver.log"
        log.unlink(missing_ok=True)  # the log of the run before would pass for this one's
        environment = {"PATH": os.defpath, "HOME": str(self.directory)}
        child = processes.spawn(
            command(self.directory, port), log=log, env=environment, cwd=_ROOT, name="simulated control plane"
        )
        self._children = [child]
        try:
            processes.wait_until(
                lambda: any(READY_LINE in line for line in child.last_lines()),
                [child],
                seconds=20,
                what="The simulated control plane",
                pause=0.02,
            )
        except BaseException as error:
            self.stop()
            if isinstance(error, processes.ProcessError):
                words = f"The simulated control plane did not start: {error.message}"
                hint = f"Its log and data are in {self.directory}; `make sandbox-reset` begins anew."
                raise ControlPlaneError(words, hint=hint) from error
            raise
        return self.kubeconfig

    def stop(self, seconds: float = 3.0) -> None:
        """Ends it; what it holds is kept. Safe to call twice."""
        processes.stop(self._children, seconds)
        self._children = []

    def check(self) -> None:
        """Raises ControlPlaneError when it has ended by itself, with the last lines of its log."""
        try:
            processes.check(self._children)
        except processes.ProcessError as error:
            raise ControlPlaneError(f"The simulated control plane is broken: {error.message}") from error

    @property
    def children(self) -> tuple[Child, ...]:
        """The running program, for whoever watches over all parts of the sandbox."""
        return tuple(self._children)


def order_fault(kubeconfig: Path, fault: str, seconds: float | None = None) -> str:
    """Orders a fault of a running simulated cluster (see `faults.FAULTS`); what happens, in words. Raises ApiFailed."""
    api = Api.from_kubeconfig(kubeconfig, user_agent="slipway-sandbox")
    body: dict[str, object] = {"fault": fault}
    if seconds is not None:
        body["seconds"] = seconds
    return str(api.create(PATH, body)["message"])
