"""Opens and saves a secrets file of 500 keys, against the same calls to AWS alone.

Open: which version is current, its text read, parsed, and what may be shown of it stored. Save: one key of a draft changed,
merged, proved, stored by compare-and-swap, with history and audit. Both against the sandbox's AWS over HTTP.

Ours and the calls alone take turns within each pair, and begin it in turns, so that a busy machine slows both down alike;
`ratio` is the median over the pairs. Each time has a redactor of its own, as each request and job has.

The sandbox's AWS answers within a few milliseconds, the real one hardly within ten. So there is a second figure, in which every
call to AWS takes DELAY longer, ours and those alone alike.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from sandbox.bench import progress

KEYS = 500
PEER = "the calls to AWS alone"
HEAD = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: bench\ntype: Opaque\ndata:\n"
REGION = "eu-west-2"
DELAY = 0.015  # seconds; from the same region a call takes 10 to 40 ms


def rows(*, rounds: int = 30) -> list[dict[str, Any]]:
    """The rows `secrets-open-500` and `secrets-save-500`, and the same with `-delayed`. Measured in a child process, because
    Django reads its settings once."""
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
        "SECRET_KEY": "only-for-the-benchmark",
        "DIGEST_KEY": "only-for-the-benchmark",
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


@dataclass(frozen=True)
class Taken:
    """Seconds of the clock, and of this process on a processor."""

    seconds: float
    processor: float


class Bench:
    """One secrets file for the portal and one for the calls alone. `name`: sets it apart from others, because AWS keeps only 100
    versions of a secret."""

    def __init__(self, name: str) -> None:
        import boto3

        from audit.actors import person
        from people.models import User
        from projects.models import Allotment, Cluster, Environment, Project, SecretsFile

        self.aws: Any = boto3.client("secretsmanager")
        self.ours, self.floor = f"ours-{name}", f"floor-{name}"
        for secret in (self.ours, self.floor):
            self.aws.create_secret(Name=secret, SecretString=stored("at the beginning"))
        cluster = Cluster.objects.create(slug=name, name=name, kubeconfig="x")
        project = Project.objects.create(slug=name, name=name, repository_url="https://git.example/b.git")
        Allotment.objects.create(project=project, kind=Allotment.Kind.SECRET, pattern=self.ours)
        place = Environment.objects.create(
            project=project, slug=name, name=name, cluster=cluster, namespace=name
        )
        self.file = SecretsFile.objects.create(
            environment=place, path="secret.yaml", secret_id=self.ours, region=REGION
        )
        self.actor = person(User.objects.create(username=name, is_admin=True))

    def open(self, number: int) -> Taken:
        """Until the portal knows a version that it has not seen."""
        from secrets_ui.known.looking import look_again
        from secrets_ui.known.reading import learn

        self.aws.put_secret_value(SecretId=self.ours, SecretString=stored(f"opened {number}"))
        return taken_by(lambda: learn(self.file, look_again(self.file).current_version))

    def open_alone(self, number: int) -> Taken:
        """The calls of `open`."""
        self.aws.put_secret_value(SecretId=self.floor, SecretString=stored(f"opened {number}"))
        return taken_by(lambda: self.current(self.floor))

    def save(self, number: int) -> Taken:
        """A save; the typed value must be stored afterwards."""
        from secrets_ui.editing.drafts import Edit
        from secrets_ui.editing.saving import save
        from secrets_ui.editing.staging import stage

        stage(self.actor, self.file, Edit("bench", "KEY_000", "set", f"saved {number}".encode()))
        taken = taken_by(
            lambda: save(self.actor, self.file, token=str(uuid.uuid4()), comment="the benchmark")
        )
        if self.current(self.ours)[1] != stored(f"saved {number}"):
            raise RuntimeError("The save of the benchmark did not store what was typed.")
        return taken

    def save_alone(self, number: int) -> Taken:
        """The calls of `save`."""
        text = stored(f"saved {number}")
        return taken_by(lambda: self._swap(text))

    def current(self, name: str) -> tuple[str, str]:
        """Asks which version is current and reads it."""
        versions = self.aws.describe_secret(SecretId=name)["VersionIdsToStages"]
        (version,) = (one for one, labels in versions.items() if "AWSCURRENT" in labels)
        return version, self.aws.get_secret_value(SecretId=name, VersionId=version)["SecretString"]

    def _swap(self, text: str) -> None:
        base, _ = self.current(self.floor)
        token, label = str(uuid.uuid4()), "SLIPWAYSAVING"
        self.aws.put_secret_value(
            SecretId=self.floor, SecretString=text, ClientRequestToken=token, VersionStages=[label]
        )
        move = self.aws.update_secret_version_stage
        move(SecretId=self.floor, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=base)
        move(SecretId=self.floor, VersionStage=label, RemoveFromVersionId=token)


def taken_by(work: Callable[[], object]) -> Taken:
    """How long it takes, with a redactor of its own."""
    from core.redactor import redacting

    with redacting():
        started, used = time.perf_counter(), time.process_time()
        work()
        return Taken(time.perf_counter() - started, time.process_time() - used)


@contextmanager
def delayed(seconds: float) -> Iterator[None]:
    """Makes every call to AWS of this process wait before it is sent."""
    from botocore.httpsession import URLLib3Session

    send = URLLib3Session.send

    def late(session: Any, request: Any) -> Any:
        time.sleep(seconds)
        return send(session, request)

    with mock.patch.object(URLLib3Session, "send", late):
        yield


def measure_both(rounds: int) -> list[dict[str, Any]]:
    """The rows as the sandbox's AWS answers, and with the delay."""
    near = measure(Bench("near"), rounds)
    with delayed(DELAY):
        far = measure(Bench("far"), rounds)
    note = f"; every call to AWS {1000 * DELAY:.0f} ms later, on both sides"
    return near + [row | {"name": f"{row['name']}-delayed", "detail": row["detail"] + note} for row in far]


