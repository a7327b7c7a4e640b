"""cert-manager, played: where its CRDs are, issuers become ready and certificates are issued, by an authority of ours.

Played are Issuer, ClusterIssuer, Certificate with its Secret, and the certificates that annotated ingresses ask for
(ingress-shim). Requests, orders and challenges in between are not.
"""

from __future__ import annotations

import base64
import datetime
import re
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

from engine.types import Json
from sandbox.cluster.api import Api, ApiFailed
from sandbox.cluster.certificates import make_authority, make_certificate, validity
from sandbox.node.clock import stamp
from sandbox.node.follow import Follower
from sandbox.node.loop import Life, Loop

_API = "/apis/cert-manager.io/v1"
_PREFIX = "cert-manager.io"
_POLL_SECONDS = 2.0
_ISSUE_SECONDS = 1.5
_RETRY_SECONDS = 5.0
_NINETY_DAYS = datetime.timedelta(days=90)


class CertManager:
    """Plays cert-manager from the moment its CRDs are installed."""

    def __init__(self, api: Api, loop: Loop, speed: float) -> None:
        self._api = api
        self._loop = loop
        self._speed = speed
        self._installed = False
        self._authority = make_authority("Slipway sandbox authority")

    def start(self) -> None:
        """Returns at once; the threads end with the process."""
        threading.Thread(target=self._wait_for_resources, name="cert-manager", daemon=True).start()

    def _wait_for_resources(self) -> None:
        """Follows each of the three kinds as soon as the API server serves it."""
        missing: dict[str, Callable[[Json], None]] = {
            "issuers": partial(self._seen_issuer, "issuers"),
            "clusterissuers": partial(self._seen_issuer, "clusterissuers"),
            "certificates": self._seen_certificate,
        }
        while missing:
            try:
                served = {r["name"] for r in (self._api.find(_API) or {}).get("resources", [])}
            except ApiFailed:
                served = set()
            for plural in served & missing.keys():
                Follower(self._api, f"{_API}/{plural}", missing.pop(plural), self._gone).start()
            self._installed = "certificates" not in missing
            time.sleep(_POLL_SECONDS)

    # --- issuers -------------------------------------------------------------------------------------------------

    def _seen_issuer(self, plural: str, body: Json) -> None:
        if not _is_ready(body):
            self._live(body, self._make_ready(plural, body))

    def _make_ready(self, plural: str, body: Json) -> Life:
        yield 0.3 / self._speed
        spec = body.get("spec") or {}
        if "acme" in spec:
            condition = _ready(
                body, "ACMEAccountRegistered", "The ACME account was registered with the ACME server"
            )
        elif "ca" in spec:
            condition = _ready(body, "KeyPairVerified", "Signing CA verified")
        else:
            condition = _ready(body, "IsReady", "")
        yield from self._write_status(_path(plural, body), {"conditions": [condition]})

    # --- certificates --------------------------------------------------------------------------------------------

    def _seen_certificate(self, body: Json) -> None:
        if not _is_ready(body):
            self._live(body, self._issue(body))

    def _issue(self, body: Json) -> Life:
        """Waits for the issuer to be ready, then writes the Secret and the status."""
        path = _path("certificates", body)
        waiting = [
            _condition(body, "Issuing", True, "DoesNotExist", "Issuing certificate as Secret does not exist"),
            _condition(body, "Ready", False, "DoesNotExist", "Issuing certificate as Secret does not exist"),
        ]
        if not (body.get("status") or {}).get("conditions"):
            yield from self._write_status(path, {"conditions": waiting})
        while not self._issuer_is_ready(body):
            yield _RETRY_SECONDS / self._speed
        yield _ISSUE_SECONDS / self._speed
        spec = body["spec"]
        names = [*(spec.get("dnsNames") or []), *(spec.get("ipAddresses") or [])]
        duration = _duration(spec.get("duration")) or _NINETY_DAYS
        name = spec.get("commonName") or (names[0] if names else body["metadata"]["name"])
        days = max(1, round(duration.total_seconds() / 86400))
        pair = make_certificate(self._authority, common_name=name, names=names, days=days)
        yield from self._write_secret(body, pair.certificate, pair.key)
        begin, end = validity(pair.certificate)
        before = _duration(spec.get("renewBefore")) or (end - begin) / 3
        status = {
            "conditions": [_ready(body, "Ready", "Certificate is up to date and has not expired")],
            "notBefore": stamp(begin),
            "notAfter": stamp(end),
            "renewalTime": stamp(end - before),
            "revision": (body.get("status") or {}).get("revision", 0) + 1,
        }
        yield from self._write_status(path, status)

    def _issuer_is_ready(self, certificate: Json) -> bool:
        reference, namespace = certificate["spec"]["issuerRef"], certificate["metadata"]["namespace"]
        where = (
            "clusterissuers"
            if reference.get("kind") == "ClusterIssuer"
            else f"namespaces/{namespace}/issuers"
        )
        try:
            issuer = self._api.find(f"{_API}/{where}/{reference['name']}")
        except ApiFailed:
            return False
        return issuer is not None and _is_ready(issuer)

    def _write_secret(self, certificate: Json, chain: bytes, key: bytes) -> Life:
        meta, spec = certificate["metadata"], certificate["spec"]
        issuer = spec["issuerRef"]
        parts = {"tls.crt": chain, "tls.key": key, "ca.crt": self._authority.certificate}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {
                "name": spec["secretName"],
                "namespace": meta["namespace"],
                "labels": {f"controller.{_PREFIX}/fao": "true"},
                "annotations": {
                    f"{_PREFIX}/certificate-name": meta["name"],
                    f"{_PREFIX}/issuer-name": issuer["name"],
                    f"{_PREFIX}/issuer-kind": issuer.get("kind", "Issuer"),
                    f"{_PREFIX}/alt-names": ",".join(spec.get("dnsNames") or []),
                },
            },
            "data": {name: base64.b64encode(data).decode() for name, data in parts.items()},
        }
        path = f"/api/v1/namespaces/{meta['namespace']}/secrets/{spec['secretName']}"
        yield from self._until_done(partial(self._api.apply, path, secret, manager="cert-manager"))

    # --- ingresses -----------------------------------------------------------------------------------------------

    def seen_ingress(self, body: Json) -> None:
        """An Ingress: makes the certificates that its annotations ask for."""
        if self._installed:
            for certificate in wanted_certificates(body):
                meta = certificate["metadata"]
                path = f"{_API}/namespaces/{meta['namespace']}/certificates/{meta['name']}"
                life = self._until_done(partial(self._api.apply, path, certificate, manager="cert-manager"))
                self._loop.start(f"shim/{path}", life, threading.RLock())

    # --- writing -------------------------------------------------------------------------------------------------

    def _gone(self, uid: str) -> None:
        self._loop.stop(f"cert-manager/{uid}")

    def _live(self, body: Json, life: Life) -> None:
        """Each change of the object begins its life anew, from the object as it is then."""
        self._loop.start(f"cert-manager/{body['metadata']['uid']}", life, threading.RLock())

    def _write_status(self, path: str, status: Json) -> Life:
        yield from self._until_done(partial(self._api.merge, f"{path}/status", {"status": status}))

    def _until_done(self, write: Callable[[], object]) -> Life:
        """Tries again while the API server does not answer; what it refuses is left."""
        while True:
            try:
                write()
                return
            except ApiFailed as error:
                if not error.passing:
                    return
                yield _RETRY_SECONDS


