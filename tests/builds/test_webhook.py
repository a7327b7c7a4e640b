"""The webhook: only what is signed is taken, each delivery once, and what is not signed leaves next to nothing."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings as django_settings
from django.core.handlers.asgi import ASGIHandler
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.models import AuditEvent
from builds.incoming import naming, payloads, rates, receiving, views
from builds.models import BuildSettings, Decision, Delivery
from core import jobs
from tests import factories as make
from tests.builds.pushing import HOOK, SITE_SECRET, deliver, push_body, signature, site_secret_fixture  # noqa: F401  (a fixture)
from tests.core.test_incoming import Server

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("site_secret")]
URL = "https://github.com/acme/shop.git"
OTHER = "https://github.com/acme/blog.git"
OWN = "canary-own-webhook-secret-77aa"


@pytest.fixture(autouse=True)
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The jobs that would reach Redis."""
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(jobs, "push", lambda name, ids, *_, **__: bool(found.append((name, *ids))) or True)
    return found


def test_a_signed_delivery_is_stored_and_enqueued(
    client: Client, enqueued: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = deliver(client, push_body(URL), delivery="72d3162e-cc78-11e3-81ab-4c9367dc0958")
    assert (answer.status_code, answer.json()) == (202, {"detail": "Taken."})
    row = Delivery.objects.get()
    assert (row.delivery_id, row.event, row.state) == (
        "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "push",
        "waiting",
    )
    assert (row.repository, row.ref, row.sender, row.signed_by) == (
        "acme/shop",
        "refs/heads/main",
        "mira",
        None,
    )
    assert enqueued == [("builds.deciding.decide", row.pk)]


def test_it_needs_no_session_and_no_form_token() -> None:
    client = Client(enforce_csrf_checks=True)
    assert deliver(client, push_body(URL)).status_code == 202
    assert "sessionid" not in client.cookies


def test_only_posts_are_taken(client: Client) -> None:
    assert [getattr(client, name)(HOOK).status_code for name in ("get", "put", "delete")] == [405] * 3


BODY = json.dumps(push_body(URL)).encode()


@pytest.mark.parametrize(
    "header",
    ["", "sha256=", "sha256=" + "0" * 64, "sha1=" + "0" * 40, signature(BODY, "another"), signature(BODY) + "0",
     signature(BODY).removeprefix("sha256="), "sha256=" + "ä" * 64, signature(BODY + b" ")],
)  # fmt: skip
def test_what_is_not_signed_with_the_secret_is_refused(client: Client, header: str) -> None:
    answer = deliver(client, BODY, **{"X-Hub-Signature-256": header})
    assert answer.status_code == 403
    assert "kept" in answer.json()["detail"]
    row = Delivery.objects.get()
    assert (row.state, row.event, row.repository, row.facts, row.addresses) == (
        "refused",
        "refused",
        "",
        {},
        [],
    )


def test_the_older_signature_alone_is_not_enough(client: Client) -> None:
    sent = {"X-Hub-Signature": "sha1=" + "0" * 40, "X-GitHub-Event": "push", "X-GitHub-Delivery": "a" * 36}
    assert client.post(HOOK, BODY, content_type="application/json", headers=sent).status_code == 403


def test_an_empty_secret_signs_nothing(client: Client, settings: Any) -> None:
    settings.GITHUB_WEBHOOK_SECRET = ""
    answer = deliver(client, push_body(URL), secret="")
    assert answer.status_code == 403
    assert "no webhook secret" in answer.json()["detail"]


def test_a_flood_of_wrong_ones_leaves_a_few_rows_and_costs_no_query(client: Client) -> None:
    for number in range(40):
        deliver(client, {"n": number}, secret="wrong")
    assert Delivery.objects.count() == 1
    assert Delivery.objects.get().repeats == rates.REFUSED_HERE.limit - 1
    assert AuditEvent.objects.count() == 0
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = deliver(client, push_body(URL), secret="wrong")
    assert (answer.status_code, answer["Retry-After"]) == (429, "60")
    assert len(queries) == 0


def test_a_flood_keeps_no_delivery_out_that_the_site_signs(client: Client) -> None:
    for _ in range(40):
        deliver(client, {}, secret="wrong")
    assert deliver(client, push_body(URL)).status_code == 202


def test_addresses_without_number_share_one_count() -> None:
    window = rates.Window(1)
    for number in range(rates.MOST_NAMES):
        window.take(str(number))
    assert window.take("one more")
    assert not window.take("another one")


def test_many_signed_ones_of_one_secret_are_limited(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "SIGNED", rates.Window(2))
    assert [deliver(client, push_body(URL)).status_code for _ in range(3)] == [202, 202, 429]


def with_own_secret(url: str, secret: str = OWN, **fields: Any) -> Any:
    project = make.make_project(repository_url=url, **fields)
    BuildSettings.objects.create(project=project, webhook_secret=secret, on_push=True)
    return project


def test_a_projects_own_secret_speaks_for_its_repository(client: Client) -> None:
    project = with_own_secret("git@github.com:Acme/Shop.git")
    assert deliver(client, push_body(URL), secret=OWN).status_code == 202
    assert Delivery.objects.get().signed_by == project
    assert deliver(client, push_body(URL)).status_code == 202  # the site's goes on to count


def test_a_projects_own_secret_speaks_for_no_other_repository(client: Client) -> None:
    with_own_secret(URL)
    make.make_project(repository_url=OTHER)
    assert deliver(client, push_body(OTHER), secret=OWN).status_code == 403


def test_a_body_that_names_two_repositories_is_decided_for_the_signers_alone(client: Client) -> None:
    from builds.concerned import projects_of

    mine = make.with_address(with_own_secret(URL))
    theirs = make.with_address(make.make_project(repository_url=OTHER))
    body = push_body(URL)
    body["repository"]["ssh_url"] = OTHER
    assert deliver(client, body, secret=OWN).status_code == 202
    assert projects_of(Delivery.objects.get()) == [mine]
    assert deliver(client, body).status_code == 202  # GitHub itself would never send it
    assert set(projects_of(Delivery.objects.order_by("-pk")[0])) == {mine, theirs}


def test_of_projects_with_one_repository_the_one_whose_secret_fits_is_found(client: Client) -> None:
    with_own_secret(URL, "another-secret-of-the-same")
    second = with_own_secret(URL)
    assert deliver(client, push_body(URL), secret=OWN).status_code == 202
    assert Delivery.objects.get().signed_by == second


def test_a_projects_own_secret_decides_in_no_other_project_of_the_repository(client: Client) -> None:
    from builds.concerned import projects_of

    mine = with_own_secret(URL)
    make.with_address(make.make_project(repository_url=URL))
    deliver(client, push_body(URL), secret=OWN)
    assert projects_of(Delivery.objects.get()) == [mine]


def test_projects_with_one_repository_and_one_secret_are_all_decided(client: Client) -> None:
    from builds.concerned import projects_of

    both = [with_own_secret(URL), with_own_secret("git@github.com:acme/shop.git")]
    with_own_secret(URL, "another-secret-of-the-same")
    with_own_secret(OTHER)
    deliver(client, push_body(URL), secret=OWN)
    assert projects_of(Delivery.objects.get()) == both


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("style", ["compact", "pretty", "escaped"])
def test_the_project_is_found_in_the_raw_body(client: Client, kind: str, style: str) -> None:
    project = with_own_secret(URL)
    body = push_body(URL, subject='She wrote "clone_url": "https://github.com/a/b"')
    text = json.dumps(body, indent=2 if style == "pretty" else None)
    text = text.replace("/", "\\/") if style == "escaped" else text
    sent = text if kind == "application/json" else urlencode({"payload": text})
    answer = deliver(client, sent.encode(), secret=OWN, content_type=kind)
    assert answer.status_code == 202
    assert Delivery.objects.get().signers == [project.pk]


def test_an_address_outside_of_the_repository_gives_no_right(client: Client) -> None:
    """The raw body names the signer's address; the delivery itself is about another repository."""
    with_own_secret(URL)
    body = {**push_body(OTHER), "organization": {"clone_url": URL}}
    assert deliver(client, body, secret=OWN).status_code == 403
    assert Delivery.objects.get().state == "refused"


@pytest.mark.parametrize(
    "body",
    [json.dumps(push_body(URL)).encode(), b'"clone_url":"' * 190_000, b"[" * 2_400_000,
     b'{"clone_url":"' + b"a" * 2_400_000 + b'"}', b"payload=" + b"%22clone_url%22%3A%22x%22" * 90_000],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_nothing_is_parsed_of_a_body_that_nobody_signed(
    client: Client, monkeypatch: pytest.MonkeyPatch, body: bytes, kind: str
) -> None:
    parsed: list[object] = []
    with_own_secret(URL)
    for name in ("read", "json"):
        where = receiving if name == "read" else payloads
        monkeypatch.setattr(where, name, lambda *_: parsed.append(1))
    assert deliver(client, body, secret="wrong", content_type=kind).status_code == 403
    assert parsed == []
    began = time.process_time()
    assert len(naming.addresses_in(body, kind)) <= naming.MOST_FINDS * len(payloads.ADDRESSES)
    assert (
        time.process_time() - began < 5
    )  # a few searches for fixed bytes in 2.5 MB; a bad pattern takes minutes


def test_a_secret_that_no_key_decrypts_signs_nothing(client: Client) -> None:
    with_own_secret(URL)
    from django.db.models import Value

    BuildSettings.objects.update(webhook_secret=Value("gAAAA-not-decryptable"))
    assert deliver(client, push_body(URL), secret="").status_code == 403
    assert deliver(client, push_body(URL), secret=OWN).status_code == 403


def test_the_same_delivery_is_taken_once(client: Client) -> None:
    for _ in range(3):
        assert deliver(client, push_body(URL), delivery="d" * 36).status_code == 202
    row = Delivery.objects.get()
    assert row.repeats == 2
    Delivery.objects.update(state="decided")
    answer = deliver(client, push_body(URL), delivery="d" * 36)
    assert "taken before" in answer.json()["detail"]
    assert not Decision.objects.exists()


def test_a_delivery_that_failed_is_tried_again_when_it_is_sent_again(client: Client) -> None:
    deliver(client, push_body(URL), delivery="d" * 36)
    Delivery.objects.update(state="failed", tries=12, sentence="Git does not answer.")
    deliver(client, push_body(URL), delivery="d" * 36)
    row = Delivery.objects.get()
    assert (row.state, row.tries, row.sentence) == ("waiting", 0, "")


@pytest.mark.parametrize(
    ("first", "second"), [("site", OWN), (OWN, "site"), (OWN, "another-secret-of-the-same")]
)
def test_another_signer_cannot_take_up_a_delivery(client: Client, first: str, second: str) -> None:
    with_own_secret(URL)
    with_own_secret(URL, "another-secret-of-the-same")
    secrets = {"site": SITE_SECRET}
    deliver(client, push_body(URL), delivery="d" * 36, secret=secrets.get(first, first))
    Delivery.objects.update(state="failed", tries=12, sentence="Git does not answer.")
    answer = deliver(client, push_body(URL), delivery="d" * 36, secret=secrets.get(second, second))
    assert answer.status_code == 409
    row = Delivery.objects.get()
    assert (row.state, row.tries, row.repeats) == ("failed", 12, 0)
    deliver(client, push_body(URL), delivery="d" * 36, secret=secrets.get(first, first))
    row.refresh_from_db()
    assert (row.state, row.repeats) == ("waiting", 1)


@pytest.mark.parametrize(
    "given", ["", "short", "a" * 65, "a b c d e f", "x' OR 1=1 --", "refused-1-unsigned", "seen-0000"]
)
def test_an_id_that_is_none_is_refused(client: Client, given: str) -> None:
    answer = deliver(client, push_body(URL), **{"X-GitHub-Delivery": given})
    assert answer.status_code == 400
    assert Delivery.objects.get().state == "refused"


@pytest.mark.parametrize("given", ["", "Push", "push;drop", "a" * 51])
def test_an_event_that_is_none_is_refused(client: Client, given: str) -> None:
    assert deliver(client, push_body(URL), event=given).status_code == 400


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"[" * 100_000, "application/json"), (b"\xff" * 100, "application/json"), (b"", "application/json"),
     (b"\x00", "application/json"), (b"{}", "text/xml"), (b"payload=\x00", "application/x-www-form-urlencoded"),
     (b'{"a":' + b"9" * 5000 + b"}", "application/json"), (b"%" * 1000, "multipart/form-data; boundary=x")],
)  # fmt: skip
@pytest.mark.parametrize("secret", ["", "wrong"])
def test_hostile_bodies_are_refused_in_words(client: Client, body: bytes, kind: str, secret: str) -> None:
    sent = {"secret": secret} if secret else {}
    answer = deliver(client, body, content_type=kind, **sent)
    assert answer.status_code == (403 if secret else 400)
    assert answer.json()["detail"]
    assert Delivery.objects.get().state == "refused"


