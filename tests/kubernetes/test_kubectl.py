"""`kubectl` without extra flags: what people type every day (the program of KUBEBUILDER_ASSETS)."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sandbox import processes
from tests.kubernetes.support import Home, Json, config_map, deployment, until
from tests.planes import kubectl_program

pytestmark = pytest.mark.usefixtures("nodes")
Kubectl = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def kubectl(home: Home, tmp_path: Path) -> Kubectl:
    """Runs it in the test's namespace; `ok=False` for what is to fail."""
    program = kubectl_program()

    def run(*arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        where = [
            "--kubeconfig",
            str(home.kubeconfig),
            "-n",
            home.name,
            "--cache-dir",
            str(tmp_path / "cache"),
        ]
        done = subprocess.run(
            [str(program), *where, *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        assert not ok or done.returncode == 0, done.stderr
        return done

    return run


def written(path: Path, *bodies: Json) -> str:
    path.write_text(yaml.safe_dump_all(bodies))
    return str(path)


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    return written(tmp_path / "web.yaml", deployment(replicas=2), {**service, "spec": spec})


@pytest.fixture
def running(home: Home, kubectl: Kubectl, manifest: str) -> str:
    kubectl("apply", "--server-side", "-f", manifest)
    home.rolled_out()
    return manifest


def test_apply_server_side(kubectl: Kubectl, manifest: str) -> None:
    out = kubectl("apply", "--server-side", "-f", manifest).stdout
    assert out.splitlines() == ["deployment.apps/web serverside-applied", "service/web serverside-applied"]


def test_apply_the_old_way(home: Home, kubectl: Kubectl, manifest: str, tmp_path: Path) -> None:
    assert "deployment.apps/web created" in kubectl("apply", "-f", manifest).stdout
    assert "deployment.apps/web unchanged" in kubectl("apply", "-f", manifest).stdout
    body = deployment(replicas=2, tag="2")
    del body["spec"]["replicas"]
    assert (
        kubectl("apply", "-f", written(tmp_path / "2.yaml", body)).stdout
        == "deployment.apps/web configured\n"
    )
    assert home.live("deployments", "web")["spec"]["replicas"] == 1


def test_apply_a_list(kubectl: Kubectl, tmp_path: Path) -> None:
    path = written(tmp_path / "list.yaml", {"apiVersion": "v1", "kind": "List", "items": [config_map(a="1")]})
    assert kubectl("apply", "-f", path).stdout == "configmap/settings created\n"


def test_create(kubectl: Kubectl, manifest: str) -> None:
    assert "deployment.apps/web created" in kubectl("create", "-f", manifest).stdout
    assert '"web" already exists' in kubectl("create", "-f", manifest, ok=False).stderr


def test_mistakes_are_explained(kubectl: Kubectl, tmp_path: Path) -> None:
    path = written(tmp_path / "x.yaml", deployment(replicaz=1))
    assert 'unknown field "spec.replicaz"' in kubectl("create", "-f", path, ok=False).stderr


def test_diff(kubectl: Kubectl, running: str, tmp_path: Path) -> None:
    assert kubectl("diff", "--server-side", "-f", running).stdout == ""
    path = written(tmp_path / "2.yaml", deployment(replicas=2, tag="2"))
    done = kubectl("diff", "--server-side", "-f", path, ok=False)
    assert done.returncode == 1
    assert "+      - image: registry.example/app:2" in done.stdout.replace("+        image", "+      - image")


def test_get(kubectl: Kubectl, running: str) -> None:
    head, row = kubectl("get", "deployments").stdout.splitlines()
    assert head.split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert row.split()[:4] == ["web", "2/2", "2", "2"]
    head, *rows = kubectl("get", "pods").stdout.splitlines()
    assert head.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [r.split()[1:4] for r in rows] == [["1/1", "Running", "0"]] * 2
    assert "service/web" in kubectl("get", "all").stdout


def test_get_as_yaml(kubectl: Kubectl, running: str) -> None:
    assert yaml.safe_load(kubectl("get", "deploy", "web", "-o", "yaml").stdout)["spec"]["replicas"] == 2


def test_describe(kubectl: Kubectl, running: str) -> None:
    text = kubectl("describe", "deployment", "web").stdout
    assert "2 desired | 2 updated | 2 total | 2 available | 0 unavailable" in text
    assert "Scaled up replica set" in text
    assert "Started" in kubectl("describe", "pods").stdout


def test_rollout(home: Home, kubectl: Kubectl, running: str) -> None:
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web").stdout
    assert "restarted" in kubectl("rollout", "restart", "deployment/web").stdout
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web").stdout
    assert "2" in kubectl("rollout", "history", "deployment/web").stdout
    assert "rolled back" in kubectl("rollout", "undo", "deployment/web").stdout
    assert "kubectl.kubernetes.io/restartedAt" not in str(home.rolled_out()["spec"]["template"])


def test_scale_and_wait(home: Home, kubectl: Kubectl, running: str) -> None:
    assert "scaled" in kubectl("scale", "deployment/web", "--replicas=3").stdout
    home.rolled_out()
    assert "condition met" in kubectl("wait", "--for=condition=Available", "deployment/web").stdout


def test_logs(kubectl: Kubectl, running: str) -> None:
    assert "started registry.example/app:1" in kubectl("logs", "deployment/web").stdout


def test_logs_are_followed(home: Home, kubectl: Kubectl, tmp_path: Path) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.example/job:1"}]}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j"},
        "spec": {"template": {"spec": pod}},
    }
    kubectl("create", "-f", written(tmp_path / "j.yaml", job))
    until(lambda: home.live("jobs", "j")["status"].get("succeeded"), what="its end")
    assert "started registry.example/job:1" in kubectl("logs", "-f", "job/j").stdout


def test_delete(home: Home, kubectl: Kubectl, running: str) -> None:
    assert 'deployment.apps "web" deleted' in kubectl("delete", "-f", running).stdout
    until(lambda: not home.api.get(home.path("pods"))["items"], what="the end of its pods")


def test_delete_in_the_foreground(home: Home, kubectl: Kubectl, running: str) -> None:
    kubectl("delete", "deployment", "web", "--cascade=foreground")
    assert home.api.get(home.path("replicasets"))["items"] == []


def test_explain(kubectl: Kubectl) -> None:
    text = kubectl("explain", "deployment.spec.replicas").stdout
    assert "FIELD: replicas <integer>" in text
    assert "Number of desired pods" in text


def test_cordon(home: Home, kubectl: Kubectl, nodes: processes.Child) -> None:
    assert "cordoned" in kubectl("cordon", "node-1").stdout
    assert "SchedulingDisabled" in kubectl("get", "node", "node-1").stdout
    assert "uncordoned" in kubectl("uncordon", "node-1").stdout
