"""Logs: asked of the kubelet of the pod's node, over TLS, as the real API server does, and passed on as they come."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlencode

from engine.types import Json
from sandbox.kubernetes.operations import Operations
from sandbox.kubernetes.refusals import Refused, bad_request, invalid, invalid_value
from sandbox.kubernetes.requests import Answer, Request

_PASSED = ("follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes")
_PATIENCE = 5.0


async def log(request: Request, pod: Json, operations: Operations) -> Answer:
    """The log of a container. Raises Refused as the API server and the kubelet do."""
    container = _container(pod, request.query.get("container", ""))
    for name in ("tailLines", "limitBytes", "sinceSeconds"):
        number = request.number(name)
        if number is not None and number < (0 if name == "tailLines" else 1):
            words = "must be greater than or equal to 0" if name == "tailLines" else "must be greater than 0"
            cause = invalid_value(name, number, words)
            raise invalid("PodLogOptions", "", pod["metadata"]["name"], [cause])
    node = operations.store.get(("", "nodes"), "", pod["spec"].get("nodeName", ""))
    if node is None:
        return Answer(200, content_type="text/plain")
    metadata = pod["metadata"]
    path = f"/containerLogs/{metadata['namespace']}/{metadata['name']}/{container}"
    query = urlencode({name: request.query[name] for name in _PASSED if name in request.query})
    return await _fetch(node.body, f"{path}?{query}")


def _container(pod: Json, wanted: str) -> str:
    """The container that is meant. Raises Refused (400)."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    names = [c["name"] for c in spec["containers"]]
    inits = [c["name"] for c in spec.get("initContainers") or []]
    if wanted:
        if wanted not in names + inits:
            raise bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(names) > 1 or inits:
        if len(names) == 1:
            return str(names[0])
        more = f" or one of the init containers: [{' '.join(inits)}]" if inits else ""
        words = f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]{more}"
        raise bad_request(words)
    return str(names[0])


async def _fetch(node: Json, path: str) -> Answer:
    """One request to a kubelet. Its refusals become ours."""
    status = node.get("status") or {}
    address = next((a["address"] for a in status.get("addresses") or [] if a["type"] == "InternalIP"), "")
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port", 0)
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection(address, port, ssl=_unverified())
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        words = (
            f'Get "https://{address}:{port}{path}": dial tcp {address}:{port}: connect: connection refused'
        )
        raise Refused(500, "InternalError", words) from error
    code = int(head[0].split()[1])
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    pieces = _pieces(reader, writer, headers)
    if code != 200:
        text = b"".join([piece async for piece in pieces]).decode(errors="replace")
        raise _refusal(code, text)
    return Answer(200, content_type="text/plain", stream=pieces)


def _refusal(code: int, text: str) -> Refused:
    if code == 400:
        return bad_request(text)
    reason = {404: "NotFound"}.get(code, "InternalError")
    message = (
        f"the server could not find the requested resource ( pods/log {text.strip()})"
        if code == 404
        else text
    )
    return Refused(code, reason, message, {})


async def _pieces(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: dict[str, str]
) -> AsyncIterator[bytes]:
    """The body, piece by piece; the connection is closed in the end, also when nobody reads on."""
    try:
        if headers.get("transfer-encoding") != "chunked":
            yield await reader.readexactly(int(headers.get("content-length", "0")))
            return
        while size := int(await reader.readline() or b"0", 16):
            piece = await reader.readexactly(size + 2)
            yield piece[:-2]
    except (OSError, asyncio.IncompleteReadError, ValueError):
        return  # the kubelet has gone: the log ends here
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


def _unverified() -> ssl.SSLContext:
    """Kubelets sign their own certificates; the real server does not check them by default either."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
