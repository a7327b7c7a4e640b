"""HTTP connections for one call, through the proxy that the environment names."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3


def pool(url: str) -> urllib3.PoolManager:
    """Connections for one call to this address, through the proxy of the environment, if any. The caller closes them."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy)
    return urllib3.PoolManager()
