"""The environment variables of all programs that the sandbox starts: built here, never inherited.

A shell may hold a kubeconfig, AWS keys or a database address of production. So a child gets only a few harmless variables
of the caller (path, language, time zone, level of the logs) and the sandbox's own.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from sandbox.aws import REGION
from sandbox.layout import Layout, database_url

MARK = "SLIPWAY_SANDBOX"  # in the environment of every child: names its sandbox and run (see `guard`)
_UNSET = (
    "TRUSTED_PROXIES",
    "EMAIL_URL",
    "AWS_SESSION_TOKEN",
    "SENTRY_DSN",
)
_HARMLESS = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "SYSTEMROOT", "LOG_LEVEL")


def mark(directory: Path, supervisor: int) -> str:
    """The mark's value for a run: the sandbox's folder and the process id of its supervisor."""
    return f"{directory}#{supervisor}"


def clean(layout: Layout) -> dict[str, str]:
    """The variables of a child that needs no service. HOME is not the caller's, where tools keep their settings."""
    home = layout.directory / "home"
    home.mkdir(exist_ok=True, mode=0o700)
    kept = {name: os.environ[name] for name in _HARMLESS if name in os.environ}
    return {
        "PATH": os.defpath,
        **kept,
        "HOME": str(home),
        "PYTHONUNBUFFERED": "1",
        MARK: mark(layout.directory, os.getpid()),
    }


def services(layout: Layout, kubeconfig: Path | None) -> dict[str, str]:
    """The portal's variables (README.md lists them) with this sandbox's values."""
    nowhere = os.devnull
    variables = {
        "DATABASE_URL": database_url(layout.directory),
        "REDIS_URL": layout.redis_url,
        "SECRET_KEY": layout.keys.secret_key,
        "ENCRYPTION_KEYS": layout.keys.encryption_key,
        "DIGEST_KEY": layout.keys.digest_key,
        "BASE_URL": layout.portal_url,
        "PORT": str(layout.port),
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "DATA_DIR": str(layout.directory / "data"),
        "GIT_PROTOCOLS": "http,https,ssh",
        "GIT_PRIVATE_NETWORKS": "127.0.0.0/8,::1/128",
        "AWS_ENDPOINT_URL": layout.aws_url,
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": nowhere,
        "AWS_SHARED_CREDENTIALS_FILE": nowhere,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SLACK_BOT_TOKEN": layout.keys.slack_token,
        "SLACK_API_URL": f"{layout.slack_url}api/",
        "METRICS_NETWORKS": "127.0.0.1",
        # Without an engine an address where none is, so that the machine's own is not used.
        "DOCKER_HOST": layout.docker_host or f"unix://{layout.directory / 'no-docker.sock'}",
        "GITHUB_API_URL": f"{layout.github_url}api/v3",
        "GITHUB_TOKEN": layout.keys.github_token,
        "GITHUB_WEBHOOK_SECRET": layout.keys.github_webhook_secret,
    }
    return {**variables, **({"KUBECONFIG": str(kubeconfig)} if kubeconfig else {})}


def for_people(layout: Layout) -> dict[str, str]:
    """Further variables for people who work with the running sandbox."""
    return {
        "SLIPWAY_URL": layout.portal_url,
        "SLIPWAY_USER": "admin",
        "SLIPWAY_PASSWORD": layout.keys.password,
        "SLIPWAY_SLACK_URL": layout.slack_url,
        "SLIPWAY_GITHUB_URL": layout.github_url,
        "SANDBOX_DIR": str(layout.directory),
    }


def for_shell(layout: Layout, kubeconfig: Path | None) -> dict[str, str]:
    """Everything for `.sandbox/env`.

    It also sets the variables that the sandbox does not use, to empty values: a shell that reads the file must not keep
    its own values, which may be production's.
    """
    unset = dict.fromkeys(_UNSET, "")
    return {**for_people(layout), **services(layout, kubeconfig), **unset}


def write(path: Path, variables: Mapping[str, str]) -> None:
    """Writes `KEY=value` lines for a shell, atomically, into a file that only its owner can read."""
    new = path.with_name(f"{path.name}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(
            f"{name}={shlex.quote(value) if value else ''}\n" for name, value in variables.items()
        )
    new.replace(path)


def read(path: Path) -> dict[str, str]:
    """The variables of such a file."""
    pairs = (line.partition("=") for line in path.read_text().splitlines())
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}