def wanted_certificates(ingress: Json) -> Iterator[Json]:
    """The Certificates that ingress-shim makes of an annotated Ingress: one per TLS entry."""
    meta = ingress["metadata"]
    annotations = meta.get("annotations") or {}
    for kind, annotation in (("ClusterIssuer", "cluster-issuer"), ("Issuer", "issuer")):
        issuer = annotations.get(f"{_PREFIX}/{annotation}")
        if not issuer:
            continue
        owner = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "name": meta["name"],
            "uid": meta["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        for entry in (e for e in ingress["spec"].get("tls") or [] if e.get("secretName") and e.get("hosts")):
            yield {
                "apiVersion": f"{_PREFIX}/v1",
                "kind": "Certificate",
                "metadata": {
                    "name": entry["secretName"],
                    "namespace": meta["namespace"],
                    "ownerReferences": [owner],
                },
                "spec": {
                    "secretName": entry["secretName"],
                    "dnsNames": entry["hosts"],
                    "issuerRef": {"name": issuer, "kind": kind, "group": _PREFIX},
                },
            }


def _path(plural: str, body: Json) -> str:
    """Where one of cert-manager's objects is found."""
    meta = body["metadata"]
    where = f"namespaces/{meta['namespace']}/{plural}" if meta.get("namespace") else plural
    return f"{_API}/{where}/{meta['name']}"


def _is_ready(body: Json) -> bool:
    """Ready, and for this generation."""
    return any(
        c["type"] == "Ready"
        and c["status"] == "True"
        and c.get("observedGeneration", 0) == body["metadata"].get("generation", 0)
        for c in (body.get("status") or {}).get("conditions") or []
    )


def _ready(body: Json, reason: str, message: str) -> Json:
    return _condition(body, "Ready", True, reason, message)


def _condition(body: Json, kind: str, value: bool, reason: str, message: str) -> Json:
    return {
        "type": kind,
        "status": "True" if value else "False",
        "reason": reason,
        "message": message,
        "lastTransitionTime": stamp(),
        "observedGeneration": body["metadata"].get("generation", 0),
    }


def _duration(text: str | None) -> datetime.timedelta | None:
    """A Go duration such as `2160h` or `1h30m`; None when there is none."""
    units = {"h": 3600, "m": 60, "s": 1}
    seconds = sum(float(n) * units[u] for n, u in re.findall(r"(\d+(?:\.\d+)?)([hms])", text or ""))
    return datetime.timedelta(seconds=seconds) if seconds else None
