"""The addresses that Git may connect to: public ones, and those of private networks that the site allows.

A project's maintainer writes the repository's address, so without this rule the portal would look for them into networks
that only the portal reaches. The name is resolved here, every address behind it is checked, and Git is bound to just
these addresses: a name that resolves differently a moment later leads nowhere else.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import structlog

from adapters.git.messages import not_reachable
from adapters.git.names import scp_host

log = structlog.get_logger(__name__)
RESOLVE_SECONDS = 10.0
_PORTS = {"https": 443, "http": 80, "ssh": 22}
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Pin:
    """What binds a call of Git to the checked addresses: settings of Git, and options of ssh."""

    settings: dict[str, str] = field(default_factory=dict)
    ssh: dict[str, str] = field(default_factory=dict)


def pin(url: str, networks: tuple[str, ...], *, timeout: float) -> Pin:
    """Resolves and checks the host of a repository's address. `networks`: private networks that are allowed.

    Raises Unavailable for a name that leads nowhere or to an address that is not allowed; the log has the reason.
    """
    scheme, host, port = place_of(url)
    if not host:
        return Pin()  # a file: address, where the site allows those
    proxied = scheme != "ssh" and _has_proxy(scheme, host)
    found = _resolve(host, port, min(timeout, RESOLVE_SECONDS))
    if not found and not proxied:
        raise _refused(host, "the name does not resolve")
    refused = [address for address in found if not is_allowed(address, networks)]
    if refused:
        raise _refused(host, f"{refused[0]} is no public address, and GIT_PRIVATE_NETWORKS does not name it")
    if proxied or _is_literal(host):
        return Pin()  # a proxy resolves the name itself
    return _bound(scheme, host, port, found)


def _bound(scheme: str, host: str, port: int, found: list[Address]) -> Pin:
    if scheme == "ssh":
        # The host's key stays known under its name, as ssh itself would write it.
        known_as = host if port == _PORTS["ssh"] else f"[{host}]:{port}"
        return Pin(ssh={"HostName": str(found[0]), "HostKeyAlias": known_as})
    addresses = ",".join(f"[{one}]" if one.version == 6 else str(one) for one in found)
    return Pin(settings={"http.curloptResolve": f"{host}:{port}:{addresses}"})


def place_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a repository's address; an empty host for `file:`."""
    if "://" not in url:
        return "ssh", scp_host(url).strip("[]"), _PORTS["ssh"]
    parts = urlsplit(url)
    if parts.scheme == "file":
        return "file", "", 0
    return parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]


def is_allowed(address: Address, networks: tuple[str, ...]) -> bool:
    """Whether Git may connect to the address: a public one, or one of the allowed networks."""
    inner = _inner(address)
    if any(_lies_in(one, network) for one in {address, inner} for network in networks):
        return True
    # Old, but routed in some networks.
    site_local = isinstance(inner, ipaddress.IPv6Address) and inner.is_site_local
    return inner.is_global and not (inner.is_multicast or inner.is_reserved or site_local)


def _lies_in(address: Address, network: str) -> bool:
    return address in ipaddress.ip_network(network, strict=False)


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _resolve(host: str, port: int, timeout: float) -> list[Address]:
    """The addresses of a name, each once; none when it does not resolve in time. Also reads `127.1` and `0x7f000001`, as
    Git's own libraries do."""
    found: list[Address] = []

    def ask() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        texts = dict.fromkeys(str(row[4][0]).partition("%")[0] for row in rows)
        found.extend(ipaddress.ip_address(text) for text in texts)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(timeout)
    return list(found)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _has_proxy(scheme: str, host: str) -> bool:
    """Whether Git's HTTP library goes through a proxy for this host."""
    proxies = getproxies()
    return bool((scheme in proxies or "all" in proxies) and not proxy_bypass(host))


def _refused(host: str, reason: str) -> Exception:
    log.warning("Git may not connect", host=host, reason=reason)
    return not_reachable(host)
