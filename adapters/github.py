"""GitHub: commit statuses and deployments, by its REST API (https://docs.github.com/rest, version 2022-11-28).

A status may be sent twice without harm. Creating a deployment may not: the caller gives it a mark and looks for it with
`find_deployment` when an earlier answer may be lost. Nothing is repeated here.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from adapters.errors import Denied, Invalid, NotFound, TimedOut, Unavailable
from adapters.git.names import scp_host
from adapters.github_refusals import SYSTEM, failure, refusal
from adapters.pools import pool

API_URL = "https://api.github.com"
TIMEOUT = 8.0
LONGEST_DESCRIPTION = 140  # characters; GitHub refuses longer ones
_LARGEST_ANSWER = 4_000_000  # bytes
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_MARK = "slipway"  # the member of a deployment's payload that holds our mark

StatusState = Literal["pending", "success", "failure", "error"]
DeploymentState = Literal["in_progress", "success", "failure", "error", "inactive"]


@dataclass(frozen=True)
class Status:
    """A commit's status. `context`: names its system; a newer status of the same context takes its place."""

    state: StatusState
    context: str
    description: str
    target_url: str


def repository_of(address: str, api_url: str = API_URL) -> str:
    """`owner/name` of a Git address, if it is on the GitHub of this API; else an empty text.

    GitHub.com's API is at api.github.com, an Enterprise Server's on its own host, another cloud's at api.<its host>.
    """
    host, path = _host_and_path(address)
    site = (urlsplit(api_url).hostname or "").lower()
    if not host or site not in (host, f"api.{host}"):
        return ""
    names = path.strip("/").removesuffix(".git").split("/")
    if len(names) != 2 or not all(_NAME.fullmatch(name) and name.strip(".") for name in names):
        return ""
    return "/".join(names)


def _host_and_path(address: str) -> tuple[str, str]:
    if host := scp_host(address):
        path = address.split(":", 1)[1]
    else:
        try:
            parts = urlsplit(address)
        except ValueError:
            return "", ""
        if parts.scheme not in ("https", "http", "ssh"):
            return "", ""
        host, path = parts.hostname or "", parts.path
    host = host.lower()
    return ("github.com" if host in ("ssh.github.com", "www.github.com") else host), path


