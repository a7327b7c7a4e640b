"""What else the player brings: addresses of load balancers and ingresses, certificates, a known Job's traces."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509

from sandbox.cluster.api import Api
from tests.planes import Plane
from tests.sandbox.fake_registry import FakeRegistry
from tests.sandbox.played import Shop, until

Json = dict[str, Any]
KINDS = {"certificates": "Certificate", "issuers": "Issuer", "clusterissuers": "ClusterIssuer"}


def _service(shop: Shop, name: str, kind: str = "LoadBalancer", **labels: str) -> str:
    body = {"metadata": {"name": name, "labels": labels}, "spec": {"type": kind, "ports": [{"port": 80}]}}
    shop.api.create(f"{shop.core}/services", body)
    return f"{shop.core}/services/{name}"


def _address(shop: Shop, path: str) -> str:
    found = until(
        lambda: shop.api.get(path)["status"].get("loadBalancer", {}).get("ingress"), what="an address"
    )
    return str(found[0]["ip"])


def _ingress(shop: Shop, annotations: dict[str, str] | None = None) -> str:
    spec = {
        "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}},
        "tls": [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}],
    }
    path = f"/apis/networking.k8s.io/v1/namespaces/{shop.name}/ingresses"
    shop.api.create(path, {"metadata": {"name": "web", "annotations": annotations or {}}, "spec": spec})
    return f"{path}/web"


def test_each_load_balancer_gets_an_address_of_its_own(shop: Shop) -> None:
    addresses = {_address(shop, _service(shop, name)) for name in ("one", "two", "three")}
    assert len(addresses) == 3
    assert all(a.startswith("203.0.113.") for a in addresses)


def test_other_services_get_none_and_lose_theirs(shop: Shop) -> None:
    path = _service(shop, "web")
    _address(shop, path)
    shop.api.merge(path, {"spec": {"type": "ClusterIP"}})
    until(lambda: not shop.api.get(path)["status"].get("loadBalancer"), what="the address taken away")


def test_an_ingress_has_the_address_of_the_controller(shop: Shop) -> None:
    _address(shop, _service(shop, "other"))
    controller = _address(shop, _service(shop, "controller", **{"app.kubernetes.io/name": "ingress-nginx"}))
    assert _address(shop, _ingress(shop)) == controller


def _definition(plural: str, scope: str) -> Json:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    names = {"plural": plural, "singular": KINDS[plural].lower(), "kind": KINDS[plural]}
    spec = {"group": "cert-manager.io", "scope": scope, "names": names, "versions": [version]}
    return {"metadata": {"name": f"{plural}.cert-manager.io"}, "spec": spec}


@pytest.fixture(scope="module")
def definitions(cluster: Plane) -> Iterator[None]:
    """cert-manager's kinds, as its install file brings them."""
    api = Api.from_kubeconfig(cluster.kubeconfig, user_agent="tests")
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for plural in KINDS:
        api.create(path, _definition(plural, "Cluster" if plural == "clusterissuers" else "Namespaced"))
    until(
        lambda: (
            {*KINDS} <= {r["name"] for r in (api.find("/apis/cert-manager.io/v1") or {}).get("resources", [])}
        ),
        what="the kinds are served",
    )
    yield
    for plural in KINDS:
        api.delete(f"{path}/{plural}.cert-manager.io")


def _ready(shop: Shop, path: str) -> Json:
    def look() -> Json | None:
        found = shop.api.get(path)
        conditions = (found.get("status") or {}).get("conditions", [])
        return found if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions) else None

    return dict(until(look, what=f"{path} ready"))


@pytest.mark.usefixtures("definitions")
def test_a_certificate_waits_for_its_issuer_and_is_issued(shop: Shop) -> None:
    base = f"/apis/cert-manager.io/v1/namespaces/{shop.name}"
    spec = {
        "secretName": "shop-tls",
        "dnsNames": ["shop.example.com"],
        "duration": "2160h",
        "issuerRef": {"name": "own", "kind": "Issuer"},
    }
    _create(shop, f"{base}/certificates", "Certificate", "shop", spec)
    until(lambda: shop.api.get(f"{base}/certificates/shop").get("status"), what="a first status")
    conditions = shop.api.get(f"{base}/certificates/shop")["status"]["conditions"]
    assert {c["type"]: (c["status"], c["reason"]) for c in conditions} == {
        "Issuing": ("True", "DoesNotExist"),
        "Ready": ("False", "DoesNotExist"),
    }
    _create(shop, f"{base}/issuers", "Issuer", "own", {"selfSigned": {}})
    status = _ready(shop, f"{base}/certificates/shop")["status"]
    secret = shop.api.get(f"{shop.core}/secrets/shop-tls")
    assert secret["type"] == "kubernetes.io/tls"
    parsed = x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["shop.example.com"]
    assert parsed.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ") == status["notAfter"]
    assert status["revision"] == 1


@pytest.mark.usefixtures("definitions")
def test_an_annotated_ingress_gets_its_certificate(shop: Shop) -> None:
    _create(
        shop,
        "/apis/cert-manager.io/v1/clusterissuers",
        "ClusterIssuer",
        shop.name,
        {"acme": {"email": "a@b.c"}},
    )
    issuer = _ready(shop, f"/apis/cert-manager.io/v1/clusterissuers/{shop.name}")
    assert issuer["status"]["conditions"][0]["reason"] == "ACMEAccountRegistered"
    _ingress(shop, {"cert-manager.io/cluster-issuer": shop.name})
    path = f"/apis/cert-manager.io/v1/namespaces/{shop.name}/certificates/shop-tls"
    until(lambda: shop.api.find(path), what="the certificate")
    assert _ready(shop, path)["metadata"]["ownerReferences"][0]["kind"] == "Ingress"


def _create(shop: Shop, path: str, kind: str, name: str, spec: Json) -> None:
    shop.api.create(
        path, {"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    )


def test_the_job_that_makes_a_webhook_certificate_leaves_it(shop: Shop, registry: FakeRegistry) -> None:
    args = ["create", "--host=admission,admission.$(POD_NAMESPACE).svc", "--namespace=$(POD_NAMESPACE)"]
    container = {"args": [*args, "--secret-name=admission"]}
    shop.run("registry.k8s.io/ingress-nginx/kube-webhook-certgen:v1.5.1", policy="Never", container=container)
    secret = until(lambda: shop.api.find(f"{shop.core}/secrets/admission"), what="the secret")
    assert set(secret["data"]) == {"ca", "cert", "key"}
    until(lambda: shop.pod()["status"]["phase"] == "Succeeded", what="the end of the pod")
