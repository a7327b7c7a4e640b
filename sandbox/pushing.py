"""`python -m sandbox push PROJECT "subject"`: commits a small change to a sample project and pushes it to the sandbox's Git
server, whose GitHub end tells the portal. Where the sandbox has no Docker engine it then plays another build tool: it
publishes the commit's images and reports them with `manage.py report_build`.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

from engine.errors import SlipwayError
from sandbox import environment
from sandbox.layout import ROOT, Layout
from sandbox.samples import SAMPLES
from sandbox.samples.history import Revision
from sandbox.samples.model import SampleProject
from sandbox.samples.people import DEVIN

PATIENCE = 15.0  # seconds for the answer of the portal
_REPORT_SECONDS = 60.0


def main(arguments: Sequence[str], layout: Layout) -> int:
    """Pushes, and says what followed. Returns the exit code: 1 when the portal did not take the delivery or the report."""
    options = _parser().parse_args(arguments)
    sample = next((one for one in SAMPLES if one.slug == options.project), None)
    if sample is None:
        names = ", ".join(one.slug for one in SAMPLES)
        raise SlipwayError(f"There is no sample project {options.project}.", hint=f"There are {names}.")
    with tempfile.TemporaryDirectory(prefix="sandbox-push-") as folder:
        revision = commit_and_push(layout, sample, options.branch, options.subject, Path(folder) / "clone")
    print(f"{revision.commit[:7]} {options.subject}: pushed to {options.branch} of {sample.slug}")
    taken = say_delivery(layout, revision.commit)
    if layout.docker_host or not sample.images:
        return 0 if taken else 1
    return publish_and_report(layout, sample, revision) or (0 if taken else 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox push", description=__doc__)
    parser.add_argument("project", help="the short name of a sample project, e.g. storefront")
    parser.add_argument(
        "subject", nargs="?", default="Say more", help="the first line of the commit's message"
    )
    parser.add_argument("--branch", default="main")
    return parser


def commit_and_push(
    layout: Layout, sample: SampleProject, branch: str, subject: str, clone: Path
) -> Revision:
    """Makes the commit in a clone and pushes it over HTTP. Raises SlipwayError when Git refuses."""
    url = layout.git_url(sample.repository)
    _git(layout, "clone", "--quiet", "--depth=1", f"--branch={branch}", "--", url, str(clone))
    changed = clone / changed_file(sample)
    changed.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    with changed.open("a") as file:
        file.write(f"{now:%Y-%m-%d %H:%M:%S.%f} {subject}\n")
    _git(layout, "add", "--all", cwd=clone)
    _git(layout, "commit", "--quiet", f"--message={subject}", cwd=clone)
    _git(layout, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}", cwd=clone)
    commit = _git(layout, "rev-parse", "HEAD", cwd=clone).strip()
    return Revision(commit, branch, now, files_of(clone))


def changed_file(sample: SampleProject) -> str:
    """The file that the change is made in: beside the first image's Dockerfile, so that the image changes, too."""
    folder = sample.images[0].dockerfile.rpartition("/")[0] if sample.images else ""
    return f"{folder}/CHANGES".lstrip("/")


def files_of(clone: Path) -> dict[str, bytes]:
    """The files of a clone by path, without Git's own."""
    paths = sorted(path for path in clone.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(clone).as_posix(): path.read_bytes() for path in paths}


def say_delivery(layout: Layout, commit: str) -> bool:
    """Waits for the delivery of a push and prints the portal's answer. Whether the portal took it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        entry = _delivery(layout.github_url, commit)
        if entry and entry["attempts"]:
            last = entry["attempts"][-1]
            what = f"HTTP {last['status']}" if last["status"] else last["answer"]
            print(f"GitHub told the portal ({what} in {last['seconds']} s): {layout.portal_url}/builds/")
            return 200 <= int(last["status"]) < 300
        time.sleep(0.1)
    print(f"GitHub has not told the portal yet; see {layout.github_url}", file=sys.stderr)
    return False


def _delivery(url: str, commit: str) -> dict[str, Any] | None:
    """The delivery of a push as the GitHub end shows it; None before there is one."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=5) as response:
            shown = json.loads(response.read())
    except (OSError, HTTPException, ValueError):
        return None
    found: list[dict[str, Any]] = shown["deliveries"]
    return next((one for one in found if one["payload"].get("after") == commit), None)


def publish_and_report(layout: Layout, sample: SampleProject, revision: Revision) -> int:
    """Publishes the images of a commit without a Docker engine, and reports them to the portal. Returns the exit code."""
    # Imported here: they load boto3.
    from sandbox.samples.publish import publish_revision
    from sandbox.supervision.programs import portal_env

    names = publish_revision(layout.aws_url, sample, revision)
    print(f"no Docker engine: another tool published {', '.join(names)}")
    print(
        "(where the project builds pushes, the portal's own build of this one ends with a sentence about the engine)"
    )
    command = [sys.executable, "manage.py", "report_build", sample.slug, revision.commit]
    variables = {**portal_env(layout, None), **database_of(layout)}
    return subprocess.run(command, cwd=ROOT, env=variables, timeout=_REPORT_SECONDS, check=False).returncode


def database_of(layout: Layout) -> dict[str, str]:
    """The database of the running sandbox, which was started in another shell, maybe with another one than usual."""
    running = layout.directory / "env"
    return {"DATABASE_URL": environment.read(running)["DATABASE_URL"]} if running.exists() else {}


def _git(layout: Layout, *arguments: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=cwd, env=_environment(layout), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = done.stderr.strip().replace(layout.keys.git_token, "…") or "it gave no reason"
        raise SlipwayError(f"Git refused ({arguments[0]}): {said}", hint="Is the sandbox running?")
    return done.stdout


def _environment(layout: Layout) -> Mapping[str, str]:
    """The token is in the environment: arguments of a process are seen by all."""
    pair = base64.b64encode(f"x-access-token:{layout.keys.git_token}".encode()).decode()
    person = {"NAME": DEVIN.name, "EMAIL": DEVIN.email}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(layout.directory / "home"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {pair}",
        **{f"GIT_AUTHOR_{name}": value for name, value in person.items()},
        **{f"GIT_COMMITTER_{name}": value for name, value in person.items()},
    }
