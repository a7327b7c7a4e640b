"""The portal as a person's browser without script sees it: pages, forms, redirects."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field

import requests

from tests.e2e.running import Running

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
DEPLOY = re.compile(r"/deploys/(\d+)/\Z")


@dataclass
class Person:
    """Somebody who is signed in."""

    running: Running
    name: str
    session: requests.Session = field(default_factory=requests.Session)

    def sign_in(self) -> Person:
        """By the form."""
        form = self.session.get(f"{self.running.url}/login/", timeout=60)
        data = {
            "login": self.name,
            "password": self.running.env["SLIPWAY_PASSWORD"],
            "csrfmiddlewaretoken": token_in(form.text),
        }
        answer = self.session.post(form.url, data=data, headers={"Referer": form.url}, timeout=60)
        assert "sessionid" in self.session.cookies, answer.text[:2000]
        return self

    def get(self, path: str, *, status: int = 200, **more: object) -> requests.Response:
        """A page."""
        answer = self.session.get(self.running.url + path, timeout=60, **more)  # type: ignore[arg-type]
        assert answer.status_code == status, f"{path}: {answer.status_code}"
        return answer

    def post(self, path: str, data: dict[str, str], *, timeout: float = 60) -> requests.Response:
        """A form of ours, sent."""
        data = {"csrfmiddlewaretoken": self.session.cookies["csrftoken"], **data}
        headers = {"Origin": self.running.url, "Referer": self.running.url + path, "Accept": "text/html"}
        return self.session.post(self.running.url + path, data=data, headers=headers, timeout=timeout)

    def ask(
        self,
        project: str,
        environment: str,
        revision: str,
        *,
        key: str = "",
        reason: str = "",
        timeout: float = 60,
    ) -> requests.Response:
        """Presses Deploy. `key`: of the form; each form has its own."""
        data = {
            "revision": revision,
            "key": key or uuid.uuid4().hex,
            "reason": reason,
            "confirm": environment,
            "although_bad": "on",  # whatever the revision's record says
        }
        return self.post(f"/projects/{project}/{environment}/deploy/", data, timeout=timeout)

    def deploy(self, project: str, environment: str, revision: str = "main", **more: str) -> int:
        """Presses Deploy; the deploy's number."""
        return number_of(self.ask(project, environment, revision, **more))

    def act(self, number: int, action: str, **data: str) -> requests.Response:
        """Presses a button of a deploy's page: cancel, again, rollback."""
        return self.post(f"/deploys/{number}/{action}/", {"key": uuid.uuid4().hex, **data})


def number_of(answer: requests.Response) -> int:
    """The deploy whose page an answer ended at."""
    found = DEPLOY.search(answer.url)
    assert found, f"{answer.status_code} {answer.url}: {words_of(answer.text)}"
    return int(found[1])


def words_of(html: str) -> str:
    """The words of a page's main part, for the message of a failing test."""
    main = html.partition("<main")[2] or html
    return " ".join(re.sub(r"<[^>]*>", " ", main).split())[-1500:]


def token_in(html: str) -> str:
    """The form's token."""
    found = TOKEN.search(html)
    assert found, html[:2000]
    return found[1]
