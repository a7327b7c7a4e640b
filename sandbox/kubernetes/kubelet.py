"""Logs: asked of the kubelet of the pod's node, over TLS, as the real API server does, and passed on as they come."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlencode

from engine.types import Json
from sandbox.kubernetes.refusals import Refused, bad_request, invalid, invalid_value
from sandbox.kubernetes.requests import Answer, Request
from sandbox.kubernetes.store import Store

_LEAST = {"tailLines": 0, "limitBytes": 1, "sinceSeconds": 1}
_PASSED = ("follow", "previous", "sinceTime", "timestamps", *_LEAST)
_PATIENCE = 5.0
# kubelets sign their own certificates; the real server does not check them by default either
_UNVERIFIED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_UNVERIFIED.check_hostname = False
_UNVERIFIED.verify_mode = ssl.CERT_NONE


async def log(request: Request, pod: Json, store: Store) -> Answer:
    """The log of a container. Raises Refused as the API server and the kubelet do."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    container = _container(pod, request.query.get("container", ""))
    for option, least in _LEAST.items():
        number = request.number(option)
        if number is not None and number < least:
            cause = invalid_value(option, number, f"must be greater than or equal to {least}")
            raise invalid("PodLogOptions", "", name, [cause])
    node = store.get(("", "nodes"), "", pod["spec"].get("nodeName", ""))
    if node is None:
        return Answer(200, content_type="text/plain")
    query = urlencode({name: request.query[name] for name in _PASSED if name in request.query})
    return await _fetch(node.body["status"], f"/containerLogs/{namespace}/{name}/{container}?{query}")


def _container(pod: Json, wanted: str) -> str:
    """The container that is meant. Raises Refused (400)."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    names, inits = ([c["name"] for c in spec.get(of) or []] for of in ("containers", "initContainers"))
    if not wanted and len(names) > 1:
        raise bad_request(
            f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]"
        )
    if wanted and wanted not in names + inits:
        raise bad_request(f"container {wanted} is not valid for pod {name}")
    return wanted or str(names[0])


async def _fetch(node: Json, path: str) -> Answer:
    """One request to a kubelet. Its refusals become ours."""
    address = next((a["address"] for a in node.get("addresses") or [] if a["type"] == "InternalIP"), "")
    port = ((node.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port", 0)
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection(address, port, ssl=_UNVERIFIED)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            code = int(head.split()[1])
            if code == 200:
                return Answer(200, content_type="text/plain", stream=_chunks(reader, writer))
            text = (await reader.read()).decode(errors="replace").strip()
            writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        words = f"dial tcp {address}:{port}: connect: connection refused"
        raise Refused(500, "InternalError", f'Get "https://{address}:{port}{path}": {words}') from error
    if code == 404:
        text = f"the server could not find the requested resource ( pods/log {text})"
    raise Refused(code, {400: "BadRequest", 404: "NotFound"}.get(code, "InternalError"), text, {})


async def _chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AsyncIterator[bytes]:
    """The body as it comes; the connection is closed in the end, also when nobody reads on."""
    try:
        while size := int(await reader.readline() or b"0", 16):
            yield (await reader.readexactly(size + 2))[:-2]
    except (OSError, asyncio.IncompleteReadError, ValueError):
        return  # the kubelet has gone: the log ends here
    finally:
        writer.close()
