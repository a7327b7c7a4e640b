"""Everything that people do with secrets in the portal, with values that are known: by its pages, on the running product."""

from __future__ import annotations

import base64
import json
import re
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from sandbox.cluster.api import Api, ApiFailed
from secrets_ui.files.model import open_text
from tests.e2e import world
from tests.e2e.portal import Person, number_of
from tests.e2e.running import Running, until

STORED, PAGE = "slipway/catalog/staging", "/projects/catalog/staging/secrets/"
LIVE_PAGE = "/projects/catalog/production/secrets/"
_FILE = re.compile(r"/secrets/(\d+)/")
_HIDDEN = re.compile(r'<input type="hidden" name="(kind|key|revision|secret_versions)" value="([^"]*)"')
_REQUEST = re.compile(r"/requests/(\d+)/")


_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_NAME = {"name": "tour-quotes-a-value"}
_KIND = "admissionregistration.k8s.io/v1"
# A policy of the cluster whose message repeats what is wrong, as they do.
QUOTING: dict[str, Any] = {
    "validatingadmissionpolicies": {
        "apiVersion": _KIND,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": _NAME,
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["secrets"]}
                ]
            },
            "validations": [
                {
                    "expression": "!has(object.data) || !('TOUR_PLAIN' in object.data)",
                    "messageExpression": "'not allowed: ' + string(object.data['TOUR_PLAIN'])",
                }
            ],
        },
    },
    "validatingadmissionpolicybindings": {
        "apiVersion": _KIND,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": _NAME,
        "spec": {"policyName": _NAME["name"], "validationActions": ["Deny"]},
    },
}


def is_denied(api: Api) -> bool:
    """Whether the policy holds already: the API server takes it up after a moment."""
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "tried"},
        "data": {"TOUR_PLAIN": "eA=="},
    }
    try:
        api.create("/api/v1/namespaces/catalog-staging/secrets?dryRun=All", body)
    except ApiFailed as error:
        return "not allowed: eA==" in error.message
    return False


def values() -> tuple[dict[str, str], dict[str, bytes]]:
    """What is typed on the tour, by key: texts of every difficult kind, and bytes that are no text."""

    def word() -> str:
        return secrets.token_hex(10)

    texts = {
        "PLAIN": f'pass&word="{word()}" <\'\\é%>',
        "BASE64": base64.b64encode(secrets.token_bytes(33)).decode(),
        "JSON": json.dumps({"user": "ü", "token": word(), "say": '"x" & <y>'}),
        "URL": f"amqp://shop:{word()}%2F@queue.internal/v?x=1&y={word()}",
        "LINES": f"first {word()}\n\tsecond {word()}\n\nlast {word()}\n",
        "BEFORE": f"only-for-one-version-{word()}",
        "LOOSE": f"typed-for-a-key-that-is-none-{word()}",
        "DISCARDED": f"typed-and-thrown-away-{word()}",
        "PASTED": f"pasted-{word()}",
        "DROPPED": f"pasted-and-dropped-{word()}",
        "REFUSED": f"asked-for-and-refused-{word()}",
        "APPROVED": f"asked-for-and-approved-{word()}",
    }
    return texts, {"KEYSTORE": b"\xfe\xed" + secrets.token_bytes(62)}


