"""The list of a sandbox's programs: command lines, environments, and checks that each one answers."""

from __future__ import annotations

import http.client
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox import environment
from sandbox.layout import Layout
from sandbox.node import READY_LINE, command
from sandbox.supervision.redis import redis_command

DEPLOYS_AT_ONCE = 2  # workers of the queue `deploys`


@dataclass(frozen=True)
class Program:
    """A program that runs until it is stopped. `answers`: whether it is ready; None: it has no such check."""

    name: str
    command: list[str]
    env: dict[str, str]
    answers: Callable[[], bool] | None = None


def redis(layout: Layout) -> Program:
    port = layout.ports["redis"]
    arguments = redis_command(layout.directory / "redis", port)
    return Program("redis", arguments, environment.clean(layout), lambda: _pongs(port))


def aws(layout: Layout) -> Program:
    port = layout.ports["aws"]
    arguments = _python("sandbox.aws", "--directory", str(layout.directory / "aws"), "--port", str(port))
    return Program("aws", arguments, environment.clean(layout), lambda: http_answers(port, "/v2/", 401))


def git(layout: Layout) -> Program:
    port = layout.ports["git"]
    arguments = _python("sandbox.git.server", "--directory", str(layout.repositories), "--port", str(port))
    env = {
        **environment.clean(layout),
        "GIT_TOKEN": layout.keys.git_token,
        "GITHUB_END": layout.github_url,
        "GITHUB_TOKEN": layout.keys.github_token,
    }
    return Program("git", arguments, env, lambda: http_answers(port, "/", 401))


def github(layout: Layout) -> Program:
    port = layout.ports["github"]
    places = {
        "--directory": str(layout.directory / "github"),
        "--port": str(port),
        "--repositories": str(layout.repositories),
        "--git-url": layout.git_server,
        "--hook-url": f"{layout.portal_url}/webhooks/github/",
    }
    arguments = _python("sandbox.github.end", *(part for pair in places.items() for part in pair))
    env = {
        **environment.clean(layout),
        "GITHUB_TOKEN": layout.keys.github_token,
        "GITHUB_WEBHOOK_SECRET": layout.keys.github_webhook_secret,
    }
    return Program("github", arguments, env, lambda: http_answers(port, "/", 200))


def slack(layout: Layout) -> Program:
    port = layout.ports["slack"]
    arguments = _python(
        "sandbox.slack.end", "--directory", str(layout.directory / "slack"), "--port", str(port)
    )
    env = {**environment.clean(layout), "SLACK_BOT_TOKEN": layout.keys.slack_token}
    return Program("slack", arguments, env, lambda: http_answers(port, "/", 200))


def embedded(layout: Layout) -> list[Program]:
    """The services that need no other service."""
    return [redis(layout), aws(layout), git(layout), slack(layout), github(layout)]


def node(layout: Layout, kubeconfig: Path) -> Program:
    """Plays the nodes of the sandbox's own control plane."""
    log = layout.log("node")
    return Program(
        "node",
        command(kubeconfig),
        environment.clean(layout),
        lambda: log.exists() and READY_LINE in log.read_text(),
    )


def migrations(layout: Layout) -> Program:
    """Migrates the database. It ends by itself."""
    return Program("migrate", _manage("migrate", "--verbosity=1"), portal_env(layout, None))


def static_files(layout: Layout) -> Program:
    """Compresses stylesheets and scripts, as `make run` does. It ends by itself."""
    return Program(
        "static", _manage("collectstatic", "--no-input", "--verbosity=0"), portal_env(layout, None)
    )


def seeding(layout: Layout, kubeconfig: Path, *, existing_cluster: bool, simulated: bool = False) -> Program:
    """Registers the samples in the portal and makes the first deploys. It ends by itself."""
    more = [*(["--existing-cluster"] if existing_cluster else []), *(["--simulated"] if simulated else [])]
    env = {**portal_env(layout, kubeconfig), **environment.for_people(layout)}
    return Program(
        "seed", _python("sandbox.samples.seed", *more), {**env, "DJANGO_SETTINGS_MODULE": "portal.settings"}
    )


def web(layout: Layout) -> Program:
    """The portal's web server. Live logs keep connections open, so a stop must not wait for them."""
    arguments = _python(
        "uvicorn",
        "portal.asgi:application",
        "--host=127.0.0.1",
        f"--port={layout.port}",
        "--timeout-graceful-shutdown=1",
        "--no-access-log",
        "--no-proxy-headers",  # uvicorn would trust headers from this machine; only TRUSTED_PROXIES decides
    )
    return Program(
        "web", arguments, portal_env(layout, None), lambda: http_answers(layout.port, "/healthz", 200)
    )


def workers(layout: Layout) -> list[Program]:
    """The portal's other processes, the same as in `make run` and in production."""
    env = portal_env(layout, None)
    queues = {f"deploys-{n}": "deploys" for n in range(1, DEPLOYS_AT_ONCE + 1)}
    queues |= {queue: queue for queue in ("live", "messages", "short", "registry", "builds")}
    queues["git-worker"] = "git"  # the Git server has the other name
    return [
        *(Program(name, _manage("rqworker", queue), env) for name, queue in queues.items()),
        Program("scheduler", _manage("scheduler"), env),
    ]


def portal_env(layout: Layout, kubeconfig: Path | None) -> dict[str, str]:
    """The environment of the portal's processes. Kubeconfigs are in its database, not in the environment."""
    return {**environment.clean(layout), **environment.services(layout, kubeconfig)}


def http_answers(port: int, path: str, status: int) -> bool:
    """Whether a server of 127.0.0.1 answers with this status now."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == status
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _pongs(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _manage(*arguments: str) -> list[str]:
    return [sys.executable, "manage.py", *arguments]
