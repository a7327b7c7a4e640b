"""One running sandbox for each control plane, and what a test may want of it.

It is started as people start it, by `python -m sandbox`, in a folder of its own; it is ended by its process id, and
nothing of it may be left then. `TEST_SANDBOX` names the folder of a sandbox that runs already and is used instead (and
left running): for working on these tests. `TEST_SANDBOX_DATABASE_URL` names a PostgreSQL server, on which the sandbox gets a
database of its own; without it the portal uses SQLite.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sandbox.cluster.api import Api
from sandbox.processes import free_port, tail
from sandbox.supervision import guard
from tests.e2e import database

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 180.0
STOP_SECONDS = 30.0
PATIENCE = 90.0  # for whatever a busy machine does in the background
BUSY = 3.0  # how many times as long as on a quiet machine everything may take
ENDS = {"succeeded", "failed", "errored", "cancelled", "timed_out", "superseded", "abandoned"}
Found = TypeVar("Found")


def until(
    what: str, look: Callable[[], Found | None], seconds: float = PATIENCE, pause: float = 0.1
) -> Found:
    """What `look` finds as soon as it finds something; fails naming `what` after `seconds` of a quiet machine."""
    deadline = time.monotonic() + seconds * BUSY
    while not (found := look()):
        assert time.monotonic() < deadline, f"after {seconds * BUSY:.0f} s still not: {what}"
        time.sleep(pause)
    return found


@dataclass
class Running:
    """A sandbox that answers, with a control plane of `tests.planes.NAMES`. `env`: what its `env` file says."""

    directory: Path
    process: subprocess.Popen[bytes] | None
    plane: str
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Of the portal, without a slash at its end."""
        return self.env["SLIPWAY_URL"]

    @property
    def ports(self) -> dict[str, int]:
        """Of the services: redis, aws, git, slack."""
        found: dict[str, int] = json.loads((self.directory / "ports.json").read_text())
        return found

    @property
    def database_url(self) -> str:
        """The address of the portal's database."""
        return self.env["DATABASE_URL"]

    # --- its database, read only: what the pages do not show ---

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """What a SELECT finds."""
        return database.select(self.database_url, query, *values)

    def deploy(self, number: int) -> dict[str, Any]:
        """One deploy's row."""
        return self.rows("SELECT * FROM deployments_deploy WHERE number = ?", number)[0]

    def step(self, number: int, name: str) -> dict[str, Any]:
        """One step's row."""
        query = "SELECT s.* FROM runs_step s JOIN deployments_deploy d ON d.run_id = s.run_id"
        return self.rows(f"{query} WHERE d.number = ? AND s.name = ?", number, name)[0]

    def log(self, number: int) -> str:
        """A deploy's log: its lines' text."""
        query = "SELECT c.text FROM runs_logchunk c JOIN deployments_deploy d ON d.run_id = c.run_id"
        chunks = self.rows(f"{query} WHERE d.number = ? ORDER BY c.sequence", number)
        return "\n".join(line.split("\t", 3)[3] for chunk in chunks for line in chunk["text"].split("\n"))

    def reaches(self, number: int, step: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """The deploy once that step runs; fails when it ends before."""

        def look() -> dict[str, Any] | None:
            found = self.deploy(number)
            assert found["state"] not in ENDS, f"#{number} ended before {step}: {found['result']}"
            return found if self.step(number, step)["state"] == "running" else None

        return until(f"deploy #{number} in {step}", look, seconds, pause=0.05)

    def ended(self, number: int, seconds: float = PATIENCE) -> dict[str, Any]:
        """The deploy once it has ended."""

        def look() -> dict[str, Any] | None:
            found = self.deploy(number)
            return found if found["state"] in ENDS else None

        try:
            return until(f"the end of deploy #{number}", look, seconds)
        except AssertionError as error:
            found, log = self.deploy(number), self.log(number).splitlines()[-15:]
            where = f"It is {found['state']}, attempt {found['attempt']}. Its log ends with:"
            raise AssertionError("\n".join([str(error), where, *log])) from None

    # --- its programs ---

    def pids(self, *words: str) -> list[int]:
        """The processes of this sandbox whose command line holds these words one after the other."""
        wanted = "\0".join(words)
        found = []
        for pid in guard.marked(self.directory):
            try:
                if wanted in Path(f"/proc/{pid}/cmdline").read_text():
                    found.append(pid)
            except OSError:
                continue
        return found

    @property
    def plane_directory(self) -> Path:
        """Where the control plane keeps what it holds."""
        return self.directory / {"simulated": "simulated", "real": "cluster"}[self.plane]

    def api_server_pid(self) -> int:
        """The process of the API server: the real one is told by its working folder, the simulated one by its arguments."""
        for place in Path("/proc").glob("[0-9]*"):
            try:
                words = (place / "cmdline").read_text().split("\0")
                here = (place / "cwd").readlink() == self.plane_directory and "kube-apiserver" in words[0]
                if here or ("sandbox.kubernetes" in words and str(self.plane_directory) in words):
                    return int(place.name)
            except OSError:
                continue
        raise AssertionError("the API server does not run")

    def redis_pid(self) -> int:
        """Redis writes its title over its environment, so it is asked for its own."""
        from redis import Redis

        with Redis(port=self.ports["redis"]) as client:
            return int(client.info("server")["process_id"])

    def manage(self, *arguments: str, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
        """`manage.py` as in a shell that has read the `env` file."""
        command = [sys.executable, "manage.py", *arguments]
        env = {"PATH": os.environ["PATH"], **self.env}
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=seconds, check=False
        )

    def objects(self, api: str, namespace: str, plural: str) -> list[dict[str, Any]]:
        """What the cluster holds. `api`: such as `api/v1` or `apis/apps/v1`."""
        client = Api.from_kubeconfig(Path(self.env["KUBECONFIG"]), user_agent="tests")
        found: list[dict[str, Any]] = client.get(f"/{api}/namespaces/{namespace}/{plural}")["items"]
        return found

    def tails(self, lines: int = 12) -> str:
        """The ends of all logs, for a failing test."""
        logs = [self.directory / "out.log", *sorted((self.directory / "logs").glob("*.log"))]
        return "\n".join(f"--- {log.name}\n" + "\n".join(tail(log, lines)) for log in logs)


def start(plane: str) -> Running:
    """Starts a sandbox (or takes the one of TEST_SANDBOX) and waits until it is ready."""
    if named := os.environ.get("TEST_SANDBOX"):
        return Running(Path(named), None, plane, read_env(Path(named) / "env"))
    return start_in(Path(tempfile.mkdtemp(prefix="slipway-e2e-")).resolve(), plane)


def start_in(directory: Path, plane: str) -> Running:
    """Starts a sandbox in that folder, which may hold what an earlier one left, and waits until it is ready."""
    directory.mkdir(exist_ok=True)
    env = {**os.environ, "SANDBOX_DIR": str(directory), "PORT": str(free_port())}
    (directory / "tmp").mkdir(exist_ok=True)
    env |= {"LOG_LEVEL": "DEBUG", "TMPDIR": str(directory / "tmp")}  # what is written there is searched
    if plane == "simulated":
        env.pop("KUBEBUILDER_ASSETS", None)
    if server := os.environ.get("TEST_SANDBOX_DATABASE_URL"):
        if not (directory / "keys.json").exists():
            database.drop_database(server, directory.name)
            database.make_database(server, directory.name)
        env["SANDBOX_DATABASE_URL"] = database.address(server, directory.name)
    with open(directory / "out.log", "wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox"],
            cwd=ROOT,
            env=env,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    running = Running(directory, process, plane)

    def ready() -> bool:
        code = process.poll()
        assert code is None, f"the sandbox ended with {code}:\n{running.tails(30)}"
        return (directory / "env").exists()

    try:
        until("the sandbox is ready", ready, START_SECONDS)
    except BaseException:
        process.terminate()
        process.wait(STOP_SECONDS)
        raise
    running.env = read_env(directory / "env")
    return running


def stop(running: Running, *, keep: bool = False) -> None:
    """Ends it and makes sure that nothing is left: no process, nobody on its ports, nor its folder unless told to `keep` it."""
    if running.process is None:
        return
    ports = [*running.ports.values(), int(running.env["PORT"])]
    cluster = json.loads((running.plane_directory / "ports.json").read_text())
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(STOP_SECONDS) == 0, running.tails()
    assert guard.marked(running.directory) == []
    assert [port for port in [*ports, *cluster.values()] if answers(port)] == []
    assert not (running.directory / "env").exists()
    if not keep:
        shutil.rmtree(running.directory, ignore_errors=True)
        if server := os.environ.get("TEST_SANDBOX_DATABASE_URL"):
            database.drop_database(server, running.directory.name)


def start_again(running: Running) -> None:
    """Starts one that was stopped and kept, and waits until it is ready."""
    again = start_in(running.directory, running.plane)
    running.process, running.env = again.process, again.env


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def read_env(path: Path) -> dict[str, str]:
    """The variables of a file written for a shell."""
    pairs = (line.partition("=") for line in path.read_text().splitlines())
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


_users = 0
_running: Running | None = None


@contextmanager
def shared(plane: str) -> Iterator[Running]:
    """The one sandbox of this test run with that control plane: the first who asks starts it, the last who leaves ends it.

    Who asks for another control plane ends it, too: its tests are over then (see the order in `tests/e2e/conftest.py`).
    """
    global _users, _running
    if _running is not None and _running.plane != plane:
        end()
    if _running is None:
        _running = start(plane)
    mine = _running
    _users += 1
    try:
        yield mine
    finally:
        if _running is mine:
            _users -= 1
            if _users == 0:
                end()


def end() -> None:
    """Ends the running one."""
    global _users, _running
    running, _running, _users = _running, None, 0
    if running is not None:
        stop(running)


def current() -> Running | None:
    """The running one, if any."""
    return _running
