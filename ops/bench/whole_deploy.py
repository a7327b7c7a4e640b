"""A whole deploy by the pipeline in a warm worker against `kubectl apply -f` of the same objects alone.

Ours, from the claim to the end: checkout from a Git mirror, secrets from Secrets Manager, render, preflight with a dry
run of all objects, apply, verified rollout, all data stored. kubectl: the apply only. Both on one control plane, in turns.
"""

from __future__ import annotations

import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ops.bench.kubectl_apply import Bench, bench, objects
from sandbox.bench import progress

COUNTS = (200, 20)
PEER = "kubectl apply -f"


def rows(*, rounds: int = 5) -> list[dict[str, Any]]:
    """The rows `deploy-<count>-changed`. Measured in a child process, because Django reads its settings once."""
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        command = [sys.executable, "-m", "ops.bench.whole_deploy", folder, str(rounds)]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env=environment(Path(folder))
        )
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def environment(folder: Path) -> dict[str, str]:
    """The portal's environment variables for the child, without the caller's services."""
    from sandbox.processes import free_port

    kept = {name: os.environ[name] for name in ("PATH", "HOME", "KUBEBUILDER_ASSETS") if name in os.environ}
    return {
        **kept,
        **progress.for_child(),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_URL": f"sqlite:///{folder}/slipway.sqlite3",
        "DATA_DIR": f"{folder}/data",
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "eu-west-2",
        "GIT_PROTOCOLS": "file",
        "SECRET_KEY": "bench",
        "DIGEST_KEY": "bench",
        "ENCRYPTION_KEYS": base64.urlsafe_b64encode(b"0" * 32).decode(),
        "LOG_LEVEL": "WARNING",
    }


@contextmanager
def services(folder: Path) -> Iterator[None]:
    """Runs the sandbox's Redis and AWS during the block."""
    from sandbox import processes
    from sandbox.supervision.redis import redis_command

    redis_port = int(os.environ["REDIS_URL"].rpartition(":")[2].partition("/")[0])
    aws_port = int(os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2])
    (folder / "redis").mkdir()
    aws = [sys.executable, "-m", "sandbox.aws", "--directory", str(folder / "aws"), "--port", str(aws_port)]
    children = [
        processes.spawn(
            redis_command(folder / "redis", redis_port), log=folder / "redis.log", env=dict(os.environ)
        ),
        processes.spawn(aws, log=folder / "aws.log", env=dict(os.environ)),
    ]
    try:
        ports = (redis_port, aws_port)
        processes.wait_until(
            lambda: not any(map(processes.port_is_free, ports)), children, seconds=30, what="services"
        )
        yield
    finally:
        processes.stop(children, 5)


def secret(namespace: str, value: str) -> str:
    """A Secret file of three keys with this value."""
    data = {
        f"KEY_{number}": base64.b64encode(value.encode()).decode() if value else "" for number in range(3)
    }
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "bench", "namespace": namespace},
        "data": data,
    }
    return json.dumps(body)


class Repository:
    """A Git repository; each commit holds the objects with a new value."""

    def __init__(self, folder: Path, count: int, namespace: str) -> None:
        self.folder, self.count, self.namespace = folder, count, namespace
        (folder / "kubernetes").mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        """Runs Git in the repository, with a fixed author."""
        who = ["-c", "user.name=Bench", "-c", "user.email=bench@example.com", "-c", "commit.gpgsign=false"]
        command = ["git", *who, *arguments]
        return subprocess.run(
            command, cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, value: str) -> str:
        """Commits the objects with this value and returns the commit's id."""
        bodies = [plain(body) for body in objects(self.count, self.namespace, value)]
        for start in range(0, len(bodies), 20):
            text = "\n---\n".join(json.dumps(body, indent=1) for body in bodies[start : start + 20])
            (self.folder / "kubernetes" / f"part-{start:03}.yaml").write_text(text)
        (self.folder / "kubernetes" / "secret.yaml").write_text(secret(self.namespace, ""))
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", f"Value {value}")
        return self.git("rev-parse", "HEAD")


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """The object as people write it: without the labels and annotations that the portal adds."""
    metadata = {"name": body["metadata"]["name"], "namespace": body["metadata"]["namespace"]}
    return {**body, "metadata": metadata}


def prepare_portal(on: Bench, folder: Path, count: int) -> tuple[Any, Repository]:
    """A project with an environment, its repository and its secrets file."""
    import boto3

    from audit.actors import SYSTEM_ACTOR
    from projects.allotting.services import require
    from projects.allotting.wishes import of_environment
    from projects.models import Cluster, Environment, Project, SecretsFile

    namespace = f"deploy-{count}"
    on.run_kubectl("create", "namespace", namespace)
    repository = Repository(folder / f"repository-{count}", count, namespace)
    boto3.client("secretsmanager").create_secret(
        Name=namespace, SecretString=secret(namespace, "a secret value")
    )
    cluster, _ = Cluster.objects.get_or_create(
        slug="bench", defaults={"name": "Bench", "kubeconfig": on.kubeconfig.read_text()}
    )
    project = Project.objects.create(
        slug=f"bench-{count}", name="Bench", repository_url=f"file://{repository.folder}"
    )
    environment = Environment.objects.create(
        project=project,
        slug="bench",
        name="Bench",
        cluster=cluster,
        namespace=namespace,
        config_directory="kubernetes",
    )
    SecretsFile.objects.create(environment=environment, path="secret.yaml", secret_id=namespace)
    require(SYSTEM_ACTOR, project, of_environment(environment))
    return environment, repository


def by_pipeline(environment: Any, sha: str) -> float:
    """Seconds from the claim to the end of a deploy; it must succeed."""
    from audit.actors import SYSTEM_ACTOR
    from deployments.gate import requests
    from deployments.pipeline import pipeline
    from runs.models import State

    deploy = requests.request_deploy(SYSTEM_ACTOR, environment=environment, revision=sha).deploy
    started = time.perf_counter()
    pipeline.run(str(deploy.run_id), deploy.attempt)
    seconds = time.perf_counter() - started
    deploy.refresh_from_db()
    if deploy.state != State.SUCCEEDED:
        raise RuntimeError(
            f"The deploy of the benchmark ended as {deploy.state}: {deploy.result} {deploy.hint}"
        )
    return seconds


def measure(on: Bench, folder: Path, count: int, rounds: int) -> dict[str, Any]:
    """One row: both peers apply changed objects in turns. The first round, which creates the objects, is not counted."""
    environment, repository = prepare_portal(on, folder, count)
    peer_namespace = f"peer-{count}"
    on.run_kubectl("create", "namespace", peer_namespace)
    ours, peer = [], []
    for number in progress.rounds(rounds + 1, f"{count} objects"):
        ours.append(by_pipeline(environment, repository.commit(f"v{number}")))
        time.sleep(1.0)
        bodies = [plain(body) for body in objects(count, peer_namespace, f"v{number}")]
        peer.append(on.by_kubectl(bodies, ()))
        time.sleep(1.0)
    our_s, peer_s = statistics.median(ours[1:]), statistics.median(peer[1:])
    return {
        "name": f"deploy-{count}-changed", "ours_s": round(our_s, 4), "peer": PEER, "peer_s": round(peer_s, 4),
        "ratio": round(peer_s / our_s, 2),
    }  # fmt: skip


def main(folder: Path, rounds: int) -> None:
    """The child: prints the rows as one line of JSON."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    with services(folder), bench() as on:
        found = [measure(on, folder, count, rounds) for count in COUNTS]
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
