"""The pages of audit events' targets. Each app registers its own kinds of targets (`AppConfig.ready`).

A kind has a function that returns the address, or is registered as having no page. tests/audit/test_verbs.py checks that
every recorded kind is registered.
"""

from __future__ import annotations

from collections.abc import Callable

from django.urls import NoReverseMatch

from audit.models import AuditEvent

# The address of what an event tells of, or "" when this event's target has none.
Address = Callable[[AuditEvent], str]
_addresses: dict[str, Address] = {}


def show(kind: str, address: Address) -> None:
    """Registers a kind: `address` returns the page of an event's target."""
    _addresses[kind] = address


def have_no_page(*kinds: str) -> None:
    """Registers kinds whose targets have no page that a reader of the audit may open."""
    for kind in kinds:
        _addresses[kind] = lambda event: ""


def known_kinds() -> frozenset[str]:
    """All registered kinds."""
    return frozenset(_addresses)


def url_of(event: AuditEvent) -> str:
    """The page of an event's target; empty when it has none."""
    address = _addresses.get(event.target_kind)
    try:
        return address(event) if address else ""
    except NoReverseMatch:
        return ""