def shortened(text: str) -> str:
    """The text in one line of at most LONGEST_DESCRIPTION characters."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_DESCRIPTION else line[: LONGEST_DESCRIPTION - 1].rstrip() + "…"


class GitHub:
    """A client with one token. `api_url`: that of GitHub.com, of an Enterprise Server (`https://<host>/api/v3`) or another.

    `seconds`: after which it begins no further request and raises TimedOut.
    """

    def __init__(self, token: str, api_url: str = API_URL, *, seconds: float = 3600.0) -> None:
        self._base = (api_url or API_URL).rstrip("/")
        parts = urlsplit(self._base)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username:
            raise Invalid(
                "The address of GitHub's API is not one.", system=SYSTEM, hint="Check GITHUB_API_URL."
            )
        token = token.strip()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise Denied("The GitHub token holds characters that no token has.", system=SYSTEM)
        self._until = time.monotonic() + seconds
        self._headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "User-Agent": "slipway",
            "X-GitHub-Api-Version": "2022-11-28",
        }

    def check(self) -> None:
        """Asks whether GitHub answers there and takes the token. Raises ExternalError."""
        try:
            self._ask("GET", "/", None, "requests", "any right")
        except NotFound:
            hint = "Check GITHUB_API_URL."
            raise Unavailable("The server does not answer as GitHub.", system=SYSTEM, hint=hint) from None

    def set_status(self, repository: str, sha: str, status: Status) -> None:
        """Sets a commit's status. Needs the right `repo:status`, or commit statuses: write. Raises ExternalError."""
        body = {
            "state": status.state,
            "context": status.context,
            "description": shortened(status.description),
            "target_url": status.target_url,
        }
        self._post(f"/repos/{repository}/statuses/{quote(sha)}", body, "commit statuses", "repo:status")

    def create_deployment(
        self, repository: str, sha: str, environment: str, *, mark: str, description: str = "", production: bool = False
    ) -> int:  # fmt: skip
        """Creates a deployment of a commit, without merging and whatever the commit's statuses say. Returns its id. Needs the
        right `repo_deployment`, or deployments: write. Raises ExternalError."""
        body = {
            "ref": sha,
            "environment": environment,
            "description": shortened(description),
            "auto_merge": False,
            "required_contexts": [],
            "payload": {_MARK: mark},
            "production_environment": production,
        }
        answer = self._post(f"/repos/{repository}/deployments", body, "deployments", "repo_deployment")
        return _id_in(answer)

    def find_deployment(self, repository: str, sha: str, environment: str, mark: str) -> int | None:
        """The id of the deployment with this mark, or None. Raises ExternalError."""
        query = f"?sha={quote(sha)}&environment={quote(environment, safe='')}&per_page=100"
        answer = self._ask(
            "GET", f"/repos/{repository}/deployments{query}", None, "deployments", "repo_deployment"
        )
        for one in answer if isinstance(answer, list) else []:
            if isinstance(one, dict) and _payload(one).get(_MARK) == mark:
                return _id_in(one)
        return None

    def set_deployment_status(
        self, repository: str, deployment: int, state: DeploymentState, *, log_url: str, description: str, environment: str
    ) -> None:  # fmt: skip
        """Adds a status to a deployment. With `success` GitHub makes earlier ones of the environment inactive (those of a
        production environment it leaves). Raises ExternalError."""
        body = {
            "state": state,
            "log_url": log_url,
            "description": shortened(description),
            "environment": environment,
            "auto_inactive": True,
        }
        path = f"/repos/{repository}/deployments/{deployment}/statuses"
        self._post(path, body, "deployments", "repo_deployment")

    def _post(self, path: str, body: Mapping[str, Any], what: str, right: str) -> Any:
        return self._ask("POST", path, body, what, right)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None, what: str, right: str) -> Any:
        """One request; returns the answer's JSON. `what`, `right`: for the sentence when GitHub refuses it."""
        if time.monotonic() > self._until:
            raise TimedOut("GitHub is too slow.", system=SYSTEM)
        try:
            with pool(self._base) as connections, self._open(connections, method, path, body) as response:
                status = response.status
                headers = {name.lower(): value for name, value in response.headers.items()}
                text = response.read(_LARGEST_ANSWER + 1)
        except (HTTPError, OSError, ValueError) as error:
            raise failure(error) from None
        if status not in (200, 201, 202):
            raise refusal(status, headers, text, "/".join(path.split("/")[2:4]), what, right)
        return _json(text)

    def _open(
        self, connections: urllib3.PoolManager, method: str, path: str, body: Mapping[str, Any] | None
    ) -> urllib3.BaseHTTPResponse:
        return connections.request(
            method,
            self._base + path,
            body=None if body is None else json.dumps(body).encode(),
            headers=self._headers,
            timeout=urllib3.Timeout(connect=TIMEOUT, read=TIMEOUT),
            retries=False,
            redirect=False,  # a redirect would carry the token to another host
            preload_content=False,
        )


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise Unavailable(
            "GitHub's answer made no sense.", system=SYSTEM, hint="Check GITHUB_API_URL."
        ) from None


def _id_in(answer: Any) -> int:
    found = answer.get("id") if isinstance(answer, dict) else None
    if not isinstance(found, int):
        raise Unavailable("GitHub's answer made no sense.", system=SYSTEM, hint="Check GITHUB_API_URL.")
    return found


def _payload(deployment: Mapping[str, Any]) -> Mapping[str, Any]:
    """A deployment's payload. GitHub gives it as an object or as the text of one."""
    payload = deployment.get("payload")
    if isinstance(payload, str):
        try:
            payload = json.loads(payload)
        except ValueError:
            return {}
    return payload if isinstance(payload, dict) else {}
