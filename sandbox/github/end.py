"""The sandbox's GitHub server: takes statuses and deployments, and delivers signed webhooks for pushes.

`GITHUB_TOKEN=… GITHUB_WEBHOOK_SECRET=… python -m sandbox.github.end --directory D --port P --repositories R --git-url U
--hook-url H`. The API is below `/api/v3/`, as on an Enterprise Server; `/` shows everything as a page and as JSON; the
sandbox's Git server tells of pushes at `/pushes`.
"""

from __future__ import annotations

import argparse
import hmac
import json
import os
import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.github import deployments, payloads, statuses
from sandbox.github.deliveries import Deliveries
from sandbox.github.kept import Kept
from sandbox.github.page import render
from sandbox.github.refusals import GitHubRefusal, Json
from sandbox.github.repositories import Repositories, Update
from sandbox.web import Handler, Server

API = "/api/v3"
SCOPES = ("repo:status", "repo_deployment")
_ROUTE = re.compile(r"/repos/(?P<owner>[^/]+)/(?P<name>[^/]+)(?P<rest>/.*)?")


@dataclass(frozen=True)
class End:
    """What the server works on. `scopes`: the rights of the token; `pusher`: the person in push events."""

    kept: Kept
    repositories: Repositories
    deliveries: Deliveries
    token: str
    git_url: str
    scopes: tuple[str, ...] = SCOPES
    pusher: str = "dev"

    def pushed(self, name: str, updates: list[Update]) -> int:
        """Delivers an event for each changed branch and tag. Returns their number. Raises GitHubRefusal."""
        place = self.repositories.place("sandbox", name)
        if place is None:
            raise GitHubRefusal(404, "Not Found")
        told = [update for update in updates if update.ref.startswith(("refs/heads/", "refs/tags/"))]
        for update in told:
            body = payloads.push(self.repositories, place, update, git_url=self.git_url, pusher=self.pusher)
            self.deliveries.send("push", body)
        return len(told)


def make_github_server(
    directory: Path, port: int, *, repositories: Path, token: str, secret: str, git_url: str, hook_url: str,
    scopes: tuple[str, ...] = SCOPES,
) -> Server:  # fmt: skip
    """The server, which already listens; the caller runs `serve_forever`."""
    directory.mkdir(parents=True, exist_ok=True)
    kept = Kept(directory / "github.json")

    class GitHubHandler(_GitHubHandler):
        end = End(
            kept, Repositories(repositories), Deliveries(kept, hook_url, secret), token, git_url, scopes
        )

    return Server(port, GitHubHandler)