@dataclass
class Tour:
    """One walk. `quiet`: every answer that was not asked for a value, with its headers and cookies; `shown`: how many
    answers gave one. `deploys`: by their kind."""

    sandbox: Running
    people: Callable[[str], Person]
    texts: Mapping[str, str]
    binary: Mapping[str, bytes]
    quiet: dict[str, bytes] = field(default_factory=dict)
    shown: int = 0
    deploys: dict[str, int] = field(default_factory=dict)

    def walk(self) -> None:
        """All of it."""
        lead = self.people("lead")
        self.here, self.there = self.file_of(lead, PAGE), self.file_of(lead, LIVE_PAGE)
        client = world.secrets_manager(self.sandbox)
        before = client.get_secret_value(SecretId=STORED)  # type: ignore[attr-defined]
        self.secret = open_text(before["SecretString"]).secrets[0].name
        self.edit(lead)
        self.look(lead)
        self.paste(lead)
        self.copy(lead)
        self.ask(lead, self.people("admin"))
        self.deploys["secrets alone"] = self.deploy_alone(lead)
        if self.sandbox.plane == "real":
            self.deploys["quoted"] = self.deploy_quoted(lead)
        self.send(lead, f"{PAGE}compare/", {})

    def file_of(self, who: Person, page: str) -> str:
        """The address of the page's only secrets file, once its keys are known."""
        found = _FILE.search(who.get(page).text)
        assert found, page
        address = f"{page}{found[1]}/"
        self.send(who, f"{address}read/", {})
        return address

    def place(self, key: str) -> str:
        return f"{self.secret}/{key}"

    # --- what people do ---

    def edit(self, who: Person) -> None:
        """Makes keys, with mistakes; saves twice; and brings the first version back."""
        for key in ("PLAIN", "BASE64", "JSON", "URL", "LINES"):
            self.add(who, f"TOUR_{key}", self.texts["BEFORE" if key == "PLAIN" else key])
        self.add(who, "TOUR_KEYSTORE", "", file=self.binary["KEYSTORE"])
        self.add(who, "no key", self.texts["LOOSE"])
        self.add(who, "TOUR_NUL", f"{self.texts['LOOSE']}\0")
        self.add(who, "TOUR_ODD", f"{self.texts['LOOSE']}%", encoding="base64")
        self.save(who, f"it was {self.texts['BEFORE']}")
        first = self.version()
        self.change(who, "PLAIN", self.texts["PLAIN"])
        self.save(who, "another one")
        second = self.version()
        told = {"version": first, "over": second, "comment": "back", "save_id": str(uuid.uuid4())}
        self.send(who, f"{self.here}versions/", told)
        self.change(who, "PLAIN", self.texts["PLAIN"])
        self.save(who, "and forth")
        self.change(who, "PLAIN", self.texts["DISCARDED"])
        self.send(who, f"{self.here}discard/", {})

    def look(self, who: Person) -> None:
        """Sees, copies and downloads values: those answers hold them."""
        for how in ("shown", "copied", "base64", "downloaded"):
            self.see(who, f"{self.here}reveal/", {"place": self.place("TOUR_URL"), "how": how})
        self.see(who, f"{self.here}download/", {"form": "secret", "of": self.secret})
        self.change(who, "PLAIN", self.texts["DISCARDED"])
        self.see(who, f"{self.here}draft/", {"place": self.place("TOUR_PLAIN")})
        self.send(who, f"{self.here}discard/", {})
        self.send(who, f"{self.here}reveal/", {"place": self.place(self.texts["PLAIN"])})  # no such key

    def paste(self, who: Person) -> None:
        """Imports, twice: one is dropped, the other saved."""
        for key, do in (("DROPPED", "drop"), ("PASTED", "take")):
            text = f"TOUR_PASTED='{self.texts[key]}'\nthis is no line {self.texts[key]}\n"
            self.send(who, f"{self.here}import/", {"text": text, "of": self.secret})
            self.send(who, f"{self.here}import/", {"text": text.partition("\n")[0] + "\n", "of": self.secret})
            self.send(who, f"{self.here}import/preview/", None)
            self.send(who, f"{self.here}import/preview/", {"do": do})
        self.save(who, "pasted")

    def copy(self, who: Person) -> None:
        """Into the draft of production, and away again."""
        to = self.there.rstrip("/").rpartition("/")[2]
        self.send(who, f"{self.here}copy/", {"place": self.place("TOUR_URL"), "to": to})
        self.send(who, f"{self.there}review/", None)
        self.send(who, f"{self.there}discard/", {})

    def ask(self, who: Person, other: Person) -> None:
        """Two changes wait for another person: one is refused with a note that quotes it, one is approved."""
        self.demand(True)
        try:
            for key, do in (("REFUSED", "refuse"), ("APPROVED", "approve")):
                self.change(who, "URL", self.texts[key])
                self.save(who, f"please: {self.texts[key]}", expect=None)
                page = self.send(who, f"{self.here}requests/", None)
                address = f"{self.here}requests/{_REQUEST.findall(page.text)[0]}/"
                self.send(other, address, None)
                side = {"place": self.place("TOUR_URL"), "side": "after"}
                self.see(other, f"{address}reveal/", side)
                self.send(other, address, {"do": do, "note": f"this is {self.texts[key]}"})
        finally:
            self.demand(False)
        assert self.stored()["TOUR_URL"].decode() == self.texts["APPROVED"]

    def deploy_alone(self, who: Person) -> int:
        """Deploys the secrets alone; the deploy's number, once it has ended."""
        place = "/projects/catalog/staging/deploy/"
        page = self.send(who, f"{place}?kind=secrets&see=1", None)
        number = number_of(self.send(who, place, dict(_HIDDEN.findall(page.text))))
        self.sandbox.ended(number)
        return number

    def deploy_quoted(self, who: Person) -> int:
        """The API server refuses the Secret, and quotes a value in its error."""
        api = Api.from_kubeconfig(Path(self.sandbox.env["KUBECONFIG"]), user_agent="tests")
        for kind, body in QUOTING.items():
            api.create(f"{_ADMISSION}/{kind}", body)
        try:
            until("the policy holds", lambda: is_denied(api), pause=0.5)
            self.change(who, "PLAIN", self.texts["BEFORE"])
            self.save(who, "for the policy")
            number = self.deploy_alone(who)
            self.change(who, "PLAIN", self.texts["PLAIN"])
            self.save(who, "back again")
            return number
        finally:
            for kind, body in QUOTING.items():
                api.delete(f"{_ADMISSION}/{kind}/{body['metadata']['name']}")

    # --- how ---

    def add(self, who: Person, key: str, value: str, *, file: bytes = b"", encoding: str = "text") -> None:
        data = {"of": self.secret, "key": key, "value": value, "do": "set", "encoding": encoding}
        self.send(who, f"{self.here}add/", data, files={"file": ("key.bin", file)} if file else None)

    def change(self, who: Person, key: str, value: str) -> None:
        data = {"place": self.place(f"TOUR_{key}"), "value": value, "do": "set"}
        assert self.send(who, f"{self.here}set/", data).status_code == 200

    def save(self, who: Person, comment: str, expect: str | None = "Saved as version") -> None:
        """Through the review."""
        self.send(who, f"{self.here}review/", None)
        before = self.version()
        data = {"comment": comment, "save_id": str(uuid.uuid4())}
        answer = self.send(who, f"{self.here}review/", data)
        assert answer.status_code == 200, answer.text[-3000:]
        if expect:
            assert expect in answer.text
            assert self.version() != before

    def demand(self, wanted: bool) -> None:
        """The setting of the environment that changes are asked for."""
        policies = {"secret_requests": True} if wanted else {}
        code = (
            "from projects.models import Environment\n"
            f"Environment.objects.filter(project__slug='catalog', slug='staging').update(policies={policies!r})"
        )
        done = self.sandbox.manage("shell", "-c", code)
        assert done.returncode == 0, done.stderr

    def send(self, who: Person, path: str, data: dict[str, str] | None, **more: Any) -> requests.Response:
        """A page, or a form; its answer must hold no value."""
        answer = self._send(who, path, data, **more)
        assert answer.status_code < 500, (path, answer.text[-3000:])
        text = answer.content + b"".join(
            f"{hop.headers} {hop.cookies}".encode() for hop in (*answer.history, answer)
        )
        self.quiet[f"{len(self.quiet)} {path}"] = text
        return answer

    def see(self, who: Person, path: str, data: dict[str, str]) -> None:
        """A value that is asked for: it may stand in this answer, and in no cache."""
        answer = self._send(who, path, data)
        assert answer.status_code == 200, (path, answer.text[-3000:])
        assert "no-store" in answer.headers["Cache-Control"]
        assert answer.headers.get("Content-Encoding") is None
        self.shown += 1

    def _send(self, who: Person, path: str, data: dict[str, str] | None, **more: Any) -> requests.Response:
        url = who.running.url + path
        if data is None:
            return who.session.get(url, timeout=60)
        data = {"csrfmiddlewaretoken": who.session.cookies["csrftoken"], **data}
        headers = {"Referer": url, "Accept": "text/html"}
        return who.session.post(url, data=data, headers=headers, timeout=60, **more)

    def stored(self) -> dict[str, bytes]:
        return world.read_secret(self.sandbox, STORED)

    def version(self) -> str:
        client = world.secrets_manager(self.sandbox)
        return str(client.get_secret_value(SecretId=STORED)["VersionId"])  # type: ignore[attr-defined]


def walked(
    sandbox: Running, people: Callable[[str], Person], texts: Mapping[str, str], binary: Mapping[str, bytes]
) -> Tour:
    """A tour that has ended, with everything where it belongs: in AWS and in the cluster."""
    tour = Tour(sandbox, people, texts, binary)
    tour.walk()
    kept = {"PLAIN", "BASE64", "JSON", "LINES", "PASTED"}
    wanted = {f"TOUR_{key}": texts[key].encode() for key in kept}
    wanted |= {"TOUR_KEYSTORE": binary["KEYSTORE"], "TOUR_URL": texts["APPROVED"].encode()}
    assert wanted.items() <= tour.stored().items()
    until("no draft is left", lambda: not sandbox.rows("SELECT 1 FROM secrets_ui_draft"), seconds=60)
    return tour
