"""The nodes of the sandbox's cluster, played: one program that acts as the kubelets of any API server, over HTTP.

Nothing runs in a container here. For each pod that the scheduler bound to one of its nodes the player does what a
kubelet does as far as the API server can see it: it pulls the image's manifest and configuration with the pod's own
pull secrets, looks for the Secrets and ConfigMaps that the pod names, sets states and conditions, posts events, and
serves logs. How the program in the container behaves is written in labels of the image's configuration
(`behaviour.py`). What it cannot pull, because the registry is not on this machine, it takes for an image that works.

    python -m sandbox.node KUBECONFIG [--nodes 3] [--speed 1] [--mirror HOST=URL]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

READY_LINE = "the nodes are ready"


def command(
    kubeconfig: Path, *, nodes: int = 3, speed: float = 1.0, mirrors: Mapping[str, str] | None = None
) -> list[str]:
    """The arguments that start the player as a child. It prints `READY_LINE` once its nodes are registered.

    `mirrors`: registry host as written in image references, to the URL where it is found instead.
    """
    options = [f"--mirror={host}={url}" for host, url in (mirrors or {}).items()]
    return [
        sys.executable,
        "-m",
        "sandbox.node",
        str(kubeconfig),
        f"--nodes={nodes}",
        f"--speed={speed:g}",
        *options,
    ]
