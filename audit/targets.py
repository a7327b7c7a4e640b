"""Where the target of an audit event can be seen. Each app says it for the kinds of its own (`AppConfig.ready`).

A kind either has a function that gives the address, or is named as having no page; tests/audit/test_verbs.py checks that
every kind that is recorded is known here.
"""

from __future__ import annotations

from collections.abc import Callable

from django.urls import NoReverseMatch

from audit.models import AuditEvent

# The address of what an event tells of, or "" when this event's target has none.
Address = Callable[[AuditEvent], str]
_addresses: dict[str, Address] = {}


def show(kind: str, address: Address) -> None:
    """Targets of this kind are seen where `address` says."""
    _addresses[kind] = address


def have_no_page(*kinds: str) -> None:
    """Targets of these kinds have no page that a reader of the audit may open."""
    for kind in kinds:
        _addresses[kind] = lambda event: ""


def known_kinds() -> frozenset[str]:
    """The kinds that some app has named."""
    return frozenset(_addresses)


def url_of(event: AuditEvent) -> str:
    """The page of what an event tells of; empty when it has none."""
    address = _addresses.get(event.target_kind)
    try:
        return address(event) if address else ""
    except NoReverseMatch:
        return ""
