"""Secrets in a browser: looking at a value, editing, two people at once, files, without script, on a phone."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from secrets_ui.files.model import open_text
from tests.e2e import world
from tests.e2e.browsing import SLOWLY, Visitor, needs_axe, needs_browser
from tests.e2e.running import Running

# On one control plane. They are about pages, and no cluster takes part.
pytestmark = [
    *needs_browser,
    pytest.mark.parametrize("sandbox", ["simulated"], indirect=True, scope="session"),
]
Visit = Callable[..., Visitor]
STAGING, PRODUCTION = "/projects/catalog/staging/secrets/", "/projects/catalog/production/secrets/"
STORED = "slipway/catalog/staging"
KEY = "DATABASE_URL"


@pytest.fixture(autouse=True, scope="module")
def as_before(sandbox: Running) -> object:
    """The tests after these find the samples' own values."""
    client = world.secrets_manager(sandbox)
    ids = (STORED, "slipway/catalog/production")
    texts = {name: client.get_secret_value(SecretId=name)["SecretString"] for name in ids}  # type: ignore[attr-defined]
    yield
    for name, text in texts.items():
        if client.get_secret_value(SecretId=name)["SecretString"] != text:  # type: ignore[attr-defined]
            client.put_secret_value(SecretId=name, SecretString=text)  # type: ignore[attr-defined]


def texts(sandbox: Running, secret_id: str) -> dict[str, str]:
    """The values of a populated secrets file; what is no text shows as signs of replacement."""
    found = world.read_secret(sandbox, secret_id)
    return {key: value.decode(errors="replace") for key, value in found.items()}


def fresh(word: str) -> str:
    """A value that stands nowhere else."""
    return f"{word}-{secrets.token_hex(8)}"


def new_key() -> str:
    """A key that no test has added yet."""
    return f"TRY_{secrets.token_hex(3).upper()}"


def opened(page: Page, address: str) -> None:
    """The page once the current version is known."""
    page.goto(address)
    expect(page.locator("table.secrets")).to_be_visible(timeout=SLOWLY)


def edit(page: Page, key: str, value: str) -> None:
    """Types a new value for a key of staging, and keeps it for the review."""
    opened(page, STAGING)
    page.get_by_label(f"Edit {key}", exact=True).click()
    page.get_by_label("New value of").fill(value)
    page.get_by_role("button", name="Keep for the review").click()
    expect(page.locator(".action-bar")).to_contain_text("nothing saved yet")


def add(page: Page, key: str, value: str) -> None:
    """Adds a key to staging, and keeps it for the review."""
    opened(page, STAGING)
    page.get_by_label("Add a key").fill(key)
    page.get_by_label("Value", exact=True).fill(value)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("tr", has_text=key)).to_contain_text("you add it")


def review(page: Page) -> None:
    """From the keys to the review."""
    page.get_by_role("link", name="Review ").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(re.compile("changes? to|changed meanwhile"))


def save(page: Page, why: str) -> None:
    """Saves what the review shows."""
    page.get_by_label("Why?").fill(why)
    page.get_by_role("button", name="Save as a new version").click()
    expect(page.locator(".message, .notice").first).to_contain_text("Saved as version")


def test_a_value_of_production_is_shown_for_a_while(visit: Visit, sandbox: Running) -> None:
    value = texts(sandbox, "slipway/catalog/production")[KEY]
    visitor = visit("lead")
    page = visitor.page
    page.clock.install()
    opened(page, PRODUCTION)
    page.get_by_label(f"Reveal {KEY}", exact=True).click()
    reason = page.get_by_label("Why do you need to see it?")
    show = page.get_by_role("button", name="Show", exact=True)
    reason.fill("the provider asks")
    show.click()
    shown = page.locator("[data-hide-after]")
    expect(shown).to_contain_text(value)
    assert shown.get_attribute("data-hide-after") == "30"
    visitor.take_picture("secrets-reveal", "light")
    page.clock.run_for(15_000)  # on top of the time that this test itself takes
    expect(shown).to_contain_text(value)
    page.clock.run_for(15_000)
    expect(shown).to_have_count(0)
    assert value not in page.content()
    told = sandbox.rows("SELECT data FROM audit_auditevent WHERE verb = 'secrets.revealed' ORDER BY id DESC")
    assert "the provider asks" in told[0]["data"]
    assert value not in told[0]["data"]


