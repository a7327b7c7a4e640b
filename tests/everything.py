"""`python -m tests.everything` (`make test`): the whole suite, on SQLite and the app tests on PostgreSQL as well.

Two halves run side by side, as most machines have two cores: what needs a cluster or a browser, and the rest. A few tests
that fail there are run once more when the machine is quiet; those that pass then are named as shaky. PostgreSQL is
started here in a temporary folder (as another user when we are root: initdb refuses root). What a machine lacks is skipped
with the reason, in pytest's summary or below. With arguments it is plain pytest.
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
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APP_TESTS = "not browser and not control_plane and not slow"
# What depends on the database; the rest gives the same answer on both.
APP_FOLDERS = (
    "access", "audit", "clusters", "core", "deployments", "history", "notify", "people", "portal", "projects", "runs",
)  # fmt: skip
MOST_SHAKY = 8
WHOLE_FOLDERS = ("chaos", "e2e", "engine_cluster", "kubernetes", "sandbox")


def main() -> int:
    """Runs everything; 0 only when every part passed."""
    install_axe()
    if sys.argv[1:]:
        return pytest(sys.argv[1:])
    whole = [name for name in WHOLE_FOLDERS if (ROOT / "tests" / name).is_dir()]
    rest = sorted({path.parent.name for path in ROOT.glob("tests/*/test_*.py")} - set(whole))
    with tempfile.TemporaryDirectory(prefix="slipway-run-") as folder:
        notes = {name: Path(folder) / name for name in ("rest", "postgres", "whole")}
        with open(Path(folder) / "output", "w+") as output:
            other = subprocess.Popen(
                pytest_command(folders(whole)),
                cwd=ROOT,
                stdout=output,
                stderr=output,
                env=noting(notes["whole"]),
            )
            codes = {
                "rest": pytest(folders(rest), **noting(notes["rest"])),
                "postgres": on_postgres(notes["postgres"]),
                "whole": other.wait(),
            }
            output.seek(0)
            say(f"what ran beside: {', '.join(whole)}")
            sys.stdout.write(output.read())
        for name in ("rest", "whole"):
            if codes[name]:
                codes[name] = once_more(notes[name], codes[name])
    say("passed" if not any(codes.values()) else "failed")
    return max(codes.values())


def noting(place: Path) -> dict[str, str]:
    """The environment of a run that notes what failed."""
    return {**os.environ, "FAILED_TESTS": str(place), "PYTHONUNBUFFERED": "1"}


def once_more(place: Path, code: int) -> int:
    """Runs the few tests that failed again, with nothing beside them; the new status, or the old one if they are many."""
    failed = list(dict.fromkeys(place.read_text().splitlines())) if place.exists() else []
    if not failed or len(failed) > MOST_SHAKY:
        return code
    say(f"failed, once more alone: {', '.join(failed)}")
    again = pytest(failed)
    if again == 0:
        say(f"shaky: {', '.join(failed)}")
    return again


def folders(names: list[str] | tuple[str, ...]) -> list[str]:
    """Test folders as pytest takes them; those that are there."""
    return [f"tests/{name}" for name in names if (ROOT / "tests" / name).is_dir()]


def on_postgres(note: Path) -> int:
    """The app tests on PostgreSQL; 0 with a word where there is none."""
    programs = postgres_programs()
    if programs is None:
        say(
            "skipped: the app tests on PostgreSQL, because no PostgreSQL server is installed (Debian: postgresql)"
        )
        return 0
    with postgres(programs) as url:
        say("the app tests again, on PostgreSQL")
        arguments = [*folders(APP_FOLDERS), "-m", APP_TESTS]
        code = pytest(arguments, TEST_DATABASE_URL=url, **noting(note))
        failed = list(dict.fromkeys(note.read_text().splitlines())) if note.exists() else []
        if code and 0 < len(failed) <= MOST_SHAKY:
            say(f"failed on PostgreSQL, once more alone: {', '.join(failed)}")
            return pytest(failed, TEST_DATABASE_URL=url)
        return code


def say(text: str) -> None:
    """One line between the runs."""
    sys.stdout.write(f"== {text}\n")
    sys.stdout.flush()


def pytest_command(arguments: list[str]) -> list[str]:
    """pytest of this environment."""
    return [sys.executable, "-m", "pytest", *arguments]


def pytest(arguments: list[str], **environment: str) -> int:
    """One run of pytest; its exit status."""
    return subprocess.run(
        pytest_command(arguments), cwd=ROOT, env={**os.environ, **environment}, check=False
    ).returncode


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
