"""Measures the wait for the log: from the click to its first line, and from a worker's line to the page.

It uses real processes: uvicorn, a worker, Redis, a Git repository, SQLite. The client reads the stream as a browser
does. The peer is the project's target time.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

from ops.bench.whole_deploy import Repository, environment, services
from sandbox.bench import progress

LIMITS = {"click-to-first-line": 1.0, "line-to-page": 0.3}
ROUNDS = 7
PASSWORD = "correct horse battery staple"  # noqa: S105  (of a person who lives as long as the benchmark)
KUBECONFIG = {
    "apiVersion": "v1", "kind": "Config", "current-context": "c",
    "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": {"token": "none"}}],
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
}  # fmt: skip


def rows() -> list[dict[str, Any]]:
    """The rows `click-to-first-line` and `line-to-page`. Measured in a child process, because Django reads its settings
    once."""
    from sandbox.processes import free_port

    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        port = free_port()
        variables = {**environment(Path(folder)), "PORT": str(port), "BASE_URL": f"http://127.0.0.1:{port}"}
        command = [sys.executable, "-m", "ops.bench.live", folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=variables)
    taken: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return [row(name, statistics.median(seconds)) for name, seconds in taken.items()]


def row(name: str, seconds: float) -> dict[str, Any]:
    """One line of the table."""
    limit = LIMITS[name]
    return {
        "name": name, "ours_s": round(seconds, 4), "peer": "the project's target", "peer_s": limit,
        "ratio": round(limit / seconds, 2),
    }  # fmt: skip


class Browser:
    """A client that sends a person's requests."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.cookies: dict[str, str] = {}
        self.http = urllib3.PoolManager(timeout=20, retries=False)

    def request(self, method: str, path: str, *, stream: bool = False, **fields: str) -> Any:
        """One request; cookies are kept, redirects are not followed."""
        headers = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "Referer": self.base,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        body = urlencode({**fields, "csrfmiddlewaretoken": self.cookies.get("csrftoken", "")})
        answer = self.http.request(
            method, self.base + path, body=body if method == "POST" else None, headers=headers, redirect=False,
            preload_content=not stream,
        )  # fmt: skip
        for cookie in answer.headers.getlist("set-cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def sign_in(self) -> None:
        """Signs in through the form."""
        self.request("GET", "/login/")
        answer = self.request("POST", "/login/", login="bench", password=PASSWORD)
        if answer.status != 302:
            raise RuntimeError(f"Sign-in answered {answer.status}.")

    def lines(self, number: int, after: int) -> Any:
        """The open stream of a deploy's log."""
        return self.request("GET", f"/deploys/{number}/stream?after={after}", stream=True)


def first_event(stream: Any) -> None:
    """Reads until an event with lines arrives."""
    text = b""
    while b"event: log" not in text or not text.endswith(b"\n\n"):
        text += stream.read1(65536)


def click(browser: Browser, sha: str) -> float:
    """Seconds from the click on Deploy to the first line of the log."""
    started = time.perf_counter()
    answer = browser.request("POST", "/projects/bench/bench/deploy/", revision=sha, key=sha)
    found = re.search(r"/deploys/(\d+)/", answer.headers.get("location", ""))
    if found is None:
        raise RuntimeError(f"The click was answered {answer.status}.")
    browser.request("GET", found[0])
    stream = browser.lines(int(found[1]), 0)
    first_event(stream)
    seconds = time.perf_counter() - started
    stream.close()
    wait_for_end(int(found[1]))  # its cluster does not answer; the next click must not wait behind it
    return seconds


def wait_for_end(number: int) -> None:
    """Waits until a deploy has ended."""
    from deployments.models import Deploy
    from runs.models import OPEN

    while Deploy.objects.filter(number=number, state__in=OPEN).exists():
        time.sleep(0.1)


def line(browser: Browser, deploy: Any, number: int) -> float:
    """Seconds from a worker's log call to the reader of the stream."""
    from core.redactor import Redactor
    from deployments.models import Deploy
    from runs.fence import Fence
    from runs.journal import Journal

    stream = browser.lines(deploy.number, number)
    with Journal(Fence(Deploy, deploy.run_id, deploy.attempt), Redactor()) as journal:
        time.sleep(0.5)  # the viewer is there, nothing is going on
        started = time.perf_counter()
        journal.line("something happened")
        first_event(stream)
        seconds = time.perf_counter() - started
    stream.close()
    return seconds


def prepare_portal(folder: Path) -> tuple[Any, Repository]:
    """Makes a person who may deploy, and a project."""
    from audit.actors import SYSTEM_ACTOR
    from people.models import User
    from projects.allotting.services import require
    from projects.allotting.wishes import of_environment
    from projects.models import Cluster, Environment, Project

    person = User(username="bench", is_admin=True)
    person.set_password(PASSWORD)
    person.save()
    repository = Repository(folder / "repository", 2, "bench")
    cluster = Cluster.objects.create(slug="bench", name="Bench", kubeconfig=json.dumps(KUBECONFIG))
    project = Project.objects.create(slug="bench", name="Bench", repository_url=f"file://{repository.folder}")
    place = Environment.objects.create(
        project=project,
        slug="bench",
        name="Bench",
        cluster=cluster,
        namespace="bench",
        config_directory="kubernetes",
    )
    require(SYSTEM_ACTOR, project, of_environment(place))
    return place, repository


def running_deploy(place: Any) -> Any:
    """A running deploy of a second environment, so that it delays no other deploy."""
    from deployments.gate.kind import DEPLOY
    from deployments.models import Deploy
    from projects.models import Environment
    from runs.life.opening import next_number
    from runs.models import State

    other = Environment.objects.create(
        project=place.project, slug="other", name="Other", cluster=place.cluster, namespace="other",
        config_directory="kubernetes",
    )  # fmt: skip
    return Deploy.objects.create(
        number=next_number(DEPLOY), environment=other, state=State.RUNNING, revision="0" * 40, actor_kind="system",
        actor_text="system", worker="bench",
    )  # fmt: skip


def main(folder: Path) -> None:
    """The child: prints the seconds of all rounds as one line of JSON."""
    import django

    django.setup()
    from django.core.management import call_command

    from sandbox import processes

    call_command("migrate", verbosity=0)
    port, env = int(os.environ["PORT"]), dict(os.environ)
    web = [
        sys.executable,
        "-m",
        "uvicorn",
        "portal.asgi:application",
        "--port",
        str(port),
        "--timeout-graceful-shutdown",
        "1",
    ]
    with services(folder):
        place, repository = prepare_portal(folder)
        children = [
            processes.spawn(web, log=folder / "web.log", env=env),
            processes.spawn(
                [sys.executable, "manage.py", "rqworker", "deploys"], log=folder / "worker.log", env=env
            ),
        ]
        try:
            processes.wait_until(lambda: not processes.port_is_free(port), children, seconds=60, what="web")
            browser = Browser(os.environ["BASE_URL"])
            browser.sign_in()
            deploy = running_deploy(place)
            taken = {
                "click-to-first-line": [
                    click(browser, repository.commit(f"v{n}")) for n in progress.rounds(ROUNDS, "click")
                ][1:],
                "line-to-page": [line(browser, deploy, n) for n in progress.rounds(ROUNDS, "line")][1:],
            }
        finally:
            processes.stop(children, 5)
    sys.stdout.write(json.dumps(taken) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
