"""`python -m tests.everything` (`make test`): the whole suite, on SQLite and the app tests on PostgreSQL as well, on both
control planes.

Parts run in five lanes side by side, as those of a running product and of clusters wait most of their time; the output of
each is shown when it has ended. A few tests that fail are run once more when the machine is quiet; those that pass then are named
as shaky. PostgreSQL is started here in a temporary folder (as another user when we are root: initdb refuses root). What
a machine lacks is skipped with the reason, in pytest's summary or below. `--quick` (`make quick`) runs what needs neither
cluster nor browser nor PostgreSQL, in two lanes. With other arguments it is plain pytest.
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
# What depends on the database; the rest gives the same answer on both.
APP_FOLDERS = (
    "access", "audit", "clusters", "core", "deployments", "history", "notify", "people", "portal", "projects", "runs",
    "secrets_ui",
)  # fmt: skip
PRODUCT = ("e2e", "chaos")  # on one running sandbox for each control plane
ENGINE, SANDBOX, KUBERNETES = ("engine_cluster",), ("sandbox",), ("kubernetes",)
MOST_SHAKY = 8
QUICK_TESTS = APP_TESTS
QUICK_FIRST = ("deployments", "access", "people", "adapters")
_printing = threading.Lock()


@dataclass(frozen=True)
class Part:
    """One run of pytest. `folders` below `tests/`; `marks`: pytest's `-m`; `patient`: what computes all the time, and leaves
    the processor to those who wait for each other."""

    name: str
    folders: tuple[str, ...]
    marks: str = ""
    postgres: bool = False
    patient: bool = False

    @property
    def arguments(self) -> list[str]:
        """As pytest takes them; folders that are there."""
        found = [f"tests/{name}" for name in self.folders if (ROOT / "tests" / name).is_dir()]
        return [*found, *(["-m", self.marks] if self.marks else [])]


def lanes() -> list[list[Part]]:
    """Parts that run one after the other, in each lane; about as long as each other."""
    known = {path.parent.name for path in ROOT.glob("tests/*/test_*.py")}
    rest = tuple(sorted(known - {*PRODUCT, *ENGINE, *SANDBOX, *KUBERNETES}))
    return [
        [Part("everything else", rest, patient=True)],
        [
            Part("app tests on PostgreSQL", APP_FOLDERS, APP_TESTS, postgres=True, patient=True),
            Part("engine", ENGINE),
        ],
        [Part("the product on the real control plane", PRODUCT, "control_plane")],
        [Part("the product on the simulated one", PRODUCT, "not control_plane")],
        [Part("sandbox", SANDBOX), Part("Kubernetes on both control planes", KUBERNETES)],
    ]


def quick_lanes() -> list[list[Part]]:
    """What a person runs again and again: two lanes of about the same length."""
    known = {path.parent.name for path in ROOT.glob("tests/*/test_*.py")}
    rest = tuple(sorted(known - {*PRODUCT, *ENGINE, *SANDBOX, *KUBERNETES, *QUICK_FIRST}))
    return [[Part("first half", QUICK_FIRST, QUICK_TESTS)], [Part("second half", rest, QUICK_TESTS)]]


def main() -> int:
    """Runs everything, or what the arguments say; 0 only when every part passed."""
    if sys.argv[1:] == ["--quick"]:
        say(
            "left out: clusters, browsers, PostgreSQL, the sandbox, and what is marked slow (make test runs them)"
        )
        return run_lanes(quick_lanes())
    install_axe()
    if sys.argv[1:]:
        return subprocess.run(pytest_command(sys.argv[1:]), cwd=ROOT, check=False).returncode
    return run_lanes(lanes())


def run_lanes(side_by_side: list[list[Part]]) -> int:
    """Runs lanes at the same time; 0 only when every part passed."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="slipway-run-") as folder, ThreadPoolExecutor() as pool:
        running = [pool.submit(run_lane, lane, Path(folder) / str(n)) for n, lane in enumerate(side_by_side)]
        failed = [found for lane in running for found in lane.result() if found is not None]
    bad = [part.name for part, tests in failed if not once_more(part, tests)]
    say(f"{'failed: ' + ', '.join(bad) if bad else 'passed'} after {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


Failure = tuple[Part, list[str]]  # with the tests that failed, as far as they are known


def run_lane(parts: list[Part], folder: Path) -> list[Failure | None]:
    """Runs the parts one after the other."""
    folder.mkdir()
    return [run_part(part, folder) for part in parts]


def run_part(part: Part, folder: Path) -> Failure | None:
    """Runs one part and shows its output; None when it passed."""
    if part.postgres and postgres_programs() is None:
        say(f"skipped: {part.name}, because no PostgreSQL server is installed (Debian: postgresql)")
        return None
    say(f"begins: {part.name}")
    note, output = folder / "failed", folder / "output"
    note.unlink(missing_ok=True)
    began = time.monotonic()
    with open(output, "wb") as out:
        code = pytest(part, part.arguments, out.fileno(), note)
    word = "passed" if code == 0 else "failed"
    show(f"{word}: {part.name}, {time.monotonic() - began:.0f} s", output)
    if code == 0:
        return None
    return part, list(dict.fromkeys(note.read_text().splitlines())) if note.exists() else []


def once_more(part: Part, failed: list[str]) -> bool:
    """Runs the few tests that failed again, with nothing beside them; whether they pass."""
    if not failed or len(failed) > MOST_SHAKY:
        return False
    listed = ", ".join(failed)
    say(f"failed in {part.name}, once more alone: {listed}")
    if pytest(part, failed):
        return False
    say(f"shaky: {listed}")
    return True


def pytest(part: Part, arguments: list[str], output: int | None = None, note: Path | None = None) -> int:
    """One run of pytest, on PostgreSQL where the part says so; its exit status. `note`: where failed tests are noted."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **({"FAILED_TESTS": str(note)} if note else {})}
    command = [*(["nice", "-n", "5"] if part.patient else []), *pytest_command(arguments)]

    def run(**more: str) -> int:
        env = {**environment, **more}
        return subprocess.run(
            command, cwd=ROOT, env=env, stdout=output, stderr=output, check=False
        ).returncode

    programs = postgres_programs() if part.postgres else None
    if programs is None:
        return run()
    with postgres(programs) as url:
        return run(TEST_DATABASE_URL=url)


def pytest_command(arguments: list[str]) -> list[str]:
    """pytest of this environment."""
    return [sys.executable, "-m", "pytest", *arguments]


def show(text: str, output: Path) -> None:
    """A part's output below its name."""
    with _printing:
        sys.stdout.write(f"== {text}\n{output.read_text(errors='replace')}")
        sys.stdout.flush()


def say(text: str) -> None:
    """One line between the runs."""
    with _printing:
        sys.stdout.write(f"== {text}\n")
        sys.stdout.flush()


def install_axe() -> None:
    """axe-core comes from npm, pinned by package.json; without npm the accessibility tests are skipped."""
    if shutil.which("npm") and not (ROOT / "node_modules" / "axe-core").is_dir():
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=ROOT, check=False)


def postgres_programs() -> Path | None:
    """The folder of initdb and postgres: Debian keeps them out of PATH."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb")) or [
        p for p in [shutil.which("initdb")] if p
    ]
    return Path(found[-1]).parent if found else None


@contextmanager
def postgres(programs: Path) -> Iterator[str]:
    """A PostgreSQL server for the duration of the block; its URL."""
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
    """A user to run PostgreSQL as: none when we are not root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def free_port() -> int:
    """A port nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Until somebody listens there; raises TimeoutError after 30 s."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("PostgreSQL did not start")


if __name__ == "__main__":
    sys.exit(main())
