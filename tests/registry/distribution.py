"""A real registry (Debian's `docker-registry`) with a user and a password, which can be changed while it runs."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import pytest

from sandbox import processes
from sandbox.supervision.programs import http_answers

# Passwords with their bcrypt hashes, as the registry wants them.
TODAY, TOMORROW = "token-of-today", "token-of-tomorrow"
HASHES = {
    TODAY: "$2y$05$abcdefghijklmnopqrstuuzvKYYaKWJ/dqC/GO.V2fnrhQiPgdzLO",
    TOMORROW: "$2y$05$abcdefghijklmnopqrstuubsTRtPUgHFWXJzqZNncAMIueYrXcX92",
}
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"


@dataclass(frozen=True)
class Distribution:
    """The running registry. `users`: its file of passwords."""

    url: str
    users: Path

    def opens_to(self, *passwords: str) -> None:
        """From now on it opens to these passwords of the user AWS. It reads the file again when its time changes."""
        before = self.users.stat().st_mtime if self.users.exists() else 0
        self.users.write_text("".join(f"AWS:{HASHES[one]}\n" for one in passwords))
        os.utime(self.users, (before + 5, before + 5))

    def push(self, repository: str, tag: str, password: str) -> str:
        """Pushes an image without layers. Returns its digest."""
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}}).encode()
        digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
        upload = self._send("POST", f"{self.url}/v2/{repository}/blobs/uploads/", password)
        self._send("PUT", f"{upload}&digest={digest}", password, config, "application/octet-stream")
        manifest = json.dumps(
            {
                "schemaVersion": 2, "mediaType": _MANIFEST, "layers": [],
                "config": {"mediaType": _CONFIG, "size": len(config), "digest": digest},
            }
        ).encode()  # fmt: skip
        self._send("PUT", f"{self.url}/v2/{repository}/manifests/{tag}", password, manifest, _MANIFEST)
        return f"sha256:{hashlib.sha256(manifest).hexdigest()}"

    def _send(self, method: str, url: str, password: str, body: bytes = b"", kind: str = "") -> str:
        """Sends a request; returns where it leads."""
        pair = base64.b64encode(f"AWS:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {pair}", **({"Content-Type": kind} if kind else {})}
        request = urllib.request.Request(url, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return urljoin(url, answer.headers.get("Location", ""))


@contextmanager
def running_distribution(directory: Path) -> Iterator[Distribution]:
    """The registry as a program, without an image. Skips the test without the program."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed (Debian: apt-get install docker-registry)")
    port = processes.free_port()
    users, settings = directory / "users", directory / "config.json"
    found = Distribution(f"http://127.0.0.1:{port}", users)
    found.opens_to(TODAY)
    settings.write_text(
        json.dumps(
            {
                "version": 0.1, "log": {"level": "warn"}, "storage": {"filesystem": {"rootdirectory": str(directory / "data")}},
                "http": {"addr": f"127.0.0.1:{port}"}, "auth": {"htpasswd": {"realm": "tests", "path": str(users)}},
            }
        )
    )  # fmt: skip
    child = processes.spawn(
        [program, "serve", str(settings)], log=directory / "registry.log", env={"PATH": os.environ["PATH"]},
        cwd=directory, name="docker-registry",
    )  # fmt: skip
    try:
        processes.wait_until(
            lambda: http_answers(port, "/v2/", 401), [child], seconds=30, what="the registry"
        )
        yield found
    finally:
        child.process.kill()
        child.process.wait()
