"""Addresses of repositories in a form in which those of one repository are equal: HTTPS and SSH, with and without `.git`,
whatever the case. Pure functions.

GitHub does not tell upper from lower case in names, so this does not either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

_SCP = re.compile(r"(?:[^@/:]+@)?(?P<host>\[[^\]/]+\]|[^:/\[\]]+):(?P<path>(?!//).+)")
USUAL_PORTS = frozenset({22, 80, 443, 9418})
# Other names of a host: GitHub's SSH on the port of HTTPS, and its name in browsers.
ALIASES = {"ssh.github.com": "github.com", "www.github.com": "github.com"}
LONGEST = 1000


def key_of(address: str) -> str:
    """Host and path of a repository, for comparing; empty for a text that is no address."""
    text = address.strip()
    if not text or len(text) > LONGEST:
        return ""
    if "://" not in text:
        found = _SCP.fullmatch(text)
        return _key(found["host"], found["path"]) if found else ""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return ""
    host = f"{parts.hostname or ''}{'' if port is None or port in USUAL_PORTS else f':{port}'}"
    return _key(host, parts.path) if host or parts.scheme == "file" else ""


def keys_of(addresses: Iterable[str]) -> frozenset[str]:
    """The keys of several addresses of one repository."""
    return frozenset(key for key in map(key_of, addresses) if key)


def _key(host: str, path: str) -> str:
    name = host.lower().strip("[]").rstrip(".")
    plain = re.sub(r"/{2,}", "/", path).strip("/")
    plain = plain.removesuffix(".git").rstrip("/").lower()
    return f"{ALIASES.get(name, name)}/{plain}" if plain else ""