def test_a_value_is_not_there_when_going_back(visit: Visit, sandbox: Running) -> None:
    value = texts(sandbox, STORED)[KEY]
    page = visit("lead").page
    kept: list[str | None] = []
    page.on(
        "response",
        lambda answer: "/secrets/" in answer.url and kept.append(answer.headers.get("cache-control")),
    )
    opened(page, STAGING)
    page.get_by_label(f"Reveal {KEY}", exact=True).click()
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("[data-hide-after]")).to_contain_text(value)
    page.goto("/deploys/")
    page.go_back()
    expect(page.locator("table.secrets")).to_be_visible()
    assert value not in page.content()
    assert value not in page.evaluate(
        "JSON.stringify([{...sessionStorage}, {...localStorage}, history.state])"
    )
    assert kept
    assert all("no-store" in str(words) for words in kept)


KEPT = """async () => JSON.stringify([
    {...sessionStorage}, {...localStorage}, history.state, document.cookie, window.name, await caches.keys(),
    (await indexedDB.databases()).map(one => one.name), performance.getEntries().map(one => one.name),
])"""


def test_nothing_is_left_in_the_browser_after_signing_out(visit: Visit, sandbox: Running) -> None:
    """What was shown and typed is in no storage, in no address, and on no page that the way back leads to."""
    value, typed = texts(sandbox, STORED)[KEY], fresh("typed-before-leaving")
    page = visit("lead").page
    addresses: list[str] = []
    page.on("request", lambda asked: addresses.append(asked.url))
    opened(page, STAGING)
    page.get_by_label(f"Reveal {KEY}", exact=True).click()
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("[data-hide-after]")).to_contain_text(value)
    edit(page, KEY, typed)
    review(page)
    opened(page, STAGING)
    page.get_by_role("button", name="Discard").click()
    page.get_by_label(f"Edit {KEY}", exact=True).click()
    page.get_by_label("New value of").fill(typed)  # left without being sent
    page.goto("/deploys/")
    page.locator("details.menu summary").first.click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login/**")
    for _ in range(6):
        page.go_back()
        page.wait_for_load_state()
        kept = page.content() + page.evaluate(KEPT) + page.url
        assert "htmx-history-cache" not in kept
        assert not [word for word in (value, typed) if word in kept], page.url
    assert not [url for url in addresses if value in url or typed in url]


def test_an_old_sign_in_is_asked_for_again(visit: Visit, sandbox: Running) -> None:
    """Who signed in long ago types the password once more, and comes back to the key."""
    visitor = visit("lead")
    page = visitor.page
    aged = (
        "from django.contrib.sessions.models import Session\n"
        "from importlib import import_module\nfrom django.conf import settings\n"
        f"s = import_module(settings.SESSION_ENGINE).SessionStore({session_key(visitor)!r})\n"
        "for record in s['account_authentication_methods']: record['at'] -= 100_000\n"
        "s.save()\n"
    )
    done = sandbox.manage("shell", "-c", aged)
    assert done.returncode == 0, done.stderr
    opened(page, f"{PRODUCTION}?reveal={key_at(sandbox, KEY)}")
    page.get_by_label("Why do you need to see it?").fill("the provider asks")
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_url("**/reauthenticate/**")
    page.get_by_label("Password").fill(sandbox.env["SLIPWAY_PASSWORD"])
    page.locator("main button").first.click()
    expect(page.get_by_label("Why do you need to see it?")).to_be_visible()


def session_key(visitor: Visitor) -> str:
    """The session of a browser."""
    return next(cookie["value"] for cookie in visitor.context.cookies() if cookie["name"] == "sessionid")


def key_at(sandbox: Running, key: str) -> str:
    """A key of the catalog as addresses name it."""
    text = world.secrets_manager(sandbox).get_secret_value(SecretId=STORED)["SecretString"]  # type: ignore[attr-defined]
    return next(f"{secret.name}/{key}" for secret in open_text(text).secrets if secret.entry(key))


def test_edit_review_save(visit: Visit, sandbox: Running) -> None:
    before, value, added = texts(sandbox, STORED), fresh("typed"), new_key()
    visitor = visit("lead")
    page = visitor.page
    opened(page, STAGING)
    expect(page.get_by_role("meter", name="Size")).to_be_visible(timeout=SLOWLY)  # it comes by itself
    visitor.take_picture("secrets", "light")
    page.get_by_label(f"Edit {KEY}", exact=True).click()
    visitor.take_picture("secrets-edit", "light")
    edit(page, KEY, f"{value}\n")
    add(page, added, "flag")
    assert value not in page.content()
    review(page)
    assert value not in page.content()
    expect(page.locator("table tbody tr")).to_have_count(2)
    expect(page.locator(".flag")).to_contain_text("It ends with a line end.")
    visitor.take_picture("secrets-review", "light")
    page.get_by_role("button", name="Take the line end away").click()
    expect(page.locator(".flag")).to_have_count(0)
    save(page, "a new database")
    assert texts(sandbox, STORED) == {**before, KEY: value, added: "flag"}
    page.get_by_role("link", name="Versions").first.click()
    newest = page.locator("ol.versions > li").first
    expect(newest).to_contain_text("a new database")
    expect(newest).to_contain_text(added)
    visitor.take_picture("secrets-versions", "light")


def test_a_restore_brings_every_key_back(visit: Visit, sandbox: Running) -> None:
    before = texts(sandbox, STORED)
    page = visit("lead").page
    edit(page, KEY, fresh("wrong"))
    review(page)
    save(page, "by mistake")
    page.get_by_role("link", name="Versions").first.click()
    page.get_by_role("link", name="Restore…").first.click()
    page.get_by_label("Why does it come back?").fill("the wrong database")
    page.get_by_role("button", name="Restore as a new version").click()
    expect(page.locator(".message, .notice").first).to_contain_text("Restored as a new version")
    assert texts(sandbox, STORED) == before


def test_two_people_change_the_same_key(visit: Visit, sandbox: Running) -> None:
    mine, theirs = visit("lead"), visit("admin")
    value = fresh("of-lead")
    edit(mine.page, KEY, value)
    edit(theirs.page, KEY, fresh("of-admin"))
    review(theirs.page)
    save(theirs.page, "the admin was first")
    review(mine.page)
    expect(mine.page.locator(".clash")).to_contain_text("the admin was first")
    expect(mine.page.locator(".clash .third")).to_be_hidden()
    mine.take_picture("secrets-conflict", "light")
    decide(mine.page, "Yours")
    save(mine.page, "this one counts")
    assert texts(sandbox, STORED)[KEY] == value


def decide(page: Page, side: str) -> None:
    """Takes one side of a key that two people changed."""
    page.get_by_role("radio", name=re.compile(f"^{side}")).check()
    page.get_by_role("button", name="Go on with these").click()


@pytest.mark.parametrize("script", [True, False])
def test_a_third_value_for_a_key_that_two_people_changed(
    visit: Visit, sandbox: Running, script: bool
) -> None:
    mine, theirs = visit("lead", script=script), visit("admin")
    other, third = fresh("of-admin"), fresh("third")
    edit(mine.page, KEY, fresh("of-lead"))
    edit(theirs.page, KEY, other)
    review(theirs.page)
    save(theirs.page, "the admin was first")
    review(mine.page)
    page = mine.page
    page.get_by_role("button", name="Show theirs").click()
    expect(page.locator("output.value")).to_have_text(other)
    if not script:
        page.get_by_role("link", name="Hide").click()
    page.get_by_role("radio", name="A third one").check()
    page.get_by_label("Third value of").fill(third)
    page.get_by_role("button", name="Go on with these").click()
    expect(page.locator("table tbody tr")).to_contain_text(KEY)
    assert third not in page.content()
    save(page, "neither of both")
    assert texts(sandbox, STORED)[KEY] == third


def test_a_whole_secret_comes_and_goes(visit: Visit, sandbox: Running) -> None:
    client = world.secrets_manager(sandbox)
    before = client.get_secret_value(SecretId=STORED)["SecretString"]  # type: ignore[attr-defined]
    name, value = f"try-{secrets.token_hex(3)}", fresh("of-a-new-secret")
    page = visit("lead").page
    opened(page, STAGING)
    page.get_by_role("link", name="Add a Secret").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Type", exact=True).select_option("kubernetes.io/tls")
    page.get_by_label("Its value").fill(value)
    page.get_by_role("button", name="Keep for the review").click()
    field = page.get_by_label("Value of")
    expect(field).to_be_focused()  # though the address names the key's row
    field.fill(f"{value}-2")
    page.locator(".opened-more").get_by_role("button", name="Keep for the review").click()
    review(page)
    expect(page.locator("table tbody tr").first).to_contain_text("Secret added")
    assert value not in page.content()
    save(page, "a certificate")
    text = client.get_secret_value(SecretId=STORED)["SecretString"]  # type: ignore[attr-defined]
    assert text.startswith(before)
    made = open_text(text).secrets[-1]
    assert (made.name, made.type) == (name, "kubernetes.io/tls")
    assert made.values() == {"tls.crt": value.encode(), "tls.key": f"{value}-2".encode()}
    page.get_by_label(f"Remove the Secret {name}", exact=True).click()
    expect(page.locator("table tbody tr")).to_contain_text("These keys go: tls.crt tls.key")
    save(page, "it was only tried")
    assert client.get_secret_value(SecretId=STORED)["SecretString"] == before  # type: ignore[attr-defined]


def test_environments_side_by_side(visit: Visit, sandbox: Running) -> None:
    visitor = visit("lead")
    page = visitor.page
    opened(page, "/projects/storefront/staging/secrets/")
    page.get_by_role("link", name="Compare").click()
    page.get_by_role("button", name="Compare now").click()
    expect(page.get_by_role("button", name="Compare again")).to_be_visible()
    expect(page.locator("table tbody tr .shape").first).to_have_text("A")
    for secret_id in ("slipway/storefront/staging", "slipway/storefront/production"):
        assert not [
            value
            for value in texts(sandbox, secret_id).values()
            if len(value) > 12 and value in page.content()
        ]
    visitor.take_picture("secrets-compare", "light")


def test_many_values_at_once(visit: Visit, sandbox: Running) -> None:
    value, added = fresh("imported"), new_key()
    visitor = visit("lead")
    page = visitor.page
    opened(page, STAGING)
    page.get_by_role("link", name="Import").click()
    expect(page.get_by_label("Paste")).to_be_focused()
    page.get_by_label("Paste").fill(f"# pasted\n{KEY}={value}\n{added}='a b'\n")
    page.get_by_role("button", name="Look at what would change").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("1 key added, 1 changed")
    assert value not in page.content()
    visitor.take_picture("secrets-import", "light")
    page.get_by_role("button", name="Take 2 into my changes").click()
    save(page, "moved from the old server")
    found = texts(sandbox, STORED)
    assert (found[KEY], found[added]) == (value, "a b")


def test_another_person_approves(visit: Visit, sandbox: Running, asks: None) -> None:
    mine, theirs = visit("lead"), visit("admin")
    value = fresh("asked-for")
    edit(mine.page, KEY, value)
    review(mine.page)
    mine.page.get_by_label("Why?").fill("a new password of the database")
    mine.page.get_by_role("button", name="Ask for approval").click()
    expect(mine.page.locator(".message, .notice").first).to_contain_text("waits until another person")
    assert texts(sandbox, STORED)[KEY] != value
    theirs.page.goto(STAGING)
    theirs.page.get_by_role("link", name="a new password of the database").first.click()
    expect(theirs.page.locator("table tbody tr")).to_contain_text(KEY)
    theirs.take_picture("secrets-requests", "light")
    theirs.page.get_by_role("button", name="Approve the change").click()
    expect(theirs.page.locator("main")).to_contain_text(re.compile("[Aa]pproved"))
    assert texts(sandbox, STORED)[KEY] == value


@pytest.fixture
def asks(sandbox: Running) -> Iterator[None]:
    """Changes of staging's secrets are asked for."""

    def policy(wanted: bool) -> None:
        change = (
            "from projects.models import Environment\n"
            "place = Environment.objects.get(project__slug='catalog', slug='staging')\n"
            f"place.policies = {{**place.policies, 'secret_requests': {wanted}}}\nplace.save()\n"
        )
        done = sandbox.manage("shell", "-c", change)
        assert done.returncode == 0, done.stderr

    policy(wanted=True)
    yield
    policy(wanted=False)


def test_two_people_change_different_keys(visit: Visit, sandbox: Running) -> None:
    mine, theirs = visit("lead"), visit("admin")
    value, other, added = fresh("of-lead"), fresh("of-admin"), new_key()
    edit(mine.page, KEY, value)
    add(theirs.page, added, other)
    review(theirs.page)
    save(theirs.page, "one more key")
    review(mine.page)
    expect(mine.page.locator(".notice")).to_contain_text("Both fit together.")
    save(mine.page, "a new database")
    found = texts(sandbox, STORED)
    assert (found[KEY], found[added]) == (value, other)


def test_a_binary_file_is_stored_byte_for_byte(visit: Visit, sandbox: Running) -> None:
    body = bytes(range(256))
    page = visit("lead").page
    opened(page, STAGING)
    page.get_by_label(f"Edit {KEY}", exact=True).click()
    page.locator("details.more summary").click()
    page.get_by_label("From a file").set_input_files(
        {"name": "key.bin", "mimeType": "application/octet-stream", "buffer": body}
    )
    page.get_by_role("button", name="Keep the file").click()
    review(page)
    expect(page.locator("table tbody tr")).to_contain_text("binary")
    save(page, "a keystore")
    assert world.read_secret(sandbox, STORED)[KEY] == body
    page.get_by_label(f"Edit {KEY}", exact=True).click()
    page.get_by_role("button", name="Make one").click()  # a text again, for the tests after this one
    review(page)
    save(page, "a random value")
    assert re.fullmatch(r"[A-Za-z0-9]{32}", texts(sandbox, STORED)[KEY])


def test_without_script(visit: Visit, sandbox: Running) -> None:
    value = fresh("plain")
    page = visit("lead", script=False).page
    page.goto(STAGING)
    page.get_by_label(f"Reveal {KEY}", exact=True).click()
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("output.value")).to_have_text(texts(sandbox, STORED)[KEY])
    page.get_by_role("link", name="Hide").click()
    edit(page, KEY, value)
    review(page)
    save(page, "without script")
    assert texts(sandbox, STORED)[KEY] == value


@needs_axe
@pytest.mark.parametrize("width", [390, 1440])
def test_what_is_opened_is_for_everybody(visit: Visit, sandbox: Running, width: int) -> None:
    """Axe, and the width of a phone, on the pages that only come up while somebody edits."""
    mine, theirs = visit("lead", width=width, bypass_csp=True), visit("admin")
    page, wide = mine.page, []

    def look() -> None:
        assert mine.axe() == [], page.url
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wide.append(page.url)

    opened(page, PRODUCTION)
    page.get_by_label(f"Reveal {KEY}", exact=True).click()
    page.get_by_label("Why do you need to see it?").fill("to look at it")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("[data-hide-after]")).to_be_visible()
    look()
    edit(page, KEY, f" {fresh('of-lead')} \n")
    look()
    page.get_by_label(f"Edit {KEY}", exact=True).click()
    look()
    review(page)
    look()
    edit(theirs.page, KEY, fresh("of-admin"))
    review(theirs.page)
    save(theirs.page, "the admin was first")
    page.reload()
    expect(page.locator(".clash")).to_be_visible()
    look()
    page.goto(f"{STAGING}?show=changed")
    page.get_by_role("link", name="Versions").first.click()
    look()
    page.get_by_role("link", name="Restore…").first.click()
    look()
    page.goto(STAGING)
    page.get_by_role("button", name="Discard").click()
    assert wide == []