def test_a_nul_in_a_ref_is_taken_out_and_breaks_nothing(client: Client) -> None:
    assert deliver(client, push_body(URL, ref="refs/heads/ma\x00in", subject="\x00")).status_code == 202
    assert Delivery.objects.get().ref == "refs/heads/main"


def test_the_limit_of_a_body_is_that_of_files_and_said_in_words() -> None:
    from core.incoming import longest_body

    assert longest_body(HOOK) == django_settings.FILE_UPLOAD_MAX_MEMORY_SIZE


def test_taking_a_delivery_costs_three_queries(client: Client) -> None:
    """Among them the change that open pages follow."""
    deliver(client, push_body(URL))
    with CaptureQueriesContext(connection) as queries:
        deliver(client, push_body(URL))
    assert len([one for one in queries if "SAVEPOINT" not in one["sql"]]) <= 3


def test_a_redis_that_is_down_loses_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from builds import deciding

    deliver(client, push_body(URL))
    asked: list[int] = []
    monkeypatch.setattr(deciding, "enqueue", lambda name, pk, **_: asked.append(pk))
    deciding.work_on_waiting()
    assert asked == []  # it came just now: its own job is on its way
    Delivery.objects.update(received_at="2026-01-01T00:00:00Z")
    deciding.work_on_waiting()
    assert asked == [Delivery.objects.get().pk]


