"""Deliveries of webhooks: signed, sent in order by one thread, kept with their answers, and sent again on request."""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import threading
import time
import uuid
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from sandbox.github.kept import Kept
from sandbox.github.refusals import Json

PATIENCE = 10.0  # seconds that GitHub waits for an answer
_LONGEST_ANSWER = 2000
_opener = build_opener(ProxyHandler({}))


def signature(secret: str, body: bytes, kind: str = "sha256") -> str:
    """The value of X-Hub-Signature-256 (X-Hub-Signature: `sha1`)."""
    return f"{kind}=" + hmac.new(secret.encode(), body, kind).hexdigest()


class Deliveries:
    """All deliveries to one address. `secret` signs them."""

    def __init__(self, kept: Kept, hook_url: str, secret: str) -> None:
        self.kept, self.hook_url, self.secret = kept, hook_url, secret
        self._waiting: queue.SimpleQueue[Json] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="deliveries", daemon=True).start()

    def send(self, event: str, body: Json) -> Json:
        """Notes a delivery and queues it. Returns its entry, which is completed when the answer comes."""
        entry: Json = {"guid": str(uuid.uuid4()), "event": event, "attempts": [], "payload": body}
        self.kept.add("deliveries", entry)
        self._waiting.put(entry)
        return entry

    def send_again(self, guid: str) -> bool:
        """Sends a delivery again, with its id and body. False when there is none of that id."""
        entry = self.kept.find("deliveries", lambda one: one["guid"] == guid)
        if entry is not None:
            self._waiting.put(entry)
        return entry is not None

    def _work(self) -> None:
        while True:
            entry = self._waiting.get()
            attempt = self._attempt(entry)
            with self.kept.changing():
                entry["attempts"].append(attempt)

    def _attempt(self, entry: Json) -> Json:
        began = time.time()
        body = json.dumps(entry["payload"], separators=(",", ":")).encode()
        request = Request(self.hook_url, body, self._headers(entry, body), method="POST")
        try:
            with _opener.open(request, timeout=PATIENCE) as response:
                status, text = response.status, response.read(_LONGEST_ANSWER)
        except HTTPError as error:
            status, text = error.code, error.read(_LONGEST_ANSWER)
        except (OSError, HTTPException) as error:  # nobody there, or no answer in time
            status, text = 0, str(error).encode()
        return {
            "at": began,
            "seconds": round(time.time() - began, 3),
            "status": status,
            "answer": text.decode(errors="replace"),
        }

    def _headers(self, entry: Json, body: bytes) -> dict[str, str]:
        return {
            "Accept": "*/*",
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/5a4d0b1",
            "X-GitHub-Delivery": entry["guid"],
            "X-GitHub-Event": entry["event"],
            "X-GitHub-Hook-ID": str(int(hashlib.sha256(self.hook_url.encode()).hexdigest()[:8], 16)),
            "X-GitHub-Hook-Installation-Target-Type": "repository",
            "X-Hub-Signature": signature(self.secret, body, "sha1"),
            "X-Hub-Signature-256": signature(self.secret, body),
        }
