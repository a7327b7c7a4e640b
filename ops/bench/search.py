"""Measures the search and the filters of the history at 100,000 deploys of 60 projects with five environments each, on SQLite
and on PostgreSQL.

The peer of each is the same request at 1,000 deploys, in turns, so that other load on the machine affects both alike: `ratio` is
peer_s / ours_s. Each request of the search has to be answered within LIMIT; a row says where it was not.
`python -m ops.bench.search` prints the table.
"""

from __future__ import annotations

import hashlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ops.bench.secrets import environment
from sandbox.bench import progress

SMALL, LARGE = 1_000, 100_000
PROJECTS, ENVIRONMENTS = 60, ("test", "qa", "staging", "production", "production-us")
ROUNDS, REQUESTS = 3, 4
LIMIT = 0.1
NUMBER = 500  # a deploy that both sizes have
WORDS = (
    "cart",
    "price",
    "login",
    "invoice",
    "retry",
    "cache",
    "cookie",
    "worker",
    "schema",
    "banner",
    "export",
    "limit",
)
# name, address. All as an admin, and as a member of all projects but one.
REQUESTED = (
    ("number", "/search/?q=%23{number}"),
    ("revision", "/search/?q={revision}"),
    ("subject", "/search/?q=invoice+retry"),
    ("subject-rare", "/search/?q=nebula"),
    ("subject-none", "/search/?q=nothing+like+this"),
    ("person", "/search/?q=person17"),
    ("project", "/search/?q=shop17"),
    ("action", "/search/?q=deploy+shop17+production"),
    ("history", "/deploys/"),
    ("history-subject", "/deploys/?q=nebula"),
    ("history-revision", "/deploys/?revision={revision}"),
    ("history-person", "/deploys/?person=person17"),
    ("history-environment", "/deploys/?project=shop17&environment=production"),
    ("history-state", "/deploys/?state=failed&environment=production"),
)


def rows() -> list[dict[str, Any]]:
    """The rows, of each kind of database that is there."""
    found = []
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        for name, urls in databases(Path(folder)):
            taken = measured(Path(folder), name, urls)
            found += [
                row(name, request, taken[LARGE][request], taken[SMALL][request]) for request in taken[LARGE]
            ]
    return found


def databases(folder: Path) -> Iterator[tuple[str, dict[int, str]]]:
    """The name of each kind of database, and an address for each size."""
    from tests.everything import postgres_programs

    yield "sqlite", {size: f"sqlite:///{folder}/{size}.sqlite3" for size in (SMALL, LARGE)}
    programs = postgres_programs()
    if programs is None:
        progress.tell("no PostgreSQL server is installed (Debian: postgresql)")
        return
    with servers(programs) as urls:
        yield "postgresql", urls


@contextmanager
def servers(programs: Path) -> Iterator[dict[int, str]]:
    """A PostgreSQL server for each size."""
    from tests.everything import postgres

    with ExitStack() as stack:
        yield {size: stack.enter_context(postgres(programs)) for size in (SMALL, LARGE)}


def measured(folder: Path, name: str, urls: dict[int, str]) -> dict[int, dict[str, list[float]]]:
    """Seconds of each request, by size; several rounds in turns."""
    for size, url in urls.items():
        progress.tell(f"{name}: making {size} deploys")
        child(folder, url, "fill", size)
    found: dict[int, dict[str, list[float]]] = {size: {} for size in urls}
    for _ in progress.rounds(ROUNDS, f"{name}, both sizes"):
        for size, url in urls.items():
            for request, seconds in child(folder, url, "measure", size).items():
                found[size].setdefault(request, []).append(seconds)
    return found


def row(database: str, request: str, ours: list[float], peer: list[float]) -> dict[str, Any]:
    """One line of the table."""
    ours_s, peer_s = statistics.median(ours), statistics.median(peer)
    late = ours_s > LIMIT and not request.startswith("history")
    return {
        "name": f"search-{request}-{database}", "ours_s": round(ours_s, 5), "peer": f"the same with {SMALL} deploys",
        "peer_s": round(peer_s, 5), "ratio": round(peer_s / ours_s, 2),
        **({"detail": f"later than the target of {LIMIT:g} s"} if late else {}),
    }  # fmt: skip


def child(folder: Path, url: str, task: str, size: int) -> dict[str, float]:
    """Runs a task in a process with its own database, because Django reads its settings once."""
    command = [sys.executable, "-m", "ops.bench.search", task, str(size)]
    variables = {**environment(folder), "DATABASE_URL": url, "BASE_URL": "http://testserver"}
    done = subprocess.run(command, env=variables, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1]) if task == "measure" else {}
    return found


def revision(number: int) -> str:
    """The commit of a deploy."""
    return hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest()


