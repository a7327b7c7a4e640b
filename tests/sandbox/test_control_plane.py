"""The control plane keeps its data, its address and its credentials over restarts, and says what went wrong."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import processes
from sandbox.cluster.accounts import READING, account_kubeconfig
from sandbox.cluster.api import Api, ApiFailed, Credentials
from sandbox.cluster.control_plane import ControlPlane, ControlPlaneError, assets
from tests.planes import need_control_plane
from tests.sandbox.played import ROOT, until

pytestmark = [pytest.mark.control_plane, pytest.mark.slow]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Running at the beginning and at the end of each test that uses it."""
    need_control_plane()
    with ControlPlane(tmp_path_factory.mktemp("plane")) as running:
        yield running


def _api(kubeconfig: str) -> Api:
    return Api(Credentials.from_kubeconfig(kubeconfig), user_agent="tests")


def _pids(plane: ControlPlane) -> list[int]:
    return [child.pid for child in plane.children]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_restart_keeps_everything(plane: ControlPlane) -> None:
    before = plane.kubeconfig.read_text()
    api = _api(before)
    api.create("/api/v1/namespaces", {"metadata": {"name": "kept"}})
    began = time.monotonic()
    plane.stop()
    assert time.monotonic() - began < 30, "three seconds are given, then it is killed"
    plane.start()
    assert plane.kubeconfig.read_text() == before
    assert api.get("/api/v1/namespaces/kept")["metadata"]["name"] == "kept"


def test_the_kubeconfig_is_for_its_owner_only(plane: ControlPlane) -> None:
    private = [plane.kubeconfig, *plane.directory.glob("*.key"), *plane.directory.glob("*.log")]
    assert {p.stat().st_mode & 0o777 for p in private} == {0o600}


def test_a_taken_port_means_another_one_and_a_new_kubeconfig(plane: ControlPlane) -> None:
    before = Credentials.from_kubeconfig(plane.kubeconfig.read_text())
    plane.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", int(before.server.rpartition(":")[2])))
        other.listen()
        plane.start()
    after = Credentials.from_kubeconfig(plane.kubeconfig.read_text())
    assert after.server != before.server
    assert after.certificate == before.certificate
    assert _api(plane.kubeconfig.read_text()).text("/readyz") == "ok"


def test_a_second_one_in_the_same_directory_is_refused(plane: ControlPlane) -> None:
    with pytest.raises(ControlPlaneError, match="Another control plane already runs"):
        ControlPlane(plane.directory).start()
    plane.check()


def test_a_program_that_ends_is_named_with_its_last_lines(plane: ControlPlane) -> None:
    scheduler = plane.children[-1]
    os.kill(scheduler.pid, signal.SIGKILL)
    scheduler.process.wait()
    with pytest.raises(ControlPlaneError, match=r"kube-scheduler was ended by signal 9. Its last lines:\n.+"):
        plane.check()
    plane.stop()
    plane.start()
    plane.check()


def test_data_of_a_killed_run_is_taken_up(plane: ControlPlane) -> None:
    api = _api(plane.kubeconfig.read_text())
    api.create("/api/v1/namespaces", {"metadata": {"name": "survivor"}})
    for pid in _pids(plane):
        os.kill(pid, signal.SIGKILL)
    plane.stop()
    plane.start()
    assert _api(plane.kubeconfig.read_text()).find("/api/v1/namespaces/survivor")


def test_damaged_data_is_explained_and_nothing_keeps_running(tmp_path: Path) -> None:
    need_control_plane()
    plane = ControlPlane(tmp_path)
    (tmp_path / "etcd").write_text("no directory")
    with pytest.raises(ControlPlaneError, match="etcd ended with code") as failed:
        plane.start()
    assert str(tmp_path) in failed.value.hint
    assert plane.children == ()


def test_nothing_outlives_its_parent(tmp_path: Path) -> None:
    need_control_plane()
    program = (
        "import pathlib, sys, time\n"
        "from sandbox.cluster.control_plane import ControlPlane\n"
        "plane = ControlPlane(pathlib.Path(sys.argv[1])); plane.start()\n"
        "print(*(c.pid for c in plane.children), flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 4
    assert all(map(_alive, pids))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not any(map(_alive, pids)), seconds=60, what="the end of the programs")


def test_a_lasting_token_is_the_same_again(plane: ControlPlane) -> None:
    first = account_kubeconfig(plane.kubeconfig, "portal")
    assert account_kubeconfig(plane.kubeconfig, "portal") == first
    assert Credentials.from_kubeconfig(first).certificate == ""
    api = _api(first)
    api.create("/api/v1/namespaces", {"metadata": {"name": "by-token"}})
    assert api.text("/readyz") == "ok"


def test_a_token_that_ends_and_has_few_rights(plane: ControlPlane) -> None:
    api = _api(account_kubeconfig(plane.kubeconfig, "reader", rules=READING, expires_after=600))
    assert api.get("/api/v1/namespaces")["items"]
    with pytest.raises(ApiFailed) as refused:
        api.create("/api/v1/namespaces", {"metadata": {"name": "no"}})
    assert (refused.value.status, refused.value.reason) == (403, "Forbidden")


def test_rights_in_one_namespace_without_deployments(plane: ControlPlane) -> None:
    everything_but = [
        {"apiGroups": [""], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch"]},
    ]
    text = account_kubeconfig(plane.kubeconfig, "half", rules=everything_but, only_in="default")
    api = _api(text)
    api.create("/api/v1/namespaces/default/configmaps", {"metadata": {"name": "mine"}})
    assert api.get("/apis/apps/v1/namespaces/default/deployments")["kind"] == "DeploymentList"
    with pytest.raises(ApiFailed, match="cannot create resource"):
        api.create("/apis/apps/v1/namespaces/default/deployments", {"metadata": {"name": "no"}})
    with pytest.raises(ApiFailed, match="forbidden"):
        api.get("/api/v1/namespaces/kube-system/secrets")


@pytest.mark.parametrize(("value", "said"), [("", "names no control plane"), ("/nowhere", "lacks etcd")])
def test_missing_programs_are_explained(value: str, said: str) -> None:
    with pytest.raises(ControlPlaneError, match=said) as error:
        assets(value)
    assert "setup-envtest" in error.value.hint


def test_the_workers_programs_die_with_the_plane(plane: ControlPlane) -> None:
    pids = _pids(plane)
    plane.stop()
    assert not any(map(_alive, pids))
    plane.start()
    assert (
        processes.port_is_free(int(Credentials.from_kubeconfig(plane.kubeconfig.read_text()).server[-5:]))
        is False
    )
