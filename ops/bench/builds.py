"""A whole build by the portal beside `docker build` and `docker push` by hand.

Ours: a run from its claim to its end, with checkout, the steps of a Dockerfile, five tags, and the questions to ECR before and
after. By hand: `git archive` into a folder, `docker build` with the same labels, and a `docker push` of each tag, with the same
builder. Both build without a cache, and each its own revision: the engine would not send a layer again that it has sent for the
other. The revision is in the mirror, as after a push that was noticed. Needs an engine (DOCKER_HOST) and its command line; the
registry is the sandbox's.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ops.bench.registry import aws_end
from ops.bench.whole_deploy import environment
from sandbox.aws.images import ecr_call
from sandbox.bench import progress

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = """FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox","sh","-c","/bin/busybox sleep 2; /bin/busybox echo one > /one"]
RUN ["/bin/busybox","sh","-c","/bin/busybox sleep 2; /bin/busybox echo two > /two"]
COPY . /app
"""
NOISE = 20_000_000  # bytes of the context


def rows(*, rounds: int = 3) -> list[dict[str, Any]]:
    """The row `build-and-push`, in seconds; nothing without an engine and its command line."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if shutil.which("docker") is None or not Path("/bin/busybox").exists() or _docker(host, "version") != 0:
        progress.tell("no Docker engine answers at DOCKER_HOST, or docker or a static busybox is missing")
        return []
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as name:
        folder = Path(name)
        with aws_end(folder) as url:
            command = [sys.executable, "-m", "ops.bench.builds", str(folder), str(rounds)]
            given = {
                **environment(folder), "AWS_ENDPOINT_URL": url, "DOCKER_HOST": host, "DOCKER_CONFIG": f"{folder}/docker",
                "DOCKER_BUILDER": "classic", "DOCKER_BUILDKIT": "0",  # the newer command lines need a plugin for BuildKit
            }  # fmt: skip
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=given, cwd=ROOT)
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _docker(host: str, *arguments: str) -> int:
    quiet = subprocess.DEVNULL
    env = {**os.environ, "DOCKER_HOST": host}
    return subprocess.run(["docker", *arguments], check=False, stdout=quiet, stderr=quiet, env=env).returncode


def measure(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Both in turns; the best of each, as other load only adds."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    source = folder / "source"
    project, actor = _register(source)
    _log_in()
    ours, peer = [], []
    for number in progress.rounds(rounds, "builds"):
        ours.append(_ours(project, actor, _commit(source, number)))
        peer.append(_by_hand(source, folder / f"by-hand-{number}", _commit(source, number)))
    _forget()
    took, least = min(ours), min(peer)
    detail = f"overhead {took - least:.2f} s ({(took / least - 1) * 100:.1f} %)"
    return [
        {
            "name": "build-and-push", "ours_s": round(took, 3), "peer": "docker build, docker push by hand",
            "peer_s": round(least, 3), "ratio": round(least / took, 2), "detail": detail,
        }
    ]  # fmt: skip


def _register(source: Path) -> tuple[Any, Any]:
    from audit.actors import person
    from builds.models import BuildSettings
    from people.models import User
    from projects.models import Allotment, Image, Membership, Project, Registry

    source.mkdir()
    shutil.copy("/bin/busybox", source / "busybox")
    (source / "Dockerfile").write_text(DOCKERFILE)
    _git(source, "init", "-q", "-b", "main")
    registry = Registry.objects.create(
        slug="bench",
        name="Bench",
        endpoint=os.environ["AWS_ENDPOINT_URL"],
        account="123456789012",
        region="eu-west-2",
    )
    project = Project.objects.create(slug="bench", name="Bench", repository_url=f"file://{source}")
    Image.objects.create(project=project, name="app", registry=registry, repository="bench/app")
    Allotment.objects.create(project=project, kind="repository", registry=registry, pattern="bench/app")
    BuildSettings.objects.create(project=project, creates_repositories=True)
    user = User.objects.create(username="bench")
    Membership.objects.create(user=user, project=project, role="maintainer")
    ecr_call(os.environ["AWS_ENDPOINT_URL"], "CreateRepository", {"repositoryName": "bench/by-hand"})
    return project, person(user)


def _log_in() -> None:
    """`docker login`, before anything is measured."""
    url = os.environ["AWS_ENDPOINT_URL"]
    token = ecr_call(url, "GetAuthorizationToken", {})["authorizationData"][0]["authorizationToken"]
    name, _, word = base64.b64decode(token).decode().partition(":")
    subprocess.run(
        ["docker", "login", "-u", name, "--password-stdin", _host()],
        input=word,
        text=True,
        check=True,
        capture_output=True,
    )


def _host() -> str:
    return os.environ["AWS_ENDPOINT_URL"].partition("://")[2]


def _git(source: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=source, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _commit(source: Path, number: int) -> str:
    (source / "noise").write_bytes(os.urandom(NOISE))
    _git(source, "add", "-A")
    _git(
        source,
        "-c",
        "user.name=Bench",
        "-c",
        "user.email=bench@localhost",
        "commit",
        "-q",
        "-m",
        f"Round {number}",
    )
    return _git(source, "rev-parse", "HEAD")


def _ours(project: Any, actor: Any, revision: str) -> float:
    from builds.pipeline import pipeline
    from builds.requests import Order, request_build
    from projects.connections import git_repository
    from runs.models import Step

    repository = git_repository(project)
    repository.fetch(0)
    commit = repository.log(None, revision, 1)[0]
    build = request_build(actor, project, Order(commit, branch="main", git_tags=["v1"], is_fresh=True)).build
    began = time.perf_counter()
    pipeline.run(str(build.run_id), build.attempt)
    took = time.perf_counter() - began
    build.refresh_from_db()
    if build.state != "succeeded":
        raise RuntimeError(f"{build.result} {build.hint}")
    steps = Step.objects.filter(run_id=build.run_id)
    progress.tell(f"ours: {took:.1f} s, " + ", ".join(f"{step.name} {step.seconds:.1f} s" for step in steps))
    return took


def _by_hand(source: Path, folder: Path, revision: str) -> float:
    """The same by the command line. Seconds."""
    folder.mkdir()
    began = time.perf_counter()
    archive = subprocess.run(["git", "archive", revision], cwd=source, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x"], cwd=folder, input=archive, check=True)
    name = f"{_host()}/bench/by-hand"
    tags = [f"{name}:{tag}" for tag in (revision, revision[:7], "v1", "branch-main", "latest")]
    wanted = [part for tag in tags for part in ("-t", tag)]
    quiet = {"cwd": folder, "check": True, "capture_output": True}
    labels = [part for number in range(6) for part in ("--label", f"bench.label{number}={revision}")]
    subprocess.run(["docker", "build", "--no-cache", *labels, *wanted, "."], **quiet)  # type: ignore[call-overload]
    built = time.perf_counter() - began
    for tag in tags:
        subprocess.run(["docker", "push", tag], **quiet)  # type: ignore[call-overload]
    took = time.perf_counter() - began
    progress.tell(f"by hand: {took:.1f} s, build {built:.1f} s, push {took - built:.1f} s")
    return took


def _forget() -> None:
    """Removes the images that both have built."""
    for repository in ("bench/app", "bench/by-hand"):
        found = subprocess.run(
            ["docker", "images", "-q", f"{_host()}/{repository}"], check=True, capture_output=True, text=True
        )
        for one in sorted(set(found.stdout.split())):
            subprocess.run(["docker", "rmi", "-f", one], check=False, capture_output=True)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]))) + "\n")
