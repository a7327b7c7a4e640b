"""The account that the portal needs on a cluster, as YAML to apply, and how a kubeconfig is made of it.

The rules are made from the rights that the portal itself checks (projects/cluster_rights.py).
"""

from __future__ import annotations

import json
from typing import Any

from projects.cluster_rights import every_right, rules_of

NAME = "slipway"
FILE = "slipway-account.yaml"
TOKEN = f"{NAME}-token"
_RBAC = "rbac.authorization.k8s.io"


def account_objects() -> list[dict[str, Any]]:
    """Namespace, ServiceAccount, token, ClusterRole and its binding."""
    here = {"name": NAME, "namespace": NAME}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": here},
        {
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
            "metadata": {"name": TOKEN, "namespace": NAME, "annotations": {"kubernetes.io/service-account.name": NAME}},
        },
        {
            "apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": NAME}, "rules": rules_of(every_right()),
        },
        {
            "apiVersion": f"{_RBAC}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": NAME},
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", **here}],
        },
    ]  # fmt: skip


def account_yaml() -> str:
    """The same as a file for `kubectl apply -f`. Kinds that are not in it, such as autoscalers, need rules of their own."""
    head = (
        "# What Slipway needs to deploy the usual kinds to every namespace, to make namespaces, and to keep image pull\n"
        "# secrets valid. Add rules for further kinds that your manifests hold.\n"
    )
    return head + "---\n".join(_text(one) for one in account_objects())


def _text(body: dict[str, Any]) -> str:
    """One object. Values that are lists or texts stand in JSON, which is YAML, so that a rule is one line each."""
    lines = []
    for key, value in body.items():
        if key == "rules":
            lines += ["rules:", *(f"  - {{{_flow(rule)}}}" for rule in value)]
        else:
            lines.append(f"{key}: {value if isinstance(value, str) else json.dumps(value)}")
    return "\n".join(lines) + "\n"


def _flow(rule: dict[str, list[str]]) -> str:
    return ", ".join(f"{name}: {json.dumps(values)}" for name, values in rule.items())


def kubeconfig_script() -> str:
    """A shell script that prints the account's kubeconfig; for a person who may read the token."""
    return f"""\
secret() {{ kubectl get secret {TOKEN} -n {NAME} -o "jsonpath={{.data.$1}}"; }}
cat <<END
apiVersion: v1
kind: Config
current-context: {NAME}
clusters:
  - name: {NAME}
    cluster:
      server: $(kubectl config view --minify -o "jsonpath={{.clusters[0].cluster.server}}")
      certificate-authority-data: $(secret 'ca\\.crt')
users:
  - name: {NAME}
    user: {{token: $(secret token | base64 -d)}}
contexts:
  - name: {NAME}
    context: {{cluster: {NAME}, user: {NAME}}}
END
"""
