"""`python -m sandbox fault NAME [SECONDS]`: orders a fault of the sandbox's simulated cluster."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.api import ApiFailed
from sandbox.kubernetes.faults import FAULTS
from sandbox.kubernetes.simulated import order_fault

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0}


def main(arguments: Sequence[str], directory: Path) -> int:
    """Orders the fault of the cluster in `directory`; 0 when it has begun, 1 when there is no such cluster or fault."""
    listed = "\n".join(f"  {name:15} {words}" for name, words in FAULTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m sandbox fault",
        description=listed,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("fault", choices=tuple(FAULTS))
    parser.add_argument("duration", nargs="?", type=_seconds, help="such as 5s or 2m: how long, or how slow")
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


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 5s or 2m")
    return float(match[1]) * _UNITS[match[2]]
