"""`python -m tests.everything` (`make test`): the whole suite, on SQLite and the app tests on PostgreSQL as well, on both
control planes.

Parts run in seven parallel lanes, because tests of the running product and of clusters mostly wait; the output of a part
appears when it has ended. When only a few tests fail, they run once more without other load; those that pass then are
listed as shaky. PostgreSQL runs in a temporary folder (as another user when we are root, because initdb refuses root).
Tests that need a missing program are skipped with the reason, in pytest's summary or below. `--quick` (`make quick`) runs
the tests that need neither cluster nor browser nor PostgreSQL, in three lanes. `--postgres tests/chaos` runs tests of the sandbox
on PostgreSQL. Other arguments go to plain pytest.
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APP_TESTS = "not browser and not control_plane and not slow"
# The tests that depend on the database. The others have the same result on both.
APP_FOLDERS = (
    "access", "audit", "builds", "clusters", "core", "deployments", "history", "notify", "people", "portal", "projects",
    "registry", "runs", "secrets_ui", "status",
)  # fmt: skip
# Of the app tests, what runs after the short lanes: on PostgreSQL, and beside SQLite.
LATER_ON_POSTGRESQL, LATER = ("secrets_ui",), ("audit", "history", "projects")
PRODUCT = ("e2e", "chaos")  # they share one running sandbox for each control plane
ENGINE, SANDBOX, KUBERNETES, KUBELET = ("engine_cluster",), ("sandbox",), ("kubernetes",), ("kubelet",)
DOCKER = ("builds_docker",)  # with a real Docker engine, where one can be started
LIBRARIES = ("adapters", "engine", "registry", "ui")
APPS_DATABASE, SANDBOX_DATABASE = "TEST_DATABASE_URL", "TEST_SANDBOX_DATABASE_URL"
MOST_SHAKY = 8
QUICK_TESTS = APP_TESTS
QUICK_LANES = (
    ("deployments", "people", "secrets_ui"),
    ("adapters", "engine", "runs", "core"),
)  # and the rest
_printing = threading.Lock()


@dataclass(frozen=True)
class Part:
    """One run of pytest. `folders`: below `tests/`; `marks`: pytest's `-m`; `postgres`: the variable that gets the address of a
    PostgreSQL server. `patient`: runs with lower priority, for tests that need much processor time, so that tests with time
    limits are not delayed."""

    name: str
    folders: tuple[str, ...]
    marks: str = ""
    postgres: str = ""
    patient: bool = False

    @property
    def arguments(self) -> list[str]:
        """The arguments for pytest, with the folders that exist."""
        found = [f"tests/{name}" for name in self.folders if (ROOT / "tests" / name).is_dir()]
        return [*found, *(["-m", self.marks] if self.marks else [])]


def lanes() -> list[list[Part]]:
    """The lanes. The parts of a lane run one after the other; all lanes take about the same time."""
    known = {path.parent.name for path in ROOT.glob("tests/*/test_*.py")}
    elsewhere = {*PRODUCT, *ENGINE, *SANDBOX, *KUBERNETES, *KUBELET, *DOCKER, *LIBRARIES, *LATER}
    first = tuple(name for name in APP_FOLDERS if name not in LATER_ON_POSTGRESQL)
    return [
        [Part("everything else", tuple(sorted(known - elsewhere)), patient=True)],
        [on_postgresql("app tests on PostgreSQL", first)],
        [product_on_postgresql()],
        [Part("the product on the simulated one", PRODUCT, "not control_plane")],
        [
            Part("sandbox", SANDBOX),
            Part("Kubernetes on both control planes", KUBERNETES),
            on_postgresql("secrets on PostgreSQL", LATER_ON_POSTGRESQL),
        ],
        [
            Part("rollouts on a real node", KUBELET),
            Part("builds with a real Docker engine", DOCKER),
            Part("engine on the simulated one", ENGINE, "not control_plane"),
        ],
        [
            Part("engine on the real control plane", ENGINE, "control_plane"),
            Part("adapters, pages and pull credentials", LIBRARIES),
            Part("projects, history and audit", LATER, patient=True),
        ],
    ]


def on_postgresql(name: str, folders: tuple[str, ...]) -> Part:
    """App tests on PostgreSQL, without those that have the same result on any database."""
    return Part(name, folders, f"{APP_TESTS} and not any_database", APPS_DATABASE, patient=True)


def product_on_postgresql() -> Part:
    """The sandbox that has the real control plane has PostgreSQL, the other one SQLite: both databases, at the price of one.
    Without a control plane, chaos runs a second time on the simulated one. Tests of chaos for which the database makes no
    difference are left out here, in favour of those that only PostgreSQL has."""
    if os.environ.get("KUBEBUILDER_ASSETS"):
        name = "the product on the real control plane and PostgreSQL"
        return Part(name, PRODUCT, "control_plane and not any_database", SANDBOX_DATABASE)
    return Part("chaos on PostgreSQL", ("chaos",), "not control_plane and not any_database", SANDBOX_DATABASE)


def quick_lanes() -> list[list[Part]]:
    """The three lanes of `make quick`, of about the same length. They run in parallel, because many tests wait."""
    known = {path.parent.name for path in ROOT.glob("tests/*/test_*.py")}
    named = {folder for lane in QUICK_LANES for folder in lane}
    rest = tuple(sorted(known - {*PRODUCT, *ENGINE, *SANDBOX, *KUBERNETES, *KUBELET, *DOCKER, *named}))
    return [[Part(f"quick, {lane[0]} and more", lane, QUICK_TESTS)] for lane in (*QUICK_LANES, rest)]


def main() -> int:
    """Runs everything, or the tests of the arguments. Returns the exit code: 0 only when every part passed."""
    if sys.argv[1:] == ["--quick"]:
        say(
            "left out: clusters, browsers, PostgreSQL, the sandbox, and what is marked slow (make test runs them)"
        )
        return run_lanes(quick_lanes())
    install_from_npm()
    if sys.argv[1:2] == ["--postgres"]:
        return pytest(Part("on PostgreSQL", (), postgres=SANDBOX_DATABASE), sys.argv[2:]).code
    if sys.argv[1:]:
        return subprocess.run(pytest_command(sys.argv[1:]), cwd=ROOT, check=False).returncode
    return run_lanes(lanes())


def run_lanes(side_by_side: list[list[Part]]) -> int:
    """Runs lanes in parallel. Returns the exit code: 0 only when every part passed."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="slipway-run-") as folder, ThreadPoolExecutor() as pool:
        running = [pool.submit(run_lane, lane, Path(folder) / str(n)) for n, lane in enumerate(side_by_side)]
        failed = [found for lane in running for found in lane.result() if found is not None]
    bad = [part.name for part, tests in failed if not once_more(part, tests)]
    say(f"{'failed: ' + ', '.join(bad) if bad else 'passed'} after {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


Failure = tuple[Part, list[str]]  # with the failed tests, as far as they are known


def run_lane(parts: list[Part], folder: Path) -> list[Failure | None]:
    """Runs the parts one after the other."""
    folder.mkdir()
    return [run_part(part, folder) for part in parts]


def run_part(part: Part, folder: Path) -> Failure | None:
    """Runs one part and shows its output; None when it passed."""
    if part.postgres and postgres_programs() is None:
        if part.postgres == APPS_DATABASE:
            say(f"skipped: {part.name}, because no PostgreSQL server is installed (Debian: postgresql)")
            return None
        say(f"on SQLite instead: {part.name}, because no PostgreSQL server is installed")
    say(f"begins: {part.name}")
    note, output = folder / "failed", folder / "output"
    note.unlink(missing_ok=True)
    began = time.monotonic()
    with open(output, "wb") as out:
        ended = pytest(part, part.arguments, out.fileno(), note)
    word = "passed" if ended.code == 0 else "failed"
    took = f"{time.monotonic() - began:.0f} s, {ended.processor:.0f} s of processor time"
    show(f"{word}: {part.name}, {took}", output)
    if ended.code == 0:
        return None
    return part, list(dict.fromkeys(note.read_text().splitlines())) if note.exists() else []


def once_more(part: Part, failed: list[str]) -> bool:
    """Runs the few failed tests again, without other load. Returns whether they pass."""
    if not failed or len(failed) > MOST_SHAKY:
        return False
    listed = ", ".join(failed)
    say(f"failed in {part.name}, once more alone: {listed}")
    if pytest(part, failed).code:
        return False
    say(f"shaky: {listed}")
    return True


@dataclass(frozen=True)
class Ended:
    """A program that ended: its exit code, and the seconds of processor time of it and of what it started and waited for."""

    code: int
    processor: float


def pytest(part: Part, arguments: list[str], output: int | None = None, note: Path | None = None) -> Ended:
    """Runs pytest, on PostgreSQL if the part says so. `note`: the file for names of failed tests."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **({"FAILED_TESTS": str(note)} if note else {})}
    command = [*(["nice", "-n", "5"] if part.patient else []), *pytest_command(arguments)]

    def run(**more: str) -> Ended:
        env = {**environment, **more}
        child = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=output)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        return Ended(child.returncode, usage.ru_utime + usage.ru_stime)

    programs = postgres_programs() if part.postgres else None
    if programs is None:
        return run()
    with postgres(programs) as url:
        return run(**{part.postgres: url})


def pytest_command(arguments: list[str]) -> list[str]:
    """The command line of this environment's pytest."""
    return [sys.executable, "-m", "pytest", *arguments]


def show(text: str, output: Path) -> None:
    """Prints a part's name and output."""
    with _printing:
        sys.stdout.write(f"== {text}\n{output.read_text(errors='replace')}")
        sys.stdout.flush()


def say(text: str) -> None:
    """Prints one line between the runs."""
    with _printing:
        sys.stdout.write(f"== {text}\n")
        sys.stdout.flush()


NPM = ("axe-core", "@octokit/webhooks-examples")


def install_from_npm() -> None:
    """Installs axe-core and GitHub's example deliveries from npm, pinned by package.json. Without npm the tests that need them
    are skipped."""
    if shutil.which("npm") and not all((ROOT / "node_modules" / name).is_dir() for name in NPM):
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=ROOT, check=False)


