"""`python -m sandbox` as a program: it starts, refuses in words, restarts what ends, and leaves nothing running.

Run with the services only: cluster and portal would add nothing to what is shown here but time.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import pytest

from sandbox.environment import MARK, mark
from sandbox.layout import ROOT
from sandbox.processes import free_port, port_is_free
from sandbox.supervision import guard
from sandbox.supervision.programs import http_answers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux", reason="children are tied to their parent by Linux' prctl and /proc"
    ),
]

COMMAND = [sys.executable, "-m", "sandbox"]


def until(what: Callable[[], object], seconds: float = 90.0) -> None:
    """Waits until `what()` is true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@dataclass
class Sandbox:
    """A sandbox's folder and the means to start it."""

    directory: Path

    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, **more: str) -> subprocess.Popen[str]:
        """Starts the services and waits until they are ready."""
        with open(self.directory.with_suffix(".out"), "w") as out:
            process = subprocess.Popen(
                [*COMMAND, "--services-only"],
                cwd=ROOT,
                env=self.env(**more),
                stdout=out,
                stderr=out,
                text=True,
            )
        self.processes.append(process)
        until(lambda: process.poll() is not None or (self.directory / "env").exists())
        assert process.poll() is None, self.directory.with_suffix(".out").read_text()
        return process

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Runs the command to its end."""
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=ROOT,
            env=self.env(**more),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,  # a sandbox that starts where it should refuse goes on for ever
        )

    def env(self, **more: str) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "SANDBOX_DIR": str(self.directory), **more}

    def variables(self) -> dict[str, str]:
        """What `.sandbox/env` holds, read as a shell reads it."""
        lines = (self.directory / "env").read_text().splitlines()
        return {line.partition("=")[0]: "".join(shlex.split(line.partition("=")[2])) for line in lines}

    def ports(self) -> dict[str, int]:
        return json.loads((self.directory / "ports.json").read_text())

    def left(self) -> list[int]:
        return guard.marked(self.directory)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    made = Sandbox(tmp_path / "sandbox")
    yield made
    for process in made.processes:
        process.kill()
        process.wait()
    guard.end_marked(made.directory)


def stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> int:
    process.send_signal(number)
    return process.wait(20)


def secret_versions(variables: dict[str, str]) -> dict[str, list[str]]:
    client = boto3.client(
        "secretsmanager",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=variables["AWS_DEFAULT_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )
    return client.describe_secret(SecretId="slipway/storefront/production")["VersionIdsToStages"]


def test_a_restart_finds_everything_as_it_was_and_stops_without_a_trace(sandbox: Sandbox) -> None:
    process = sandbox.start(
        AWS_ENDPOINT_URL="https://production.invalid",
        KUBECONFIG="/production/kubeconfig",
        DATABASE_URL="postgres://production.invalid/x",
        SLACK_BOT_TOKEN="xoxb-production",
    )
    before, ports = sandbox.variables(), sandbox.ports()
    assert (sandbox.directory / "env").stat().st_mode & 0o777 == 0o600
    assert not [name for name, value in before.items() if "production" in value]
    assert "KUBECONFIG" not in before  # there is no cluster in this run
    inherited = [Path(f"/proc/{pid}/environ").read_bytes() for pid in sandbox.left()]
    assert len(inherited) >= 3  # AWS, Git, Slack; Redis writes its title over its environment
    assert not [environ for environ in inherited if b"production" in environ]
    versions = secret_versions(before)
    world = (sandbox.directory / "world.json").read_text()

    assert stop(process) == 0
    assert sandbox.left() == []
    assert all(port_is_free(port) for port in ports.values())
    assert not (sandbox.directory / "env").exists()

    process = sandbox.start()
    assert sandbox.variables() == before
    assert secret_versions(sandbox.variables()) == versions
    assert (sandbox.directory / "world.json").read_text() == world
    assert stop(process, signal.SIGINT) == 0
    assert sandbox.left() == []


def test_a_second_one_is_refused_and_what_ends_is_started_again(sandbox: Sandbox) -> None:
    process = sandbox.start()
    second = sandbox.run("--services-only")
    assert second.returncode == 1
    assert f"already (process {process.pid})" in second.stderr
    slack = sandbox.ports()["slack"]
    (pid,) = [p for p in sandbox.left() if b"sandbox.slack.end" in Path(f"/proc/{p}/cmdline").read_bytes()]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists())
    until(lambda: http_answers(slack, "/", 200))
    assert stop(process) == 0


def test_a_killed_supervisor_leaves_nothing_not_even_grandchildren(sandbox: Sandbox) -> None:
    process = sandbox.start()
    # What a worker's forked job is to us: not our child, but it has inherited the mark.
    stray = subprocess.Popen(
        ["sleep", "300"], env={**sandbox.env(), MARK: mark(sandbox.directory, process.pid)}
    )
    assert stray.pid in sandbox.left()
    process.kill()
    process.wait()
    assert stray.wait(60) == -signal.SIGKILL
    until(lambda: not sandbox.left())
    # The threads of a dead process may hold its port for a moment.
    until(lambda: all(port_is_free(port) for port in sandbox.ports().values()))
    assert stop(sandbox.start()) == 0  # the lock of the killed one does not stand in the way


def test_a_killed_parent_takes_the_sandbox_along(sandbox: Sandbox) -> None:
    script = f"{shlex.join([*COMMAND, '--services-only'])} & echo $!; wait"
    parent = subprocess.Popen(
        ["sh", "-c", script],
        cwd=ROOT,
        env=sandbox.env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    supervisor = int(parent.stdout.readline())
    until((sandbox.directory / "env").exists)
    parent.kill()
    parent.wait()
    parent.stdout.close()  # nobody reads its words any more, which must not keep it from stopping
    until(lambda: not Path(f"/proc/{supervisor}").exists())
    until(lambda: not sandbox.left())


def test_a_control_plane_that_is_not_there_is_named_with_the_way_out(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    done = sandbox.run(KUBEBUILDER_ASSETS=str(tmp_path / "absent"), PORT=str(free_port()))
    assert done.returncode == 1
    assert "setup-envtest use -p path" in done.stderr
    assert "unset the variable" in done.stderr
    assert not (sandbox.directory / "keys.json").exists()


def test_a_cluster_that_does_not_answer_is_named(sandbox: Sandbox, tmp_path: Path) -> None:
    done = sandbox.run(SANDBOX_KUBECONFIG=str(tmp_path / "absent"), PORT=str(free_port()))
    assert done.returncode == 1
    assert "SANDBOX_KUBECONFIG" in done.stderr
    assert "Nothing was started" in done.stderr


@pytest.mark.parametrize("port", ["taken", "http", "70000"])
def test_a_port_that_cannot_be_used_is_named(sandbox: Sandbox, tmp_path: Path, port: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1]) if port == "taken" else port
        done = sandbox.run(PORT=number, SANDBOX_KUBECONFIG=str(tmp_path / "absent"))
    assert done.returncode == 1
    assert number in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reset_forgets_the_sandbox_and_nothing_else(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.directory.mkdir()
    (sandbox.directory / "thesis.txt").write_text("mine")
    refused = sandbox.run("--reset")
    assert refused.returncode == 1
    assert (sandbox.directory / "thesis.txt").exists()
    (sandbox.directory / "keys.json").write_text("{}")
    assert sandbox.run("--reset").returncode == 0
    assert [path.name for path in sandbox.directory.iterdir()] == ["lock"]
