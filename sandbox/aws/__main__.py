"""`python -m sandbox.aws --directory D --port P`: serves the sandbox's AWS until it is told to stop."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from sandbox.aws.server import make_aws_server
from sandbox.aws.tokens import LIFETIME


def main() -> None:
    """Parses the arguments and serves."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.aws", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="where everything is kept")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--token-lifetime", type=float, default=LIFETIME, help="seconds a registry token is good for"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    make_aws_server(options.directory, options.port, token_lifetime=options.token_lifetime).serve_forever()


if __name__ == "__main__":
    main()
