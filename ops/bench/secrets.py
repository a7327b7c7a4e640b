"""Opens and saves a secrets file of 500 keys, against the same calls to AWS alone.

Open: which version is current, its text read, parsed, and what may be shown of it stored. Save: one key of a draft changed,
merged, proved, stored by compare-and-swap, with history and audit. Both against the sandbox's AWS over HTTP, in turns.
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
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox.bench import progress

KEYS = 500
PEER = "the calls to AWS alone"
HEAD = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: bench\ntype: Opaque\ndata:\n"
REGION = "eu-west-2"
OURS, FLOOR = "ours", "floor"


def rows(*, rounds: int = 15) -> list[dict[str, Any]]:
    """The rows `secrets-open-500` and `secrets-save-500`. Measured in a child process, because Django reads its settings
    once."""
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        command = [sys.executable, "-m", "ops.bench.secrets", folder, str(rounds)]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env=environment(Path(folder))
        )
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def environment(folder: Path) -> dict[str, str]:
    """The portal's environment variables for the child, without the caller's services."""
    from sandbox.processes import free_port

    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        **progress.for_child(),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_URL": f"sqlite:///{folder}/slipway.sqlite3",
        "DATA_DIR": f"{folder}/data",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": REGION,
        "SECRET_KEY": "bench",
        "DIGEST_KEY": "bench",
        "ENCRYPTION_KEYS": base64.urlsafe_b64encode(b"0" * 32).decode(),
        "LOG_LEVEL": "WARNING",
    }


@contextmanager
def aws(folder: Path) -> Iterator[None]:
    """Runs the sandbox's AWS during the block."""
    from sandbox import processes

    port = int(os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2])
    command = [sys.executable, "-m", "sandbox.aws", "--directory", str(folder / "aws"), "--port", str(port)]
    children = [processes.spawn(command, log=folder / "aws.log", env=dict(os.environ))]
    try:
        processes.wait_until(lambda: not processes.port_is_free(port), children, seconds=30, what="AWS")
        yield
    finally:
        processes.stop(children, 5)


def stored(value: str) -> str:
    """A secrets file of many keys, one of them with this value."""
    lines = [f"  KEY_{n:03}: {encoded(f'value-of-the-key-number-{n:03}')}\n" for n in range(1, KEYS)]
    return f"{HEAD}  KEY_000: {encoded(value)}\n{''.join(lines)}"


def encoded(text: str) -> str:
    """As a Secret holds it."""
    return base64.b64encode(text.encode()).decode()


class Bench:
    """One secrets file for the portal and one for the calls alone."""

    def __init__(self) -> None:
        import boto3

        from audit.actors import person
        from people.models import User
        from projects.models import Cluster, Environment, Project, SecretsFile

        self.aws: Any = boto3.client("secretsmanager")
        for name in (OURS, FLOOR):
            self.aws.create_secret(Name=name, SecretString=stored("at the beginning"))
        cluster = Cluster.objects.create(slug="bench", name="Bench", kubeconfig="x")
        project = Project.objects.create(
            slug="bench", name="Bench", repository_url="https://git.example/b.git"
        )
        place = Environment.objects.create(
            project=project, slug="bench", name="Bench", cluster=cluster, namespace="bench"
        )
        self.file = SecretsFile.objects.create(
            environment=place, path="secret.yaml", secret_id=OURS, region=REGION
        )
        self.actor = person(User.objects.create(username="bench", is_admin=True))

    def open(self, number: int) -> float:
        """Seconds until the portal knows a version that it has not seen."""
        from secrets_ui.known.looking import look_again
        from secrets_ui.known.reading import learn

        self.aws.put_secret_value(SecretId=OURS, SecretString=stored(f"opened {number}"))
        return seconds(lambda: learn(self.file, look_again(self.file).current_version))

    def open_alone(self, number: int) -> float:
        """Seconds of the calls of `open`."""
        self.aws.put_secret_value(SecretId=FLOOR, SecretString=stored(f"opened {number}"))
        return seconds(lambda: self.current(FLOOR))

    def save(self, number: int) -> float:
        """Seconds of a save; the typed value must be stored afterwards."""
        from secrets_ui.editing.drafts import Edit
        from secrets_ui.editing.saving import save
        from secrets_ui.editing.staging import stage

        stage(self.actor, self.file, Edit("bench", "KEY_000", "set", f"saved {number}".encode()))
        taken = seconds(lambda: save(self.actor, self.file, token=str(uuid.uuid4()), comment="the benchmark"))
        if self.current(OURS)[1] != stored(f"saved {number}"):
            raise RuntimeError("The save of the benchmark did not store what was typed.")
        return taken

    def save_alone(self, number: int) -> float:
        """Seconds of the calls of `save`."""
        return seconds(lambda: self._swap(stored(f"saved {number}")))

    def current(self, name: str) -> tuple[str, str]:
        """Asks which version is current and reads it."""
        versions = self.aws.describe_secret(SecretId=name)["VersionIdsToStages"]
        (version,) = (one for one, labels in versions.items() if "AWSCURRENT" in labels)
        return version, self.aws.get_secret_value(SecretId=name, VersionId=version)["SecretString"]

    def _swap(self, text: str) -> None:
        base, _ = self.current(FLOOR)
        token, label = str(uuid.uuid4()), "SLIPWAYSAVING"
        self.aws.put_secret_value(
            SecretId=FLOOR, SecretString=text, ClientRequestToken=token, VersionStages=[label]
        )
        self.aws.describe_secret(SecretId=FLOOR)
        move = self.aws.update_secret_version_stage
        move(SecretId=FLOOR, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=base)
        move(SecretId=FLOOR, VersionStage=label, RemoveFromVersionId=token)


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(bench: Bench, rounds: int) -> list[dict[str, Any]]:
    """Both rows. The first round is not counted."""
    pairs = {"open": (bench.open, bench.open_alone), "save": (bench.save, bench.save_alone)}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in pairs}
    for number in progress.rounds(rounds + 1, f"{KEYS} keys"):
        for name, (ours, alone) in pairs.items():
            taken[name].append((ours(number), alone(number)))
    return [row(name, found[1:]) for name, found in taken.items()]


def row(name: str, taken: list[tuple[float, float]]) -> dict[str, Any]:
    """One line of the table."""
    ours_s, peer_s = (statistics.median(side) for side in zip(*taken, strict=True))
    return {
        "name": f"secrets-{name}-{KEYS}", "ours_s": round(ours_s, 4), "peer": PEER, "peer_s": round(peer_s, 4),
        "ratio": round(peer_s / ours_s, 2),
    }  # fmt: skip


def main(folder: Path, rounds: int) -> None:
    """The child: prints the rows as one line of JSON."""
    import django

    django.setup()
    from django.core.management import call_command

    from core.redactor import redacting

    call_command("migrate", verbosity=0)
    with aws(folder), redacting():
        found = measure(Bench(), rounds)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