def measure(bench: Bench, rounds: int) -> list[dict[str, Any]]:
    """Both rows. The first round is not counted."""
    kinds = {"open": (bench.open, bench.open_alone), "save": (bench.save, bench.save_alone)}
    pairs: dict[str, list[tuple[Taken, Taken]]] = {name: [] for name in kinds}
    for number in progress.rounds(rounds + 1, f"{KEYS} keys"):
        for name, works in kinds.items():
            turn = works if number % 2 else works[::-1]
            first, second = [work(number) for work in turn]
            pairs[name].append((first, second) if number % 2 else (second, first))
    return [row(name, found[1:]) for name, found in pairs.items()]


def row(name: str, pairs: list[tuple[Taken, Taken]]) -> dict[str, Any]:
    """One line of the table."""
    ours, alone = zip(*pairs, strict=True)
    ours_s, peer_s = (statistics.median(taken.seconds for taken in side) for side in (ours, alone))
    times = [one.seconds / other.seconds for one, other in pairs]
    lower, middle, upper = statistics.quantiles(times, n=4)
    return {
        "name": f"secrets-{name}-{KEYS}", "ours_s": round(ours_s, 4), "peer": PEER, "peer_s": round(peer_s, 4),
        "ratio": round(1 / middle, 2),
        "detail": f"{middle:.2f} times {PEER} (half of {len(pairs)} pairs: {lower:.2f} to {upper:.2f}); "
        f"processor time of this process {processor_ms(ours):.1f} ms, of the calls {processor_ms(alone):.1f} ms; "
        f"load {os.getloadavg()[0]:.1f}",
    }  # fmt: skip


def processor_ms(side: Sequence[Taken]) -> float:
    """The median."""
    return 1000 * statistics.median(taken.processor for taken in side)


def main(folder: Path, rounds: int) -> None:
    """The child: prints the rows as one line of JSON."""
    import django

    django.setup()
    from django.core.management import call_command

    import portal.asgi  # noqa: F401  # the measured process is in the state of a web process
    from core.redactor import redacting

    call_command("migrate", verbosity=0)
    with aws(folder), redacting():  # also for what is prepared between the measurements
        found = measure_both(rounds)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
