"""`python -m sandbox`: the whole portal with everything around it on this machine, until Ctrl-C.

Environment variables: SANDBOX_DIR (the folder of all state; `.sandbox`), PORT (the portal's; 8000), SANDBOX_KUBECONFIG (an
existing cluster) or KUBEBUILDER_ASSETS (the programs of a real control plane); without either the cluster is simulated;
SANDBOX_DATABASE_URL (an empty PostgreSQL database, which `--fresh` does not empty; else SQLite in the folder);
SANDBOX_DOCKER_HOST (a Docker engine that builds the samples' images). Other variables are ignored on purpose.

`python -m sandbox fault NAME [DURATION]` injects a fault into the running simulated cluster (`fault --help`),
`python -m sandbox aws ORDER [SECONDS]` one into the running AWS end (`aws --help`). `python -m sandbox push PROJECT "subject"`
makes a commit and tells the portal of it as GitHub would. `python -m sandbox kill PROGRAM` kills one of the portal's programs
as a lost machine would (`kill --help`).
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import SlipwayError
from sandbox import docker_engine, layout
from sandbox.cluster.control_plane import assets
from sandbox.supervision import guard


def main() -> int:
    """Runs the command. Returns the exit code: 0 after a stop by signal, 1 after an error."""
    if sys.argv[1:2] == ["fault"]:
        from sandbox.kubernetes import faults

        return faults.main(sys.argv[2:], layout.sandbox_directory() / "simulated")
    if sys.argv[1:2] == ["aws"]:
        return _order_of_aws(sys.argv[2:])
    if sys.argv[1:2] == ["push"]:
        return _push(sys.argv[2:])
    if sys.argv[1:2] == ["kill"]:
        from sandbox.supervision import losing

        return losing.main(sys.argv[2:], layout.sandbox_directory())
    options = _parser().parse_args()
    try:
        directory = layout.sandbox_directory()
        with _alone(directory):
            if options.fresh or options.reset:
                _clear(directory)
            if not options.reset:
                _run(directory, services_only=options.services_only)
    except SlipwayError as error:
        print(f"\n{error.message}" + (f"\n{error.hint}" if error.hint else ""), file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before the supervisor took over the signals: nothing was started yet
        return 1
    return 0


def _push(arguments: list[str]) -> int:
    from sandbox import pushing

    directory = layout.sandbox_directory()
    try:
        return pushing.main(arguments, layout.running(directory))
    except OSError:
        print(f"No sandbox was started in {directory}.", file=sys.stderr)
    except SlipwayError as error:
        print(f"{error.message} {error.hint}".strip(), file=sys.stderr)
    return 1


def _order_of_aws(arguments: list[str]) -> int:
    from sandbox.aws import orders

    directory = layout.sandbox_directory()
    try:
        place = layout.running(directory)
    except OSError:
        print(f"No sandbox was started in {directory}.", file=sys.stderr)
        return 1
    return orders.main(arguments, directory / "aws", place.aws_url)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--fresh", action="store_true", help="forget everything of the last time first")
    what.add_argument("--reset", action="store_true", help="only forget everything, start nothing")
    parser.add_argument(
        "--services-only", action="store_true", help="Redis, AWS, Git, Slack and GitHub, nothing else"
    )
    return parser


def _run(directory: Path, *, services_only: bool) -> None:
    """Checks everything that can be checked before a start, then supervises."""
    existing = os.environ.get("SANDBOX_KUBECONFIG", "")
    cluster = Path(existing).resolve() if existing else None
    simulated = cluster is None and not os.environ.get("KUBEBUILDER_ASSETS")
    if not services_only and cluster is None and not simulated:
        _check_assets()
    port = layout.portal_port()
    place = layout.load(directory, port, docker_engine.named())
    from sandbox.supervision.supervisor import (  # imported late, so that a refusal comes quickly
        Supervisor,
        check_cluster,
    )

    if not services_only:
        layout.check_ports(place)
        if cluster is not None:
            check_cluster(cluster)
    Supervisor(place, cluster, services_only, simulated).run()


def _check_assets() -> None:
    try:
        assets()
    except SlipwayError as error:
        raise SlipwayError(
            f"KUBEBUILDER_ASSETS does not name a control plane. {error.message} Nothing was started.",
            hint=(
                "Either get one:\n"
                "    go install sigs.k8s.io/controller-runtime/tools/setup-envtest@latest\n"
                "    export KUBEBUILDER_ASSETS=$(setup-envtest use -p path)\n"
                "or unset the variable: the sandbox then simulates its cluster."
            ),
        ) from error


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Holds the folder's lock, and ends processes that a killed run left. Raises SlipwayError when another sandbox runs."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(directory / "lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise SlipwayError(
                f"A sandbox runs in {directory} already (process {lock.read().strip()}).",
                hint="Use that one, stop it first, or start a second one elsewhere: SANDBOX_DIR=… PORT=… make sandbox",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        guard.end_marked(directory)
        yield


def _clear(directory: Path) -> None:
    """Empties the folder, except for its lock. Raises SlipwayError when it does not look like a sandbox's folder."""
    names = {path.name for path in directory.iterdir()}
    if names - {"lock"} and not names & {"keys.json", "ports.json"}:
        raise SlipwayError(f"{directory} does not look like a sandbox's folder. Nothing was deleted.")
    for path in directory.iterdir():
        if path.name == "lock":
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


if __name__ == "__main__":
    sys.exit(main())
