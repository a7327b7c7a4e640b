"""A registry of a few lines, for tests of the nodes: images with labels, behind a password that can be changed."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class FakeRegistry:
    """`push` images, pull them with `user`/`password` (or, when that is "", by anyone)."""

    def __init__(self) -> None:
        self.password = ""
        self.broken = 0  # a status that every request gets, or 0
        self.requests: list[str] = []
        self._content: dict[str, bytes] = {}  # by path
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def push(self, name: str, behaviour: str = "", log: str = "", **labels: str) -> str:
        """`name` is `repository:tag`; keyword names write `__` for a dot. Returns the full reference."""
        given = {"slipway.sandbox/behaviour": behaviour, "slipway.sandbox/log": log}
        given |= {f"slipway.sandbox/{k.replace('__', '.')}": v for k, v in labels.items()}
        config = json.dumps(
            {"config": {"Labels": {k: v for k, v in given.items() if v}}, "os": "linux"}
        ).encode()
        repository, _, tag = name.partition(":")
        config_digest = self._put(repository, "blobs", config)
        layers = [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:0", "size": 1000}
        ]
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "layers": layers}
        manifest["config"] = {"digest": config_digest, "size": len(config)}
        data = json.dumps(manifest).encode()
        self.digest = self._put(repository, "manifests", data)
        self._content[f"/v2/{repository}/manifests/{tag}"] = data
        return f"{self.host}/{name}"

    def pull_secret(
        self, name: str, password: str, kind: str = "kubernetes.io/dockerconfigjson"
    ) -> dict[str, Any]:
        """The Secret object with a login for this registry."""
        auth = base64.b64encode(f"AWS:{password}".encode()).decode()
        config = json.dumps({"auths": {f"http://{self.host}": {"auth": auth}}}).encode()
        data = {".dockerconfigjson": base64.b64encode(config).decode()}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "data": data}

    def _put(self, repository: str, kind: str, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._content[f"/v2/{repository}/{kind}/{digest}"] = data
        return digest

    def _handler(registry) -> type[http.server.BaseHTTPRequestHandler]:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                registry.requests.append(self.path)
                expected = "Basic " + base64.b64encode(f"AWS:{registry.password}".encode()).decode()
                data = registry._content.get(self.path)
                if registry.broken:
                    self._answer(registry.broken, b"")
                elif registry.password and self.headers.get("Authorization") != expected:
                    self._answer(401, b"", {"WWW-Authenticate": 'Basic realm="ecr"'})
                elif data is None:
                    self._answer(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')
                else:
                    self._answer(200, data, {"Content-Type": MANIFEST})

            def _answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for key, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                return

        return Handler
