"""Keeps the pull secret of every sample namespace valid, because the portal does not do so itself.

`python -m sandbox.samples.pull_secrets --kubeconfig K --aws URL` checks every few seconds. It creates missing namespaces. A
secret that is missing, of another registry, or past half of its token's lifetime gets a new token of the sandbox's ECR.
"""

from __future__ import annotations

import argparse
import base64
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.types import Json
from sandbox.aws.images import docker_config, ecr_call
from sandbox.cluster.api import Api, ApiFailed
from sandbox.samples import REGISTRY
from sandbox.samples.names import namespaces

_MANAGER = "slipway-sandbox"
_EXPIRES = "slipway.dev/token-expires-at"
_HALF_LIFE = 6 * 3600.0  # seconds; ECR's tokens live twice that


@dataclass(frozen=True)
class Keeper:
    """Writes the pull secrets of one registry (`aws`: its URL) into one cluster."""

    api: Api
    aws: str

    def keep(self, names: Iterable[str], *, now: float | None = None) -> list[str]:
        """Renews the pull secrets that need it. Returns the namespaces written to. Raises ApiFailed, OSError."""
        moment = time.time() if now is None else now
        stale = [name for name in names if self._is_stale(name, moment)]
        if stale:
            secret = self._fresh_secret()
            for name in stale:
                self._write(name, secret)
        return stale

    def _is_stale(self, namespace: str, now: float) -> bool:
        secret = self.api.find(_path(namespace))
        if secret is None:
            return True
        expires = secret["metadata"].get("annotations", {}).get(_EXPIRES, "")
        config = base64.b64decode(secret.get("data", {}).get(".dockerconfigjson", "")).decode()
        good_until = datetime.fromisoformat(expires).timestamp() if expires else 0.0
        return good_until - now < _HALF_LIFE or self.aws.partition("://")[2] not in config

    def _fresh_secret(self) -> Json:
        entry = ecr_call(self.aws, "GetAuthorizationToken", {})["authorizationData"][0]
        config = docker_config(self.aws, entry["authorizationToken"])
        expires = datetime.fromtimestamp(entry["expiresAt"], UTC).isoformat(timespec="seconds")
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": REGISTRY.pull_secret, "annotations": {_EXPIRES: expires}},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()},
        }

    def _write(self, namespace: str, secret: Json) -> None:
        if self.api.find(f"/api/v1/namespaces/{namespace}") is None:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            self.api.apply(f"/api/v1/namespaces/{namespace}", body, manager=_MANAGER)
        body = {**secret, "metadata": {**secret["metadata"], "namespace": namespace}}
        self.api.apply(_path(namespace), body, manager=_MANAGER)


def _path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets/{REGISTRY.pull_secret}"


def make_keeper(kubeconfig: Path, aws: str) -> Keeper:
    """A keeper for the cluster of a kubeconfig file. Raises ValueError, OSError."""
    return Keeper(Api.from_kubeconfig(kubeconfig, user_agent=_MANAGER), aws)


def main() -> None:
    """Checks in a loop. It prints a failure and tries again in the next round."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.samples.pull_secrets")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--aws", required=True, help="URL of the sandbox's AWS and registry")
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between two looks")
    options = parser.parse_args()
    keeper = make_keeper(options.kubeconfig, options.aws)
    while True:
        try:
            for name in keeper.keep(namespaces()):
                print(f"wrote the pull secret of {name}", flush=True)
        except (ApiFailed, OSError) as error:
            print(f"pull secrets not looked after: {error}", file=sys.stderr, flush=True)
        time.sleep(options.interval)


if __name__ == "__main__":
    main()