def fill(size: int) -> None:
    """Makes projects, people, and `size` deploys, spread over them and over a year."""
    from django.core.management import call_command
    from django.db import connection, transaction

    call_command("migrate", verbosity=0)
    with transaction.atomic():
        places = make_places()
        for start in range(1, size + 1, 5_000):
            make_deploys(places, range(start, min(start + 5_000, size + 1)), size)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def make_places() -> list[Any]:
    """Projects with their environments, branches and people. Returns the environments."""
    from django.utils import timezone

    from clusters.models import LiveState
    from deployments.models import BranchState
    from people.models import User
    from projects.models import Cluster, Environment, Membership, Project

    User.objects.create(username="admin", is_admin=True)
    people = [User.objects.create(username=f"person{n}") for n in range(40)]
    cluster = Cluster.objects.create(slug="one", name="one", kubeconfig="x")
    made = []
    for n in range(PROJECTS):
        project = Project.objects.create(
            slug=f"shop{n}", name=f"Shop {n}", repository_url=f"https://github.com/acme/shop{n}.git"
        )
        log = [
            [revision(-i * PROJECTS - n), subject(i), "Ana", "2026-01-01T00:00:00+00:00"] for i in range(200)
        ]
        BranchState.objects.create(project=project, branch="main", commits=log, fetched_at=timezone.now())
        if n:
            Membership.objects.create(user=people[17], project=project, role="deployer")
        made += [
            Environment.objects.create(
                project=project, slug=slug, name=slug, order=order, cluster=cluster, namespace=f"{slug}{n}",
                config_directory=f"kubernetes/{slug}",
            )
            for order, slug in enumerate(ENVIRONMENTS)
        ]  # fmt: skip
    LiveState.objects.bulk_create(
        LiveState(
            environment=one, workloads=[], health="healthy", read_at=timezone.now() + timedelta(hours=1)
        )
        for one in made
    )
    return made


def subject(number: int) -> str:
    """The first line of a commit's message; one in a thousand has a rare word."""
    words = random.Random(number)  # noqa: S311 - the same in both sizes
    rare = " nebula" if number % 1000 == NUMBER else ""
    return f"{words.choice(WORDS).title()}: {words.choice(WORDS)} {words.choice(WORDS)} of {number}{rare}"


def make_deploys(places: list[Any], numbers: range, size: int) -> None:
    """Makes the deploys of these numbers, each with its release."""
    from django.db.models import F

    from deployments.models import Deploy, Release, compress

    objects = compress([{"object": {"kind": "ConfigMap", "data": {"k": "v" * 500}}, "source": "c.yaml:1"}])
    begin, step = datetime.now(UTC) - timedelta(days=365), timedelta(days=365) / size
    releases = [
        Release(
            environment=places[number * 7 % len(places)], revision=revision(number), objects_compressed=objects,
            object_count=1, content_hash="0" * 64, images={}, subject=subject(number), author="Ana",
        )
        for number in numbers
    ]  # fmt: skip
    Release.objects.bulk_create(releases)
    states = ("succeeded", "succeeded", "failed", "succeeded", "cancelled", "succeeded", "succeeded")
    Deploy.objects.bulk_create(
        Deploy(
            number=number, environment=release.environment, state=states[number % len(states)],
            revision=release.revision, subject=release.subject, author="Ana", release=release, actor_kind="person",
            actor_id="1", actor_text=f"person{number % 40}", started_at=begin + step * number,
            ended_at=begin + step * number + timedelta(seconds=60), result="Container web exits at start.",
        )
        for number, release in zip(numbers, releases, strict=True)
    )  # fmt: skip
    Deploy.objects.filter(number__gte=numbers.start).update(created_at=F("started_at"))


def measure() -> dict[str, float]:
    """Seconds of each request: the fastest of several, because other load on the machine only adds time."""
    from django.test import Client

    from people.models import User

    given = {"number": NUMBER, "revision": revision(NUMBER)[:9]}
    found = {}
    for name, more in (("admin", ""), ("person17", "-member")):
        client = Client(headers={"HX-Request": "true"})
        client.force_login(User.objects.get(username=name))
        for request, address in REQUESTED:
            found[request + more] = fastest_of(client, address.format(**given))
    return found


def fastest_of(client: Any, address: str) -> float:
    """The shortest time of a request, after one to warm up. It must be answered by 200."""
    taken = []
    for turn in range(REQUESTS + 1):
        started = time.perf_counter()
        response = client.get(address)
        if turn:
            taken.append(time.perf_counter() - started)
        if response.status_code != 200:
            raise RuntimeError(f"{address} answered {response.status_code}")
    return min(taken)


def main(arguments: list[str]) -> None:
    """Without arguments: measures and prints. With a task: the part of it that needs a database of its own."""
    if not arguments:
        for line in rows():
            ours, peer = line["ours_s"] * 1000, line["peer_s"] * 1000
            sys.stdout.write(f"{line['name']:46} {ours:8.1f} ms  {peer:8.1f} ms  {line['ratio']:.2f}\n")
        return
    import django

    django.setup()
    if arguments[0] == "fill":
        fill(int(arguments[1]))
    else:
        sys.stdout.write(json.dumps(measure()) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
