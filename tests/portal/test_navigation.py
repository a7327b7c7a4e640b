"""The table of the navigation: where its entries lead, and which of them is the current one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.urls import resolve

from portal.navigation import ADMIN_MENU, END, MAIN, NavEntry, marked, seen_by

NOBODY = SimpleNamespace(is_authenticated=False)
ADMIN = SimpleNamespace(is_authenticated=True, is_admin=True, is_auditor=False)
AUDITOR = SimpleNamespace(is_authenticated=True, is_admin=False, is_auditor=True)
DEVELOPER = SimpleNamespace(is_authenticated=True, is_admin=False, is_auditor=False)


def current(entries: tuple[NavEntry, ...], path: str) -> dict[str, str]:
    return {entry.name: entry.current for entry in marked(entries, path) if entry.current}


def test_every_entry_leads_to_a_page_and_has_a_letter_of_its_own() -> None:
    for entry in (*MAIN, *END, *ADMIN_MENU):
        assert resolve(str(entry.url))
    letters = [entry.jump for entry in (*MAIN, *END)]
    assert len(set(letters)) == len(letters)
    assert all(letters)


@pytest.mark.parametrize(
    ("user", "names"),
    [
        (NOBODY, []),
        (None, []),
        (DEVELOPER, ["Board", "Deploys", "Builds", "Secrets", "Registry"]),
        (AUDITOR, ["Board", "Deploys", "Builds", "Secrets", "Registry", "Audit"]),
    ],
)
def test_who_sees_what(user: object, names: list[str]) -> None:
    assert [entry.name for entry in seen_by(user, (*MAIN, *END))] == names


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/admin/", {"Overview": "page"}),
        ("/admin/people/", {"People": "page"}),
        ("/admin/people/7/", {"People": "true"}),
        ("/admin/clusters/new/", {"Clusters": "true"}),
        ("/admin/first-steps/", {"First steps": "page"}),
    ],
)
def test_the_menu_of_the_admin(path: str, expected: dict[str, str]) -> None:
    assert current(ADMIN_MENU, path) == expected


def test_the_longest_address_above_a_page_wins() -> None:
    entries = (
        NavEntry("Board", "/", also=("/projects/",)),
        NavEntry("Secrets", "/secrets/", also=("/projects/*/*/secrets/",)),
    )
    assert current(entries, "/projects/shop/staging/secrets/x/") == {"Secrets": "true"}
    assert current(entries, "/projects/shop/staging/") == {"Board": "true"}
    assert current(entries, "/") == {"Board": "page"}
    assert current(entries, "/elsewhere/") == {}
