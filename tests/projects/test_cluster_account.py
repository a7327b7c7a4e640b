"""The account's YAML: it gives the rights that are checked and no other ones. tests/projects/test_checking_live.py applies it."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
import yaml
from django.core.management import call_command

from projects.cluster_account import account_objects, account_yaml, kubeconfig_script
from projects.cluster_rights import every_right, rights_for_pulls, rights_needed
from tests import factories as make


def test_the_rules_are_the_rights_that_are_checked() -> None:
    [role] = [body for body in yaml.safe_load_all(account_yaml()) if body["kind"] == "ClusterRole"]
    given = {
        (verb, group, kind)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for kind in rule["resources"]
        for verb in rule["verbs"]
    }
    assert given == {(right.verb, right.group, right.resource) for right in every_right()}
    assert {*rights_needed(), *rights_for_pulls()} <= {*every_right()}
    assert "*" not in {word for one in given for word in one}


def test_the_text_is_the_objects() -> None:
    assert list(yaml.safe_load_all(account_yaml())) == account_objects()
    assert [body["kind"] for body in account_objects()] == [
        "Namespace", "ServiceAccount", "Secret", "ClusterRole", "ClusterRoleBinding",
    ]  # fmt: skip


def test_the_script_prints_a_kubeconfig(tmp_path: Any) -> None:
    """With a `kubectl` that answers as a cluster does."""
    import os
    import subprocess

    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        '#!/bin/sh\ncase "$*" in *server*) printf https://k.example:6443;; *ca*) printf Q0E=;; *token}*) printf dG9rZW4=;; esac\n'
    )
    kubectl.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    made = subprocess.run(
        ["sh"], input=kubeconfig_script(), env=env, capture_output=True, text=True, check=True
    )
    config = yaml.safe_load(made.stdout)
    assert config["clusters"][0]["cluster"] == {
        "server": "https://k.example:6443", "certificate-authority-data": "Q0E=",
    }  # fmt: skip
    assert config["users"][0]["user"] == {"token": "token"}
    assert config["current-context"] == config["contexts"][0]["name"]


def test_the_command_prints_both() -> None:
    out = StringIO()
    call_command("clusterrights", stdout=out)
    assert out.getvalue() == account_yaml()
    out = StringIO()
    call_command("clusterrights", "--kubeconfig", stdout=out)
    assert out.getvalue() == kubeconfig_script()


@pytest.mark.django_db
def test_the_page_shows_it_and_goes_on_to_where_the_person_came_from(client: Any) -> None:
    client.force_login(make.make_user(is_admin=True))
    text = client.get("/admin/clusters/new/?next=/projects/shop/").content.decode()
    assert "kind: ClusterRoleBinding" in text
    assert '<input type="hidden" name="next" value="/projects/shop/">' in text
