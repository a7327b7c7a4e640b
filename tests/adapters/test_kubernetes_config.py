"""Which kubeconfigs are accepted, and that nothing of them touches the disk."""

from __future__ import annotations

import base64
import subprocess
import tempfile
import traceback
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.errors import ExternalError, Invalid
from adapters.kubernetes.client import KubernetesClient, check_kubeconfig
from adapters.kubernetes.config import read_kubeconfig, tls_context


def kubeconfig(user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None, **top: Any) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "main",
            "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
            "clusters": [{"name": "c", "cluster": cluster or {"server": "https://cluster.example:6443"}}],
            "users": [{"name": "u", "user": {"token": "t0ken"} if user is None else user}],
            **top,
        }
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate and its key, as kubeconfigs hold them."""
    folder = tmp_path_factory.mktemp("pair")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout k -out c -days 2 -subj /CN=u"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    certificate, key = (base64.b64encode((folder / name).read_bytes()).decode() for name in ("c", "k"))
    return certificate, key


def test_a_token_is_accepted_and_only_facts_come_back() -> None:
    facts = check_kubeconfig(kubeconfig())
    assert (facts.server, facts.user, facts.namespace) == ("https://cluster.example:6443", "u", "shop")
    assert "t0ken" not in repr(read_kubeconfig(kubeconfig()))


def test_a_client_certificate_is_accepted_without_a_file(
    pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, key = pair
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    user = {"client-certificate-data": certificate, "client-key-data": key}
    cluster = {"server": "https://cluster.example", "certificate-authority-data": certificate}
    text = kubeconfig(user, cluster)
    check_kubeconfig(text)
    context = tls_context(read_kubeconfig(text))
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("user", "word"),
    [
        ({"exec": {"command": "doctl"}}, "exec"),
        ({"auth-provider": {"name": "gcp"}}, "auth-provider"),
        ({"client-certificate": "/etc/c", "client-key": "/etc/k"}, "client-certificate is a file path"),
        ({"client-key": "/etc/k", "token": "t"}, "client-key is a file path"),
        ({"tokenFile": "/var/run/token"}, "tokenFile is a file path"),
        ({"username": "admin", "password": "p"}, "password"),
        ({"token": "t", "as": "root"}, "impersonates"),
        ({}, "no credentials"),
        ({"token": "a\r\nX-Evil: 1"}, "characters"),
        ({"client-certificate-data": "AAAA"}, "do not come together"),
        ({"client-certificate-data": "!", "client-key-data": "!"}, "not base64"),
        ({"client-certificate-data": "AAAA", "client-key-data": "AAAA"}, "cannot be read"),
    ],
)
def test_credentials_that_must_not_run_or_be_read_here_are_refused(user: dict[str, Any], word: str) -> None:
    with pytest.raises(Invalid, match=word) as caught:
        check_kubeconfig(kubeconfig(user))
    assert isinstance(caught.value, ExternalError)
    assert caught.value.permanent


@pytest.mark.parametrize(
    ("cluster", "word"),
    [
        ({"server": "https://c", "insecure-skip-tls-verify": True}, "insecure-skip-tls-verify"),
        (
            {"server": "https://c", "certificate-authority": "/etc/ca.crt"},
            "certificate-authority is a file path",
        ),
        ({"server": "https://c", "proxy-url": "http://proxy:3128"}, "proxy-url"),
        ({"server": "http://cluster.example"}, "https"),
        ({"server": "cluster.example"}, "no URL"),
        ({"server": "https://user:pw@c"}, "no URL"),
        ({"server": "https://c:99999999"}, "no URL"),
        ({"server": "https://c", "certificate-authority-data": "%%"}, "not base64"),
        ({"server": "https://c", "certificate-authority-data": "QUJD"}, "cannot be read"),
        ({"name": "nothing"}, "no URL"),
    ],
)
def test_clusters_that_cannot_be_trusted_are_refused(cluster: dict[str, Any], word: str) -> None:
    with pytest.raises(Invalid, match=word):
        check_kubeconfig(kubeconfig(cluster=cluster))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "not valid YAML"),
        ("- a", "no kubeconfig"),
        ("", "no kubeconfig"),
        ("kind: Deployment", "no kubeconfig"),
        ("kind: Config", "current-context"),
        ("x" * 1_000_001, "larger"),
        (kubeconfig(**{"current-context": "other"}), "no entry “other”"),
        (kubeconfig(users=[]), "users has no entry"),
        (kubeconfig(clusters="nonsense"), "clusters has no entry"),
    ],
)
def test_what_is_no_kubeconfig_is_refused_with_the_reason(text: str, word: str) -> None:
    with pytest.raises(Invalid, match=word):
        check_kubeconfig(text)


def test_only_the_current_context_counts() -> None:
    users = [{"name": "u", "user": {"token": "t"}}, {"name": "other", "user": {"exec": {"command": "x"}}}]
    assert check_kubeconfig(kubeconfig(users=users)).user == "u"


def test_a_single_context_is_the_current_one() -> None:
    assert check_kubeconfig(kubeconfig(**{"current-context": ""})).user == "u"


def test_a_client_can_be_made_without_a_connection() -> None:
    client = KubernetesClient.from_kubeconfig(kubeconfig(), user_agent="slipway/1")
    assert client.server == "https://cluster.example:6443"
    assert "t0ken" not in repr(client)


@pytest.mark.parametrize("broken", ["token: canary-t0ken: x", 'token: canary-t0ken, "x'])
def test_no_traceback_quotes_a_line_that_is_no_yaml(broken: str) -> None:
    with pytest.raises(ExternalError, match="not valid YAML") as caught:
        check_kubeconfig(f"apiVersion: v1\nkind: Config\nusers: [\n{{{broken}\n")
    assert "canary" not in "".join(traceback.format_exception(caught.value))