@pytest.mark.django_db(transaction=True)
def test_the_same_delivery_twice_at_once_is_one_row() -> None:
    gate, answers = threading.Barrier(6), []

    def send() -> None:
        gate.wait()
        answers.append(deliver(Client(), push_body(URL), delivery="e" * 36).status_code)
        connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [202] * 6
    assert Delivery.objects.get().repeats == 5


@pytest.mark.django_db(transaction=True)
def test_refusals_at_once_are_counted_in_one_row() -> None:
    gate = threading.Barrier(6)

    def send() -> None:
        gate.wait()
        receiving.note_refused(receiving.WRONG, "x")
        connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(row.repeats + 1 for row in Delivery.objects.all()) == 6
    assert Delivery.objects.count() <= 2  # two, when the hour turns just then


def test_a_body_that_comes_slowly_reaches_no_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until its end it is an open connection, and neither a thread nor a connection to the database."""
    called: list[object] = []
    monkeypatch.setattr(views, "receive", called.append)
    pieces = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive() -> Any:
        if pieces:
            return pieces.pop()
        await asyncio.sleep(0.3)
        assert called == []
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        called.append(message)

    async def ask() -> None:
        scope = {
            "type": "http", "method": "POST", "path": HOOK, "headers": [(b"host", b"testserver")], "query_string": b"",
        }  # fmt: skip
        await ASGIHandler()(scope, receive, send)

    asyncio.run(ask())
    assert called == []
    assert pieces == []


def test_a_body_beyond_the_limit_is_answered_before_it_is_read() -> None:
    server = Server(HOOK, [b"x"], content_length=str(25_000_000), accept="application/json")
    assert server.ask() == 413
    assert server.taken == 0
    assert b"More was sent than this address takes" in server.sent[1]["body"]
