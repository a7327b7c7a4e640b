"""A second portal beside the sandbox's: empty, with a database of its own, and the sandbox's services and cluster around it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError

import yaml

from adapters.kubernetes.client import KubernetesClient
from adapters.kubernetes.errors import KubernetesConflict
from projects.cluster_account import account_yaml
from sandbox.aws import ACCOUNT
from sandbox.aws.images import ecr_call, registry_host
from sandbox.processes import free_port
from tests.e2e.running import ROOT, Running, answers, until
from tests.e2e.world import READY, publish

QUEUES = ("deploys", "live", "messages", "short", "registry", "builds", "git")
PLACES = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/slipway/serviceaccounts",
    "Secret": "/api/v1/namespaces/slipway/secrets",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}


@dataclass(frozen=True)
class Empty:
    """A portal that nobody has used. `url`: without a slash at its end."""

    url: str
    env: Mapping[str, str]

    def setup_link(self) -> str:
        """What `manage.py setuplink` prints."""
        done = subprocess.run(
            [sys.executable, "manage.py", "setuplink"], cwd=ROOT, env=dict(self.env), capture_output=True, text=True,
            check=True, timeout=60,
        )  # fmt: skip
        return done.stdout.split()[-1]


@contextmanager
def empty_portal(sandbox: Running) -> Iterator[Empty]:
    """Starts it, and ends its processes at the end."""
    home = sandbox.directory / "empty"
    home.mkdir(exist_ok=True)
    port = free_port()
    env = {
        "PATH": os.environ["PATH"], **sandbox.env, "PORT": str(port), "BASE_URL": f"http://127.0.0.1:{port}",
        "DATABASE_URL": f"sqlite:///{home / 'portal.sqlite3'}", "DATA_DIR": str(home / "data"),
        "REDIS_URL": sandbox.env["REDIS_URL"].rpartition("/")[0] + "/1", "GITHUB_WEBHOOK_SECRET": "",
    }  # fmt: skip
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "--verbosity=0"], cwd=ROOT, env=env, check=True, timeout=180)
    web = [sys.executable, "-m", "uvicorn", "portal.asgi:application", "--host=127.0.0.1", f"--port={port}"]
    web += ["--timeout-graceful-shutdown=1", "--no-access-log", "--no-proxy-headers"]
    commands = [web, [*manage, "scheduler"], [*manage, "rqworker", *QUEUES]]
    with open(home / "out.log", "wb") as out:
        processes = [subprocess.Popen(one, cwd=ROOT, env=env, stdout=out, stderr=out) for one in commands]
        try:
            until("the empty portal answers", lambda: answers(port) or None)
            yield Empty(env["BASE_URL"], env)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(30)


def account_kubeconfig(sandbox: Running) -> str:
    """The kubeconfig of the account that the portal's page proposes, made as the page says."""
    admin = Path(sandbox.env["KUBECONFIG"]).read_text()
    with KubernetesClient.from_kubeconfig(admin, user_agent="tests") as client:
        for body in yaml.safe_load_all(account_yaml()):
            with suppress(KubernetesConflict):  # on a sandbox that was used before
                client.request("POST", PLACES[body["kind"]], body=body)
        token = client.request(
            "POST", "/api/v1/namespaces/slipway/serviceaccounts/slipway/token",
            body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
        )["status"]["token"]  # fmt: skip
    config = yaml.safe_load(admin)
    config["users"][0]["user"] = {"token": token}
    return json.dumps(config)


WEB = """apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: ${{REPLICAS}}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      imagePullSecrets: [{{name: ecr-pull}}]
      containers:
        - name: web
          image: {registry}/widget/web:latest
          env:
            - {{name: GREETING, value: "${{GREETING}}"}}
          envFrom: [{{secretRef: {{name: widget}}}}]
          readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}}}
"""
SECRET = 'apiVersion: v1\nkind: Secret\nmetadata: {name: widget}\ndata: {API_TOKEN: ""}\n'


def fresh_repository(sandbox: Running) -> str:
    """A repository that no portal has seen, with the images of its only commit, as if a pipeline had made them; its address."""
    aws = sandbox.env["AWS_ENDPOINT_URL"]
    bare, work = sandbox.directory / "git" / "widget.git", sandbox.directory / "empty" / "work"
    files = {
        "kubernetes/staging/web.yaml": WEB.format(registry=registry_host(aws)),
        "kubernetes/staging/secrets.yaml": SECRET,
        "web/Dockerfile": "FROM scratch\n",
    }
    for path, text in files.items():
        place = work / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    who = ["-c", "user.name=Tess", "-c", "user.email=tess@example.com"]
    git = ["git", "-C", str(work)]
    for command in (
        ["git", "init", "-q", "--bare", "--initial-branch=trunk", str(bare)],
        [*git, "init", "-q", "--initial-branch=trunk"], [*git, "add", "."],
        [*git, *who, "commit", "-q", "-m", "Begin"], [*git, "push", "-q", str(bare), "trunk"],
    ):  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
    commit = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    with suppress(HTTPError):  # the same
        ecr_call(aws, "CreateRepository", {"repositoryName": "widget/web"})
    publish(sandbox, commit, {"widget/web": READY})
    return f"http://127.0.0.1:{sandbox.ports['git']}/widget.git"


def registry_fields(sandbox: Running) -> dict[str, str]:
    """What a person types of the registry."""
    return {"Name": "ECR", "Address": sandbox.env["AWS_ENDPOINT_URL"], "AWS account": ACCOUNT}
