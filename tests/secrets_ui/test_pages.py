"""The pages of secrets: what they show to whom, how a value is looked at, edited, reviewed and saved."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import AuditEvent
from projects.models import Environment, Role
from secrets_ui.jobs import learn_version
from secrets_ui.models import Draft, Secret, SecretVersion, VersionUse
from secrets_ui.pages.environment_views import SHOWN_KEYS
from tests import factories as make
from tests.deployments.outside import Outside
from tests.secrets_ui.conftest import CANARY, STORED, World, made_world
from tests.secrets_ui.support import HEAD, b64

pytestmark = pytest.mark.django_db
TYPED = "canary-typed-by-hand-1"


def html(response: Any) -> str:
    return response.content.decode()


def saved(tab: Client, world: World, **more: str) -> Any:
    data = {"comment": "new token", "save_id": str(uuid.uuid4()), **more}
    return tab.post(world.url("review"), data)


def set_value(tab: Client, world: World, value: str, place: str = "app/TOKEN", **more: Any) -> Any:
    return tab.post(world.url("set"), {"place": place, "value": value, "do": "set", **more})


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


# Looking


def test_the_page_shows_states_and_no_value(tab: Client, world: World) -> None:
    response = tab.get(world.page)
    text = html(response)
    for word in (
        "Missing",
        "Placeholder",
        "Extra",
        "Set",
        "read by Deployment/web",
        "as in the reference file",
    ):
        assert word in text
    assert not {CANARY, b64(CANARY), "of-old-times"} & set(re.findall(r"[\w+/=-]+", text))
    assert "no-store" in response["Cache-Control"]
    assert 'name="value"' in text  # of a new key
    assert text.count("<textarea") == 1


def test_a_link_can_propose_the_name_of_a_new_key(tab: Client, world: World) -> None:
    assert 'value="PAYMENT_API_URL"' in html(tab.get(f"{world.page}?add=PAYMENT_API_URL#add"))
    assert 'value="&quot;&lt;b&gt;"' in html(tab.get(world.page, {"add": '"<b>'}))


def test_filters_and_search(tab: Client, world: World) -> None:
    def keys(query: str) -> list[str]:
        return re.findall(r'<tr id="app/(\w+)"', html(tab.get(f"{world.page}?{query}")))

    assert keys("") == ["PASSWORD", "URL", "OLD", "TOKEN"]
    assert keys("show=attention") == ["PASSWORD", "URL", "OLD"]
    assert keys("find=tok") == ["TOKEN"]
    assert keys("find=tok&edit=app/OLD") == ["OLD", "TOKEN"]


def test_the_chosen_revision_s_reference_counts(tab: Client, world: World, git: Outside) -> None:
    git.files["secret.yaml"] = git.files["secret.yaml"].replace(b"PASSWORD", b"PASSPHRASE")
    text = html(tab.get(f"{world.page}?at={'b' * 40}"))
    assert "PASSPHRASE" in text
    assert 'at <span class="rev plain" title="' + "b" * 40 in text


def served(world: World) -> None:
    """The version that is current now serves."""
    VersionUse.objects.create(
        secret=Secret.objects.get(), version_id=world.version, deploy_number=7, environment=world.environment,
        environment_text="x", served_at=timezone.now(),
    )  # fmt: skip


def test_a_removed_key_is_told_until_the_next_deploy(tab: Client, world: World) -> None:
    """Also one that the reference file does not have: the deploy takes it away from the pods."""
    served(world)
    assert "changed since what serves now" not in html(tab.get(world.page))
    tab.post(world.url("remove"), {"place": "app/OLD"})
    saved(tab, world, comment="nobody reads it")
    text = html(tab.get(world.page))
    assert "1 key changed since what serves now" in text
    row = text.partition('<tr id="app/OLD"')[2].partition("</tr>")[0]
    assert "Removed" in row
    assert "runs until the next deploy" in row
    assert "<a " not in row
    assert "<button" not in row
    assert "Changed</span> 1" in re.sub(r"\s+", " ", html(tab.get("/secrets/")))


def test_what_changed_can_be_deployed_from_here(tab: Client, world: World) -> None:
    served(world)
    address = f"/projects/{world.environment.project.slug}/staging/deploy/?kind=secrets"
    assert address not in html(tab.get(world.page))
    set_value(tab, world, TYPED)
    saved(tab, world)
    assert f'<a href="{address}">Deploy the secrets alone…</a>' in html(tab.get(world.page))
    assert address in html(signed_in(world.deployer).get(world.page))
    assert address not in html(signed_in(world.viewer).get(world.page))


def test_a_key_that_is_added_with_a_value_does_not_ask_for_one(tab: Client, world: World) -> None:
    for key, value in (("FILLED", TYPED), ("BLANK", "")):
        tab.post(world.url("add"), {"of": "app", "key": key, "value": value, "do": "set"})
    text = html(tab.get(world.page))
    filled, blank = (
        text.partition(f'<tr id="app/{key}"')[2].partition("</tr>")[0] for key in ("FILLED", "BLANK")
    )
    assert "you add it</b>" in filled
    assert 'aria-label="Edit FILLED"' in filled
    assert "Set a value" not in filled
    assert "you add it, blank</b>" in blank
    assert "Set a value" in blank


def test_a_value_that_is_too_long_is_not_kept_and_the_page_says_so(tab: Client, world: World) -> None:
    response = set_value(tab, world, "x" * 65_537)
    assert response.status_code == 422
    assert "Nothing of it was kept" in html(response)
    assert "is kept, and not shown again" not in html(response)
    assert not Draft.objects.exists()


def test_a_repository_that_does_not_answer_leaves_the_keys(tab: Client, world: World, git: Outside) -> None:
    git.branches.clear()
    text = html(tab.get(world.page))
    assert "Missing keys cannot be told" in text
    assert "TOKEN" in text


def test_a_version_that_is_not_known_is_read_by_a_job(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        "secrets_ui.jobs.enqueue", lambda name, *ids, queue, **_: asked.append((name, ids, queue))
    )
    text = html(signed_in(world.viewer).get(world.page))
    assert "being read" in text
    assert 'hx-trigger="every 2s"' in text
    assert asked == [("secrets_ui.jobs.learn_version", (world.file.pk, world.version), "short")]


def test_aws_away_shows_the_last_answer_with_its_age(tab: Client, world: World, no_aws: None) -> None:
    Secret.objects.update(tried_at=None)
    text = html(tab.get(world.page))
    assert "What is shown was true" in text
    assert "AWS gave no answer" in text
    assert "TOKEN" in text


def test_nothing_known_and_aws_away(world: World, no_aws: None) -> None:
    text = html(signed_in(world.viewer).get(world.page))
    assert "Nothing is known of this secret yet" in text


def test_a_file_that_is_no_secret_says_so_without_its_content(tab: Client, world: World) -> None:
    world.by_hand(f"just {CANARY} text")
    tab.post(world.url("read"))
    text = html(tab.get(world.page))
    assert "could not be read" in text
    assert CANARY not in text


def test_who_may_not_see_names_sees_counts(tab: Client, world: World) -> None:
    Environment.objects.filter(pk=world.environment.pk).update(secret_rights={"names": "deployer"})
    for address in (world.page, f"{world.page}?edit=app/TOKEN&show=attention", world.url("versions")):
        text = html(signed_in(world.viewer).get(address))
        assert not {"TOKEN", "PASSWORD", "OLD"} & set(re.findall(r"\w+", text))
    assert "1 key" in html(signed_in(world.viewer).get(world.page))
    assert "TOKEN" in html(signed_in(world.deployer).get(world.page))


def test_what_differs_from_what_runs_is_told_with_who_changed_it(tab: Client, world: World) -> None:
    use = {"secret": Secret.objects.get(), "version_id": world.version, "deploy_number": 7}
    VersionUse.objects.create(**use, environment=world.environment, served_at="2026-11-01T10:00Z")
    assert "changed since" not in html(tab.get(world.page))
    set_value(tab, world, TYPED)
    saved(tab, world)
    text = re.sub(r"<[^>]+>|\s+", " ", html(tab.get(world.page)))
    assert (
        f"1 key changed since what serves now (deploy #7 ): TOKEN , by {world.maintainer.username}"
        in re.sub(" +", " ", text)
    )


def queries(tab: Client, address: str) -> int:
    """With AWS asked for each secret."""
    Secret.objects.update(tried_at=None)
    with CaptureQueriesContext(connection) as found:
        assert tab.get(address).status_code == 200
    return len(found)


def another_file(tab: Client, world: World, name: str) -> None:
    file = make.make_secrets_file(world.environment, path=name, secret_id=f"{world.file.secret_id}-{name}")
    world.aws.create_secret(Name=file.secret_id, SecretString=STORED)
    tab.post(world.url("read").replace(f"/{world.file.pk}/", f"/{file.pk}/"))


def test_the_page_asks_the_database_as_often_for_many_keys_and_files(tab: Client, world: World) -> None:
    few = queries(tab, world.page)
    world.by_hand(STORED + "".join(f"  K{n}: {b64(f'value-{n}-of-many')}\n" for n in range(200)))
    tab.post(world.url("read"))
    another_file(tab, world, "z0.yaml")
    two = queries(tab, world.page)
    for n in range(1, 5):
        another_file(tab, world, f"z{n}.yaml")
    assert queries(tab, world.page) == two
    assert two - few <= 2


def test_a_long_list_is_folded_but_nothing_is_out_of_reach(tab: Client, world: World) -> None:
    world.by_hand(STORED + "".join(f"  K{n:03}: {b64(f'value-{n}-of-many')}\n" for n in range(500)))
    tab.post(world.url("read"))
    text = html(tab.get(world.page))
    assert text.count("<tr id=") == SHOWN_KEYS
    assert len(text) < 250_000
    assert "show all</a>" in text
    assert 'id="app/K499"' not in text
    assert html(tab.get(f"{world.page}?all=1")).count("<tr id=") > 500
    assert 'id="app/K499"' in html(tab.get(f"{world.page}?find=k499"))
    assert 'id="app/K499"' in html(tab.get(f"{world.page}?edit=app/K499"))
    tab.post(world.url("remove"), {"place": "app/K499"})
    assert "you remove it" in html(tab.get(world.page))


def test_buttons_of_rows_belong_to_forms_of_the_page(tab: Client, world: World) -> None:
    text = html(tab.get(world.page))
    forms, drawings = (
        re.findall(r'<button [^>]*form="([^"]+)"', text),
        re.findall(r'<use href="#([^"]+)"', text),
    )
    assert forms
    assert drawings
    for form in forms:
        assert len(re.findall(rf'<form id="{form}" method="post"', text)) == 1
    for drawing in drawings:
        assert text.count(f'<symbol id="{drawing}"') == 1


def test_the_overview_counts_for_those_who_may_see(tab: Client, world: World) -> None:
    text = html(tab.get("/secrets/"))
    assert f"{world.page}?file={world.file.pk}" in text
    assert "1 of 1 secrets file needs attention" in text
    assert world.page not in html(signed_in(make.make_user("sue")).get("/secrets/"))


def test_the_overview_asks_as_often_for_many_environments(tab: Client, world: World) -> None:
    few = queries(tab, "/secrets/")
    for n in range(5):
        make.make_secrets_file(make.make_environment(world.environment.project, slug=f"more{n}"))
    assert queries(tab, "/secrets/") == few


@pytest.mark.parametrize(
    ("what", "word"),
    [
        ({"gone_at": "2026-11-01T10:00Z", "error": "no such secret"}, "Deleted"),
        ({"deleted_at": "2026-11-01T10:00Z"}, "To be deleted"),
        ({"error": "AWS did not answer", "described_at": "2026-11-01T10:00Z"}, "Unreachable"),
        ({"current_version": ""}, "No value yet"),
    ],
)
def test_the_overview_marks_secrets_that_deploys_cannot_read(
    tab: Client, world: World, what: dict[str, str], word: str
) -> None:
    world.by_hand(f"{HEAD}data:\n  TOKEN: {b64('a')}\n  URL: {b64('b')}\n  PASSWORD: {b64('c')}\n")
    tab.post(world.url("read"))
    assert "Nothing is missing as far as is known." in html(tab.get("/secrets/"))
    Secret.objects.update(**what)
    for address in ("/secrets/", "/secrets/?show=attention"):
        text = html(tab.get(address))
        assert f"</svg>{word}</span>" in text
        assert "1 of 1 secrets file needs attention" in text
        assert f"{world.page}?file={world.file.pk}" in text


def test_the_size_of_a_version_that_only_a_deploy_knows_is_read_soon(
    tab: Client, world: World, secret_world: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(STORED.encode())
    assert f"<b>{size}</b> of" in html(tab.get(world.page))
    asked: list[Any] = []
    monkeypatch.setattr("secrets_ui.jobs.enqueue", lambda name, *ids, **_: asked.append((name, ids)))
    SecretVersion.objects.update(byte_count=None)
    text = html(tab.get(world.page))
    assert "Not known yet" in text
    assert "hx-trigger" not in text.split('id="file"')[1].split(">")[0]  # the keys are there already
    assert "hx-trigger" in text.split('id="size-of"')[1].split(">")[0]
    assert asked == [("secrets_ui.jobs.learn_version", (world.file.pk, world.version))]
    learn_version(world.file.pk, world.version)
    assert f"<b>{size}</b> of" in html(tab.get(world.page))


# Looking at a value


def reveal(tab: Client, world: World, **more: str) -> Any:
    return tab.post(world.url("reveal"), {"place": "app/TOKEN", **more})


def test_a_value_is_shown_on_a_page_of_its_own_that_leaves_by_itself(tab: Client, world: World) -> None:
    response = reveal(tab, world)
    text = html(response)
    assert text.count(CANARY) == 1
    assert f">{CANARY}</output>" in text
    assert response["Refresh"].startswith("30; url=")
    assert "no-store" in response["Cache-Control"]
    assert response.get("Content-Encoding") is None
    (event,) = AuditEvent.objects.filter(verb="secrets.revealed")
    assert (event.data["key"], event.data["how"]) == ("app/TOKEN", "shown")
    assert CANARY not in str(event.data)


def test_other_ways_to_have_a_value(tab: Client, world: World) -> None:
    assert b64(CANARY) in html(reveal(tab, world, how="base64"))
    copied = reveal(tab, world, how="copied")
    assert (copied.content, copied["Content-Type"]) == (CANARY.encode(), "application/octet-stream")
    downloaded = reveal(tab, world, how="downloaded")
    assert downloaded["Content-Disposition"] == 'attachment; filename="TOKEN"'
    part = tab.post(world.url("reveal"), {"place": "app/TOKEN"}, headers={"HX-Request": "true"})
    assert "<html" not in html(part)
    assert 'data-hide-after="30"' in html(part)
    how = [event.data["how"] for event in AuditEvent.objects.filter(verb="secrets.revealed").order_by("pk")]
    assert how == ["shown", "copied", "downloaded", "shown"]


def test_a_value_of_production_needs_a_reason_and_a_fresh_sign_in(
    world: World, aws: Any, client: Client, settings: Any
) -> None:
    production = made_world(aws, is_production=True)
    client.force_login(production.maintainer)
    client.post(production.url("read"))
    refused = reveal(client, production)
    assert refused.status_code == 422
    assert "Say why" in html(refused)
    sent = reveal(client, production, reason="incident 12")
    assert sent.status_code == 302
    assert sent["Location"].startswith("/reauthenticate/?next=")
    assert client.post(production.url("reveal"), {"place": "app/TOKEN", "reason": "x"},
                       headers={"HX-Request": "true"})["HX-Redirect"].startswith("/reauthenticate/")  # fmt: skip
    assert not AuditEvent.objects.filter(verb="secrets.revealed").exists()
    client.post("/reauthenticate/", {"password": make.PASSWORD})
    assert CANARY in html(reveal(client, production, reason="incident 12"))
    assert AuditEvent.objects.get(verb="secrets.revealed").data["reason"] == "incident 12"
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = -1
    assert reveal(client, production, reason="incident 12").status_code == 302


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}, {"X-Copy": "1"}])
def test_a_value_that_aws_does_not_give_is_explained_where_it_was_asked_for(
    tab: Client, world: World, no_aws: None, headers: dict[str, str]
) -> None:
    answer = tab.post(world.url("reveal"), {"place": "app/TOKEN"}, headers=headers)
    assert answer.status_code == 422
    assert "Nothing was shown. " in html(answer)
    assert "Secrets Manager" in html(answer)
    assert ("<html" in html(answer)) is not bool(headers)


def test_what_needs_the_stored_value_says_why_it_cannot_be_done(
    tab: Client, world: World, no_aws: None
) -> None:
    for name in ("open", "mend"):
        answer = tab.post(world.url(name), {"place": "app/TOKEN", "code": "add-final"}, follow=True)
        assert answer.status_code == 200
        assert "Secrets Manager" in html(answer)
    assert not Draft.objects.exists()


def test_the_review_names_line_ends_only_where_there_is_something_to_say(tab: Client, world: World) -> None:
    tab.post(world.url("add"), {"of": "app", "key": "FLAT", "value": "one line", "do": "set"})
    assert "line ends:" not in html(tab.get(world.url("review")))
    tab.post(world.url("add"), {"of": "app", "key": "LONG", "value": "two\nlines", "do": "set"})
    assert "line ends: LF, no final line end" in html(tab.get(world.url("review")))


def test_what_was_typed_can_be_looked_at_by_who_may_see_values(tab: Client, world: World) -> None:
    set_value(tab, world, TYPED)
    assert TYPED in html(tab.post(world.url("draft"), {"place": "app/TOKEN"}))
    assert tab.post(world.url("draft"), {"place": "app/URL"}).status_code == 422


# Editing


def test_a_value_is_typed_reviewed_and_saved(tab: Client, world: World) -> None:
    assert set_value(tab, world, TYPED).status_code == 302
    page = html(tab.get(world.page))
    assert "you change it" in page
    assert TYPED not in page
    review = html(tab.get(world.url("review")))
    assert "27 → 22" in review
    assert TYPED not in review
    assert saved(tab, world).status_code == 302
    assert world.text == STORED.replace(b64(CANARY), b64(TYPED))
    assert not Draft.objects.exists()
    assert SecretVersion.objects.get(version_id=world.version).touched == {"changed": ["app/TOKEN"]}


def test_without_a_reason_nothing_is_saved(tab: Client, world: World) -> None:
    set_value(tab, world, TYPED)
    response = saved(tab, world, comment="")
    assert response.status_code == 422
    assert "will ask" in html(response)
    assert world.text == STORED


def test_a_form_sent_twice_is_saved_once(tab: Client, world: World) -> None:
    set_value(tab, world, TYPED)
    same = {"comment": "x", "save_id": str(uuid.uuid4())}
    assert tab.post(world.url("review"), same).status_code == 302
    again = tab.post(world.url("review"), same, follow=True)
    assert "Saved as version" in html(again)
    assert SecretVersion.objects.filter(source="edit").count() == 1


def test_a_refused_key_keeps_its_value_and_does_not_show_it(tab: Client, world: World) -> None:
    response = tab.post(world.url("add"), {"of": "app", "key": "no key", "value": TYPED, "do": "set"})
    assert response.status_code == 422
    assert "is not a valid key" in html(response)
    assert "is kept, and not shown again" in html(response)
    assert TYPED not in html(response)
    tab.post(world.url("add"), {"of": "app", "key": "A_KEY", "value": "", "kept": "1", "do": "set"})
    saved(tab, world)
    assert f"  A_KEY: {b64(TYPED)}" in world.text


def test_undoing_the_last_edit_leaves_the_review(tab: Client, world: World) -> None:
    set_value(tab, world, TYPED)
    tab.post(world.url("remove"), {"place": "app/OLD"})
    assert "12 → –" in html(tab.get(world.url("review")))
    undone = {"place": "app/OLD", "back": "review"}
    assert tab.post(world.url("undo"), undone)["Location"] == world.url("review")
    response = tab.post(world.url("undo"), {**undone, "place": "app/TOKEN"}, follow=True)
    assert response.redirect_chain == [(f"{world.page}?file={world.file.pk}#app/TOKEN", 302)]
    assert "Nothing of yours is left to save." in html(response)


def test_add_rename_and_remove(tab: Client, world: World) -> None:
    tab.post(world.url("add"), {"of": "app", "key": "PASSWORD", "value": TYPED, "do": "set"})
    tab.post(world.url("rename"), {"place": "app/TOKEN", "to": "TOKEN_2"})
    tab.post(world.url("remove"), {"place": "app/OLD"})
    review = html(tab.get(world.url("review")))
    for word in ("Added", "Renamed", "Removed", "1 added, 1 removed, 1 renamed"):
        assert word in review
    saved(tab, world)
    assert world.text == (
        STORED.replace("TOKEN", "TOKEN_2").replace(f"  OLD: {b64('of-old-times')}\n", "")
        + f"  PASSWORD: {b64(TYPED)}\n"
    )


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        (" spaces stay \t", " spaces stay \t"),
        ("two\r\nlines\r\n", "two\nlines\n"),
        ("\r\nfirst line blank", "\nfirst line blank"),
        ("ünïcode 🚀", "ünïcode 🚀"),
        ("", ""),
    ],
)
def test_text_is_stored_as_typed(tab: Client, world: World, typed: str, stored: str) -> None:
    set_value(tab, world, typed)
    saved(tab, world)
    assert world.text == STORED.replace(b64(CANARY), b64(stored) or '""')


def test_windows_line_ends_stay_where_they_were(tab: Client, world: World) -> None:
    world.by_hand(STORED.replace(b64(CANARY), b64("a\r\nb\r\n")))
    tab.post(world.url("read"))
    set_value(tab, world, "c\r\nd\r\n")
    assert "CR LF, with an end of the last line" in html(tab.get(f"{world.page}?edit=app/TOKEN"))
    saved(tab, world)
    assert b64("c\r\nd\r\n") in world.text
    tab.post(world.url("mend"), {"place": "app/TOKEN", "code": "crlf"})
    saved(tab, world)
    assert b64("c\nd\n") in world.text


def test_base64_a_file_and_a_random_value(tab: Client, world: World) -> None:
    set_value(tab, world, b64(TYPED), encoding="base64")
    binary = SimpleUploadedFile("cert.p12", b"\x00\xffbinary")
    set_value(tab, world, "", "app/URL", file=binary)
    tab.post(
        world.url("set"), {"place": "app/OLD", "do": "random", "random_kind": "hex", "random_length": "40"}
    )
    assert "binary" in html(tab.get(world.url("review")))
    saved(tab, world)
    keys = {row["key"]: row for row in SecretVersion.objects.get(version_id=world.version).keys}
    assert b64(TYPED) in world.text
    assert (keys["URL"]["kind"], keys["URL"]["length"]) == ("binary", 8)
    assert (keys["OLD"]["kind"], keys["OLD"]["length"]) == ("hex", 40)
    wrong = set_value(tab, world, "not base64!", encoding="base64")
    assert wrong.status_code == 422


def test_invisible_mistakes_are_pointed_out_and_mended_by_one_click(tab: Client, world: World) -> None:
    set_value(tab, world, '"in-quotes-12345"\n')
    review = html(tab.get(world.url("review")))
    assert "ends with a line end" in review
    for code in ("trailing-newline", "quotes"):
        answer = tab.post(world.url("mend"), {"place": "app/TOKEN", "code": code, "back": "review"})
        assert answer["Location"] == world.url("review")
    saved(tab, world)
    assert b64("in-quotes-12345") in world.text


def test_the_stored_value_opens_in_a_form_for_who_may_see_it(tab: Client, world: World) -> None:
    response = tab.post(world.url("open"), {"place": "app/TOKEN"})
    assert f">\n{CANARY}</textarea>" in html(response)
    assert "no-store" in response["Cache-Control"]
    assert AuditEvent.objects.get(verb="secrets.revealed").data["how"] == "opened for editing"


def test_undo_and_discard(tab: Client, world: World) -> None:
    set_value(tab, world, TYPED)
    set_value(tab, world, TYPED, "app/URL")
    tab.post(world.url("undo"), {"place": "app/URL"})
    assert "Review 1 change" in html(tab.get(world.page))
    tab.post(world.url("discard"))
    assert not Draft.objects.exists()
    assert "nothing to save" in html(tab.get(world.url("review"), follow=True)).lower()


def test_removing_from_production_asks_for_its_name(world: World, aws: Any) -> None:
    production = made_world(aws, is_production=True)
    tab = signed_in(production.maintainer)
    tab.post(production.url("read"))
    tab.post(production.url("remove"), {"place": "app/OLD"})
    assert saved(tab, production).status_code == 422
    assert production.text == STORED
    assert saved(tab, production, confirm="production").status_code == 302
    assert "OLD" not in production.text


def test_a_clash_names_keys_and_people_and_keeps_both(tab: Client, world: World) -> None:
    other = make.make_user("tom")
    make.grant(other, Role.MAINTAINER, world.environment.project)
    theirs = signed_in(other)
    set_value(tab, world, TYPED)
    set_value(theirs, world, "canary-of-tom-12345")
    saved(theirs, world, comment="tom was here")
    review = html(tab.get(world.url("review")))
    for word in ("The same key was changed meanwhile", "tom", "tom was here", "app/TOKEN"):
        assert word in review
    assert not {TYPED, "canary-of-tom-12345"} & set(re.findall(r"[\w-]+", review))
    assert saved(tab, world).status_code == 422
    tab.post(world.url("decide"), {"current": world.version, "side-0": "mine"})
    assert saved(tab, world).status_code == 302
    assert b64(TYPED) in world.text


def test_the_review_without_aws_keeps_what_was_typed(tab: Client, world: World, no_aws: None) -> None:
    set_value(tab, world, TYPED)
    response = tab.get(world.url("review"))
    assert response.status_code == 502
    assert "What you typed is kept" in html(response)


# Versions


def test_versions_tell_who_why_and_which_deploys(tab: Client, world: World) -> None:
    first = world.version
    set_value(tab, world, TYPED)
    saved(tab, world, comment="rotated the token")
    VersionUse.objects.create(
        secret=Secret.objects.get(), version_id=world.version, deploy_number=12, environment=world.environment
    )
    world.by_hand(STORED)
    tab.post(world.url("read"))
    text = html(tab.get(world.url("versions")))
    for word in (
        "rotated the token",
        world.maintainer.username,
        "#12",
        "outside the portal",
        "there when the portal",
    ):
        assert word in text
    form = {"version": first, "over": world.version, "save_id": str(uuid.uuid4())}
    assert tab.post(world.url("versions"), {**form, "comment": ""}).status_code == 422
    assert tab.post(world.url("versions"), {**form, "comment": "x"}, follow=True).status_code == 200
    assert "has what is stored already" in html(
        tab.post(world.url("versions"), {**form, "comment": "x"}, follow=True)
    )


def test_a_secret_that_is_not_there_is_made_from_the_reference(
    tab: Client, world: World, git: Outside
) -> None:
    file = make.make_secrets_file(world.environment, path="z.yaml", secret_id=f"slipway/{uuid.uuid4().hex}")
    git.files["z.yaml"] = f"{HEAD}stringData:\n  NEW: ''\n".encode()
    at = world.url("create").replace(f"/{world.file.pk}/", f"/{file.pk}/")
    assert "not in AWS yet" in html(tab.get(f"{world.page}?file={file.pk}"))
    assert tab.post(at, {"comment": ""}).status_code == 422
    assert tab.post(at, {"comment": "first"}).status_code == 302
    text = html(tab.get(f"{world.page}?file={file.pk}"))
    assert "Blank" in text
    made = world.aws.get_secret_value(SecretId=file.secret_id)
    assert made["SecretString"] == git.files["z.yaml"].decode()
    assert AuditEvent.objects.filter(verb="secrets.created").count() == 1
    assert SecretVersion.objects.get(version_id=made["VersionId"]).source == "create"


def test_a_secret_that_is_scheduled_for_deletion(tab: Client, world: World) -> None:
    assert "TOKEN" in html(tab.get(world.page))
    world.aws.delete_secret(SecretId=world.file.secret_id)
    Secret.objects.update(tried_at=None)
    text = html(tab.get(world.page))
    assert "scheduled for deletion</b>, which was asked for" in text
    assert "Restore it in AWS" in text
    assert "gave no answer" not in text
    assert world.url("create") not in text


def test_a_secret_that_is_gone_is_made_anew(
    tab: Client, world: World, git: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "TOKEN" in html(tab.get(world.page))
    world.aws.delete_secret(SecretId=world.file.secret_id, ForceDeleteWithoutRecovery=True)
    Secret.objects.update(tried_at=None)
    for _ in range(2):  # the second look takes what the first one kept
        text = html(tab.get(world.page))
        assert "The secret is deleted in AWS" in text
        assert "AWS has not had it <time" in text
        assert "gave no answer" not in text
        assert world.url("create") in text
    assert world.url("create") not in html(signed_in(world.viewer).get(world.page))
    since = Secret.objects.get().gone_at
    Secret.objects.update(tried_at=None)
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        assert "The secret is deleted in AWS" in html(tab.get(world.page))
    assert Secret.objects.get().gone_at == since
    assert tab.post(world.url("create"), {"comment": "anew"}).status_code == 302
    text = html(tab.get(world.page))
    assert "deleted in AWS" not in text
    assert "Blank" in text
    assert world.text == git.files["secret.yaml"].decode()


def test_a_gone_secret_that_is_named_by_its_arn_is_not_offered(tab: Client, world: World) -> None:
    arn = Secret.objects.get().arn
    world.file.secret_id = arn
    world.file.save()
    make.allotted(world.file)
    assert "TOKEN" in html(tab.get(world.page))
    world.aws.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
    Secret.objects.update(tried_at=None)
    text = html(tab.get(world.page))
    assert "write a name into the settings" in text
    assert world.url("create") not in text
