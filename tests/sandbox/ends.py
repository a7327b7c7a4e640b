"""The sandbox's AWS end as a program of its own, for tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from sandbox import processes
from sandbox.layout import ROOT
from sandbox.supervision.programs import http_answers


@dataclass(frozen=True)
class Aws:
    """A running AWS end. `directory` holds its state: starting another on it is a restart."""

    url: str
    directory: Path

    def client(self, service: str, **more: Any) -> Any:
        """A boto3 client of it."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="eu-west-2",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 1}),
            **more,
        )


@contextmanager
def running_aws(directory: Path, *, token_lifetime: float = 43200, port: int = 0) -> Iterator[Aws]:
    """The AWS end as a program; killed the hard way at the end, so that what it kept is what it had written."""
    port = port or processes.free_port()
    command = [sys.executable, "-m", "sandbox.aws", "--directory", directory, "--port", port]
    command += ["--token-lifetime", token_lifetime]
    env = {"PATH": os.environ["PATH"]}
    child = processes.spawn(
        [str(part) for part in command], log=directory.parent / "aws.log", env=env, cwd=ROOT, name="aws"
    )
    try:
        processes.wait_until(lambda: http_answers(port, "/v2/", 401), [child], seconds=60, what="the AWS end")
        yield Aws(f"http://127.0.0.1:{port}", directory)
    finally:
        child.process.kill()
        child.process.wait()
