"""The key of the chain of audit events, and the anchor: the signed note of how many events the chain has and how it ends.

The key comes from DIGEST_KEY, which the database does not hold. A person who can write to the database, but has no key, can
neither change an event nor remove the newest one without a verification noticing it. Putting an older, signed anchor
back, with the rows of then, is noticed only from outside: the log and the page name number and hash, too.
"""

from __future__ import annotations

import hmac
import json
from hashlib import sha256

from django.conf import settings

from audit.models import Anchor, AuditEvent

MISSING = "The note of the chain's end is missing, so removed events cannot be noticed."
OTHER_KEY = "The chain was made with another DIGEST_KEY. Put that key back; nothing is chained until then."
FORGED = "The note of the chain's end was changed by something other than the portal."


def chain_key() -> bytes:
    """The key of the events' hashes and of the anchor's signature."""
    return hmac.new(settings.DIGEST_KEY.encode(), b"slipway: chain of audit events", sha256).digest()


def fingerprint() -> str:
    """A short text that tells one key from another and gives neither away."""
    return hmac.new(chain_key(), b"fingerprint", sha256).hexdigest()[:16]


def signature_of(anchor: Anchor) -> str:
    """The signature that fits the anchor's values."""
    values = ["anchor", anchor.count, anchor.hash, anchor.old_count, anchor.old_hash]
    return hmac.new(chain_key(), json.dumps(values).encode(), sha256).hexdigest()


def find() -> Anchor | None:
    """The anchor, or None before the first event was chained (and after somebody removed it)."""
    return Anchor.objects.order_by("pk").first()


def trouble_with(anchor: Anchor | None) -> str:
    """The reason why the anchor proves nothing, or an empty text."""
    if anchor is None:
        return MISSING if AuditEvent.objects.filter(link__isnull=False).exists() else ""
    if anchor.key != fingerprint():
        return OTHER_KEY
    return "" if hmac.compare_digest(anchor.signature, signature_of(anchor)) else FORGED


def first_anchor() -> Anchor:
    """A new anchor after the events that were chained before there was a key. Not saved yet."""
    old = AuditEvent.objects.filter(link=None).exclude(hash="")
    last = old.order_by("-id").values_list("hash", flat=True).first() or ""
    return Anchor(pk=1, old_count=old.count(), old_hash=last, hash=last)


def move(anchor: Anchor, *, count: int, last: str) -> None:
    """Saves the anchor with the new end of the chain."""
    anchor.count, anchor.hash, anchor.key = count, last, fingerprint()
    anchor.signature = signature_of(anchor)
    anchor.save()
