"""A played cloud: services of type LoadBalancer get an address, and ingresses that of the ingress controller.

Addresses are of 203.0.113.0/24, which is set apart for documentation (RFC 5737): nobody is reached by accident.
"""

from __future__ import annotations

import threading

from engine.types import Json
from sandbox.cluster.api import Api, ApiFailed
from sandbox.node.loop import Life, Loop

_NETWORK = "203.0.113"
_FALLBACK = f"{_NETWORK}.1"  # for ingresses of a cluster that has no load balancer
_CONTROLLER = {"app.kubernetes.io/name": "ingress-nginx"}
_LOAD_BALANCER_SECONDS = 1.0
_INGRESS_SECONDS = 0.5
_RETRY_SECONDS = 2.0


class Addresses:
    """Told of every Service and Ingress; each life writes one status."""

    def __init__(self, api: Api, loop: Loop, speed: float) -> None:
        self._api = api
        self._loop = loop
        self._speed = speed
        self._balancers: dict[str, Json] = {}  # uid: its Service, if it is a load balancer
        self._given: dict[str, str] = {}  # uid: its address

    def seen_service(self, body: Json) -> None:
        """A Service as it is now."""
        uid, path = body["metadata"]["uid"], _path("/api/v1", "services", body)
        has = _ingress(body)
        if body["spec"].get("type") != "LoadBalancer":
            self._balancers.pop(uid, None)
            if has:
                self._given.pop(uid, None)
                self._set(uid, path, None, 0)
            return
        self._balancers[uid] = body
        if has:
            self._given[uid] = has[0].get("ip", "")
        else:
            address = self._given.setdefault(uid, self._free_address())
            self._set(uid, path, [{"ip": address, "ipMode": "VIP"}], _LOAD_BALANCER_SECONDS)

    def gone_service(self, uid: str) -> None:
        self._balancers.pop(uid, None)
        self._given.pop(uid, None)
        self._loop.stop(f"address/{uid}")

    def seen_ingress(self, body: Json) -> None:
        """An Ingress as it is now."""
        if not _ingress(body):
            path = _path("/apis/networking.k8s.io/v1", "ingresses", body)
            self._set(body["metadata"]["uid"], path, [{"ip": self._controller_address()}], _INGRESS_SECONDS)

    def gone_ingress(self, uid: str) -> None:
        self._loop.stop(f"address/{uid}")

    def _controller_address(self) -> str:
        """Of the ingress controller's load balancer, else of any, else a made-up one."""
        by_rank = sorted(
            self._balancers.values(),
            key=lambda s: _CONTROLLER.items() <= (s["metadata"].get("labels") or {}).items(),
        )
        return self._given.get(by_rank[-1]["metadata"]["uid"], _FALLBACK) if by_rank else _FALLBACK

    def _free_address(self) -> str:
        taken = set(self._given.values())
        return next(a for n in range(10, 255) if (a := f"{_NETWORK}.{n}") not in taken or n == 254)

    def _set(self, uid: str, path: str, ingress: list[Json] | None, seconds: float) -> None:
        life = self._write(path, {"status": {"loadBalancer": {"ingress": ingress}}}, seconds)
        self._loop.start(f"address/{uid}", life, threading.RLock())

    def _write(self, path: str, body: Json, seconds: float) -> Life:
        yield seconds / self._speed
        while True:
            try:
                self._api.merge(f"{path}/status", body)
                return
            except ApiFailed as error:
                if not error.passing:
                    return
                yield _RETRY_SECONDS


def _ingress(body: Json) -> list[Json]:
    return ((body.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []


def _path(group: str, plural: str, body: Json) -> str:
    meta = body["metadata"]
    return f"{group}/namespaces/{meta['namespace']}/{plural}/{meta['name']}"
