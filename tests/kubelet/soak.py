"""`python -m tests.kubelet.soak --seed 7 --deploys 40` (`make soak`): many deploys on the real node, one over what the other
left, each verdict held against what is true on the cluster. SLIPWAY_NODE names the node's commands."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def main() -> int:
    """Runs the soak of the arguments; pytest's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deploys", type=int, default=40)
    given = parser.parse_args()
    env = {**os.environ, "SOAK_SEED": str(given.seed), "SOAK_DEPLOYS": str(given.deploys)}
    command = [sys.executable, "-m", "pytest", "-q", "-s", "tests/kubelet/test_soak.py"]
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
