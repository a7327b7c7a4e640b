"""The simulated control plane as a child, with the interface of `sandbox.control_plane.ControlPlane`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sandbox import processes
from sandbox.control_plane import ControlPlaneError
from sandbox.kubernetes import READY_LINE
from sandbox.processes import Child

_ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = [sys.executable, "-m", "sandbox.kubernetes"]
_NAME = "simulated control plane"


class SimulatedCluster:
    """Starts, watches and stops the program; `with SimulatedCluster(directory) as plane:` does both ends."""

    def __init__(self, directory: Path) -> None:
        """`directory` keeps the state, the credentials and the port."""
        self.directory = directory.resolve()
        self.kubeconfig = self.directory / "kubeconfig"
        self.children: tuple[Child, ...] = ()  # for whoever watches over the whole sandbox

    def __enter__(self) -> SimulatedCluster:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self) -> Path:
        """Returns the path of the admin's kubeconfig once the server answers. Raises ControlPlaneError."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        port = processes.remembered_ports(self.directory / "ports.json", ["api"])["api"]
        log = self.directory / "kube-apiserver.log"
        log.unlink(missing_ok=True)  # the log of the run before would pass for this one's
        words = [*_PROGRAM, "--directory", str(self.directory), "--port", str(port)]
        env = {"PATH": os.defpath, "HOME": str(self.directory)}
        child = processes.spawn(words, log=log, env=env, cwd=_ROOT, name=_NAME)
        self.children = (child,)

        def ready() -> bool:
            return any(READY_LINE in line for line in child.last_lines())

        try:
            processes.wait_until(ready, [child], seconds=20, what=f"The {_NAME}", pause=0.02)
        except processes.ProcessError as error:
            self.stop()
            hint = f"Its log and data are in {self.directory}; `make sandbox-reset` begins anew."
            raise ControlPlaneError(f"The {_NAME} did not start: {error.message}", hint=hint) from error
        return self.kubeconfig

    def stop(self, seconds: float = 3.0) -> None:
        """Ends it; what it holds is kept. Safe to call twice."""
        processes.stop(self.children, seconds)
        self.children = ()

    def check(self) -> None:
        """Raises ControlPlaneError when it has ended by itself, with the last lines of its log."""
        try:
            processes.check(self.children)
        except processes.ProcessError as error:
            raise ControlPlaneError(f"The {_NAME} is broken: {error.message}") from error
