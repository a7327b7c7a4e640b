"""Measures the board and the history with 1,000 and with 100,000 deploys, on SQLite.

`python ops/bench/pages.py` prints a table; `rows()` gives the rows for `make bench`. The peer of a page with
100,000 deploys is the same page with 1,000: `ratio` is peer_s / ours_s, and may not fall below 1 / 1.2.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sandbox.bench import progress

ROOT = Path(__file__).resolve().parents[2]
SMALL, LARGE = 1_000, 100_000
PROJECTS = 15
ROUNDS, REQUESTS = 9, 7  # short rounds in turns, so that other load on the machine affects both alike
# name, user, address
PAGES = (
    ("board", "admin", "/"),
    ("board-member", "dev", "/"),
    ("project", "dev", "/projects/shop3/"),
    ("history", "admin", "/deploys/"),
    ("history-member", "dev", "/deploys/"),
    ("history-project", "dev", "/deploys/?project=shop3"),
    ("history-filtered", "admin", "/deploys/?state=failed&person=dev"),
    ("history-dated", "admin", "/deploys/?since={month_ago}&until={today}"),
)


def rows() -> list[dict[str, Any]]:
    """Measures both sizes in turn, several rounds; medians of the rounds, in seconds per request."""
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        for size in (SMALL, LARGE):
            progress.tell(f"making {size} deploys")
            child("fill", folder, size)
        found: dict[int, dict[str, list[float]]] = {SMALL: {}, LARGE: {}}
        for _ in progress.rounds(ROUNDS, "both sizes"):
            for size in (SMALL, LARGE):
                for name, seconds in child("measure", folder, size).items():
                    found[size].setdefault(name, []).append(seconds)
    return [row(name, found[LARGE][name], found[SMALL][name]) for name in found[LARGE]]


def row(name: str, ours: list[float], peer: list[float]) -> dict[str, Any]:
    """One line of the table."""
    ours_s, peer_s = statistics.median(ours), statistics.median(peer)
    return {
        "name": f"page-{name}-{LARGE}",
        "ours_s": round(ours_s, 5),
        "peer": f"the same page with {SMALL} deploys",
        "peer_s": round(peer_s, 5),
        "ratio": round(peer_s / ours_s, 2),
    }


def child(task: str, folder: str, size: int) -> dict[str, float]:
    """Runs this file in a process with a database of its own (settings are read once per process)."""
    keys = {
        "SECRET_KEY": "only-for-the-benchmark", "DIGEST_KEY": "only-for-the-benchmark", "DATA_DIR": folder,
        "LOG_LEVEL": "WARNING",
        "ENCRYPTION_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "PYTHONPATH": str(ROOT),
        "DATABASE_URL": f"sqlite:///{folder}/{size}.sqlite3", "DJANGO_SETTINGS_MODULE": "portal.settings",
        "BASE_URL": "http://testserver", **progress.for_child(),
    }  # fmt: skip
    command = [sys.executable, __file__, task, str(size)]
    environment = {"PATH": os.environ.get("PATH", ""), **keys}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1]) if task == "measure" else {}


def fill(size: int) -> None:
    """Makes projects, environments, and `size` deploys spread over them and over a year, each with its release."""
    from django.core.management import call_command
    from django.db import transaction

    call_command("migrate", verbosity=0)
    with transaction.atomic():
        environments = make_environments()
        for start in range(1, size + 1, 5_000):
            make_deploys(environments, range(start, min(start + 5_000, size + 1)), size)


def make_environments() -> list[Any]:
    """Two environments for each project, what runs in them, an admin, and a deployer of all projects but the
    first."""
    from django.utils import timezone

    from clusters.models import LiveState
    from deployments.models import BranchState
    from people.models import User
    from projects.models import Cluster, Environment, Membership, Project

    User.objects.create(username="admin", is_admin=True)
    dev = User.objects.create(username="dev")
    cluster = Cluster.objects.create(slug="one", name="one", kubeconfig="x")
    made = []
    for n in range(PROJECTS):
        address = f"https://github.com/acme/shop{n}.git"
        project = Project.objects.create(slug=f"shop{n}", name=f"Shop {n}", repository_url=address)
        log = [[f"{i:040x}", f"Change {i}", "Ana", "2026-01-01T00:00:00+00:00"] for i in range(200)]
        BranchState.objects.create(project=project, branch="main", commits=log, fetched_at=timezone.now())
        if n:
            Membership.objects.create(user=dev, project=project, role="deployer")
        for order, slug in enumerate(("staging", "production")):
            environment = Environment.objects.create(
                project=project, slug=slug, name=slug, order=order, cluster=cluster, namespace=f"{slug}{n}",
                config_directory=f"kubernetes/{slug}",
            )  # fmt: skip
            image = f"r.example/shop{n}/web:none" if n == 1 else f"r.example/shop{n}/web:live"
            workload = {
                "kind": "Deployment",
                "name": "web",
                "images": [image],
                "desired": 2,
                "ready": 2,
                "health": "healthy",
            }
            LiveState.objects.create(
                environment=environment,
                workloads=[workload],
                health="healthy",
                read_at=timezone.now() + timedelta(hours=1),
            )
            made.append(environment)
    return made


def make_deploys(environments: list[Any], numbers: range, size: int) -> None:
    """Makes the deploys of these numbers, each with its release."""
    from django.db.models import F

    from deployments.models import Deploy, Release, compress

    objects = compress([{"object": {"kind": "ConfigMap", "data": {"k": "v" * 2000}}, "source": "c.yaml:1"}])
    begin, step = datetime.now(UTC) - timedelta(days=365), timedelta(days=365) / size
    releases, deploys = [], []
    for number in numbers:
        environment = environments[number % len(environments)]
        repository = f"r.example/{environment.project.slug}/web"
        release = Release(
            environment=environment, revision=f"{number:040x}", objects_compressed=objects, object_count=1,
            content_hash="0" * 64, images={"web": {"repository": repository, "tag": "live", "digest": ""}},
        )  # fmt: skip
        releases.append(release)
    Release.objects.bulk_create(releases)
    states = ("succeeded", "succeeded", "failed", "succeeded", "cancelled", "succeeded", "succeeded")
    for number, release in zip(numbers, releases, strict=True):
        at = begin + step * number
        deploys.append(
            Deploy(
                number=number, environment=release.environment, state=states[number % len(states)], revision=release.revision,
                subject=f"Change {number} of the thing", author="Ana", release=release, actor_kind="person", actor_id="1",
                actor_text="dev" if number % 3 else "admin", started_at=at, ended_at=at + timedelta(seconds=60),
                result="Container web exits at start.",
            )
        )  # fmt: skip
    Deploy.objects.bulk_create(deploys)
    Deploy.objects.filter(number__gte=numbers.start).update(created_at=F("started_at"))


def measure() -> dict[str, float]:
    """Seconds per request of each page: the fastest of several, because other load on the machine only adds time."""
    from django.test import Client

    from people.models import User

    today = datetime.now(UTC).date()
    days = {"today": today, "month_ago": today - timedelta(days=30)}
    clients = {user.username: Client() for user in User.objects.all()}
    for user in User.objects.all():
        clients[user.username].force_login(user)
    return {name: fastest_of(clients[who], address.format(**days)) for name, who, address in PAGES}


def fastest_of(client: Any, address: str) -> float:
    """The shortest time of a page, after two requests to warm up. The page must answer 200."""
    taken = []
    for turn in range(REQUESTS + 2):
        started = time.perf_counter()
        response = client.get(address)
        if turn >= 2:
            taken.append(time.perf_counter() - started)
        if response.status_code != 200:
            raise RuntimeError(f"{address} answered {response.status_code}")
    return min(taken)


def main(arguments: list[str]) -> None:
    """Without arguments: measures and prints. With a task: the part of it that needs a database of its own."""
    if not arguments:
        for line in rows():
            ours, peer = line["ours_s"] * 1000, line["peer_s"] * 1000
            sys.stdout.write(f"{line['name']:32} {ours:8.1f} ms  {peer:8.1f} ms  {line['ratio']:.2f}\n")
        return
    import django

    django.setup()
    if arguments[0] == "fill":
        fill(int(arguments[1]))
    else:
        sys.stdout.write(json.dumps(measure()) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
