"""`python -m sandbox.kubernetes --directory D --port P`: the simulated control plane until it is ended."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> None:
    """Serves; ends with a message when the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.kubernetes", description=__doc__)
    parser.add_argument(
        "--directory", type=Path, required=True, help="keeps state, credentials and the kubeconfig"
    )
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1")
    options = parser.parse_args()
    from sandbox.kubernetes.program import run

    try:
        import uvloop

        uvloop.run(run(options.directory.resolve(), options.port))
    except OSError as error:
        sys.exit(f"The simulated control plane cannot serve: {error}")


if __name__ == "__main__":
    main()