class _GitHubHandler(Handler):
    end: End

    def do_GET(self) -> None:
        if self.path.startswith(API):
            return self._api(None)
        lists = self.end.kept.shown()
        if "text/html" in self.headers.get("Accept", "") and "format=json" not in self.path:
            return self.answer(200, render(lists).encode(), {"Content-Type": "text/html; charset=utf-8"})
        return self.answer_json(lists)

    def do_POST(self) -> None:
        raw = self.body()
        if self.path.startswith("/deliveries/"):
            return self._send_again()
        return self._api(raw)

    def _send_again(self) -> None:
        """The button of the page."""
        known = self.end.deliveries.send_again(self.path.split("/")[2])
        self.answer(303 if known else 404, b"", {"Location": "/"} if known else {})

    def _api(self, raw: bytes | None) -> None:
        try:
            self._check_caller()
            status, body = self._call(_parsed(raw))
        except GitHubRefusal as refusal:
            status, body = refusal.status, refusal.body
        content = json.dumps(body).encode()
        self.answer(
            status,
            content,
            {
                "Content-Type": "application/json; charset=utf-8",
                "X-OAuth-Scopes": ", ".join(self.end.scopes),
                "X-RateLimit-Limit": "5000",
                "X-RateLimit-Remaining": "4999",
            },
        )

    def _check_caller(self) -> None:
        if not self.headers.get("User-Agent"):
            raise GitHubRefusal(403, "Request forbidden by administrative rules.")
        given = self.headers.get("Authorization", "")
        if not given:
            raise GitHubRefusal(401, "Requires authentication")
        kind, _, token = given.partition(" ")
        known = hmac.compare_digest(token.encode(), self.end.token.encode())
        if kind.lower() not in ("bearer", "token") or not known:
            raise GitHubRefusal(401, "Bad credentials")

    def _call(self, given: Json | None) -> tuple[int, Any]:
        """Answers a request of the API, or of the Git server. Raises GitHubRefusal."""
        path, _, query = self.path.partition("?")
        if path == "/pushes" and given is not None:
            updates = [Update(one["ref"], one["before"], one["after"]) for one in given["updates"]]
            return 202, {"deliveries": self.end.pushed(given["repository"], updates)}
        if path.rstrip("/") == API and given is None:
            return 200, {"repository_url": f"{API}/repos/{{owner}}/{{repo}}"}
        match = _ROUTE.fullmatch(path.removeprefix(API))
        place = self.end.repositories.place(match["owner"], match["name"]) if match else None
        if match is None or place is None:
            raise GitHubRefusal(404, "Not Found")
        name = f"{match['owner']}/{match['name']}".lower()
        asked = dict(urllib.parse.parse_qsl(query))
        if given is None:
            return 200, self._read(name, match["rest"] or "", asked)
        return 201, self._write(place, name, match["rest"] or "", given)

    def _read(self, name: str, rest: str, query: dict[str, str]) -> Any:
        kept = self.end.kept
        if not rest:
            return {"full_name": name, "private": True}
        if found := re.fullmatch(r"/commits/([0-9a-f]{40})/statuses", rest):
            return statuses.of_commit(kept, name, found[1])
        self._require("repo_deployment")
        if rest == "/deployments":
            return deployments.listed(kept, name, query)
        if found := re.fullmatch(r"/deployments/(\d+)/statuses", rest):
            return deployments.statuses_of(kept, name, int(found[1]))
        raise GitHubRefusal(404, "Not Found")

    def _write(self, place: Path, name: str, rest: str, given: Json) -> Json:
        kept, repositories = self.end.kept, self.end.repositories
        if found := re.fullmatch(r"/statuses/([^/]+)", rest):
            self._require("repo:status")
            return statuses.create(kept, repositories, place, name, found[1], given)
        self._require("repo_deployment")
        if rest == "/deployments":
            return deployments.create(kept, repositories, place, name, given)
        if found := re.fullmatch(r"/deployments/(\d+)/statuses", rest):
            return deployments.add_status(kept, name, int(found[1]), given)
        raise GitHubRefusal(404, "Not Found")

    def _require(self, scope: str) -> None:
        """GitHub hides from a token without the scope that there is such a thing."""
        if scope not in self.end.scopes:
            raise GitHubRefusal(404, "Not Found")


def _parsed(raw: bytes | None) -> Json | None:
    if raw is None:
        return None
    try:
        found = json.loads(raw or b"{}")
    except ValueError:
        raise GitHubRefusal(400, "Problems parsing JSON") from None
    if not isinstance(found, dict):
        raise GitHubRefusal(400, "Body should be a JSON object")
    return found


def main() -> None:
    """Parses the arguments and serves until a signal stops it."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.github.end")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--repositories", type=Path, required=True)
    parser.add_argument("--git-url", required=True)
    parser.add_argument("--hook-url", required=True)
    options = parser.parse_args()
    make_github_server(
        options.directory,
        options.port,
        repositories=options.repositories,
        token=os.environ["GITHUB_TOKEN"],
        secret=os.environ["GITHUB_WEBHOOK_SECRET"],
        git_url=options.git_url,
        hook_url=options.hook_url,
    ).serve_forever()


if __name__ == "__main__":
    main()
