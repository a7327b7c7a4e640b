"""The simulated control plane as a child process: a `ControlPlane` that is one program of ours instead of four."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sandbox import processes
from sandbox.cluster.control_plane import ControlPlane
from sandbox.kubernetes import READY_LINE

_ROOT = Path(__file__).resolve().parents[2]


class SimulatedCluster(ControlPlane):
    """Starts, watches and stops the program; `with SimulatedCluster(directory) as plane:` does both ends."""

    def __init__(self, directory: Path) -> None:
        """`directory` keeps the state, the credentials and the port."""
        super().__init__(directory, programs=_ROOT)

    def _take_lock(self) -> None:
        """Takes none: the program locks the directory itself, also when it is started by hand."""

    def _start_all(self, programs: Path) -> Path:
        port = processes.remembered_ports(self.directory / "ports.json", ["api"])["api"]
        log = self.directory / "kube-apiserver.log"
        log.unlink(missing_ok=True)  # the log of the run before would pass for this one's
        program = [sys.executable, "-m", "sandbox.kubernetes"]
        words = [*program, "--directory", str(self.directory), "--port", str(port)]
        env = {"PATH": os.defpath, "HOME": str(self.directory)}
        child = processes.spawn(words, log=log, env=env, cwd=programs, name="simulated control plane")
        self._children = [child]

        def ready() -> bool:
            return any(READY_LINE in line for line in child.last_lines())

        processes.wait_until(ready, [child], seconds=20, what="The simulated control plane", pause=0.02)
        return self.kubeconfig
