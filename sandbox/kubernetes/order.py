"""`python -m sandbox fault NAME [SECONDS]`: orders a fault of the sandbox's simulated cluster."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.api import Api, ApiFailed
from sandbox.kubernetes.faults import FAULTS, PATH


def main(arguments: Sequence[str], directory: Path) -> int:
    """Orders the fault of the cluster in `directory`; 0 when it has begun, 1 when there is no such cluster or fault."""
    told = {name: words.format(node="A node", seconds=usual) for name, (usual, words) in FAULTS.items()}
    parser = argparse.ArgumentParser(
        prog="python -m sandbox fault",
        description="\n".join(f"  {name:15} {words}" for name, words in told.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("fault", choices=tuple(FAULTS))
    parser.add_argument("duration", nargs="?", type=_duration, help="such as 5s or 2m: how long, or how slow")
    options = parser.parse_args(arguments)
    try:
        print(order_fault(directory / "kubeconfig", options.fault, options.duration))
    except (OSError, ValueError):
        print(f"No simulated cluster was started in {directory}.", file=sys.stderr)
        return 1
    except ApiFailed as error:
        words = {0: "it does not run", 404: "it is a real control plane, which takes no orders"}
        why = words.get(error.status, error.message)
        print(f"The cluster in {directory} cannot be told: {why}.", file=sys.stderr)
        return 1
    return 0


def order_fault(kubeconfig: Path, fault: str, seconds: float | None = None) -> str:
    """Orders a fault of a running simulated cluster (see `faults.FAULTS`); what happens, in words. Raises ApiFailed."""
    api = Api.from_kubeconfig(kubeconfig, user_agent="slipway-sandbox")
    return str(api.create(PATH, {"fault": fault, "seconds": seconds})["message"])


def _duration(text: str) -> float:
    """Seconds. Raises ValueError, of which argparse makes a message."""
    return float(text.removesuffix("m")) * 60 if text.endswith("m") else float(text.removesuffix("s"))
