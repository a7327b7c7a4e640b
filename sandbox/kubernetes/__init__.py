"""A simulated Kubernetes control plane: an API server and its controllers in one small program, without nodes.

It answers as the real one does wherever the portal, the official client or `kubectl` can tell, and serves the same
played nodes (`sandbox/node/`). What it leaves out is listed in `docs/sandbox.md`. From the wire inwards:

    server, app, routes       HTTP over TLS, one request, what the path means
    access, faults            who may do what; troubles ordered for demonstrations
    operations                create, update, apply, delete: the rules that hold for all kinds
    fields, apply, patches    field managers and merging, by the types of `schema`
    defaults, validation      what the server fills in and what it refuses, kind by kind
    store, journal, watching  objects with their versions, the file that keeps them, who is told of changes
    controllers/              deployments, jobs, scheduling, garbage: what makes a cluster move

Everything runs on one event loop and no step of it waits while it holds something half done, so there are no locks.
Objects are plain dicts that are never changed once stored; a change stores a new one.
"""

from __future__ import annotations

import sys
from pathlib import Path

READY_LINE = "the simulated control plane is ready"
VERSION = "v1.37.2"  # whose behaviour is simulated


def command(directory: Path, port: int) -> list[str]:
    """The arguments that start the program as a child. It prints `READY_LINE` once it answers."""
    return [
        sys.executable,
        "-m",
        "sandbox.kubernetes",
        "--directory",
        str(directory),
        "--port",
        str(port),
    ]