def postgres_programs() -> Path | None:
    """The folder of initdb and postgres, which Debian does not put on PATH; None without them."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb")) or [
        p for p in [shutil.which("initdb")] if p
    ]
    return Path(found[-1]).parent if found else None


@contextmanager
def postgres(programs: Path) -> Iterator[str]:
    """Runs a PostgreSQL server during the block. Yields its URL."""
    with tempfile.TemporaryDirectory(prefix="slipway-postgres-", ignore_cleanup_errors=True) as folder:
        user = unprivileged()
        if user:
            shutil.chown(folder, user)
        data, port = Path(folder) / "data", free_port()
        run = [
            str(programs / "initdb"),
            "-D",
            str(data),
            "-U",
            "slipway",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        subprocess.run(run, check=True, user=user, stdout=subprocess.DEVNULL, cwd=folder)
        options = ["-c", "fsync=off", "-c", "full_page_writes=off", "-c", f"unix_socket_directories={folder}"]
        command = [str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port), *options]
        with open(Path(folder) / "log", "wb") as log:
            server = subprocess.Popen(command, user=user, stdout=log, stderr=log, cwd=folder)
        try:
            wait_for(port)
            yield f"postgres://slipway@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            server.wait(20)


def unprivileged() -> str | None:
    """The user to run PostgreSQL as; None when we are not root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def free_port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Waits until a server listens on the port. Raises TimeoutError after 30 s."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("PostgreSQL did not start")


if __name__ == "__main__":
    sys.exit(main())
