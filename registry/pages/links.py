"""The pull credential in one line, for the pages of other apps and for links of the audit."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.models import AuditEvent
from projects.models import Cluster, Environment
from registry.deploys import credential_of
from registry.models import Credential, State
from registry.pages.looks import looks
from registry.pages.totals import totals
from ui.templatetags import ui

_PLACE = re.compile(r"(?P<cluster>[a-z0-9-]+)(/(?P<namespace>[a-z0-9-]+))?")


def address(cluster: str, namespace: str = "") -> str:
    """The page of the pull credentials, at a cluster or a namespace of it."""
    asked = {"cluster": cluster, **({"q": namespace} if namespace else {})}
    return f"{reverse('registry:overview')}?{urlencode(asked)}"


def page_of_event(event: AuditEvent) -> str:
    """The page of an audit event about a pull credential."""
    found = _PLACE.match(event.target_text)
    return address(found["cluster"], found["namespace"] or "") if found else reverse("registry:overview")


def line_of_environment(environment: Environment) -> SafeString:
    """State and time left of the credential that an environment names, with a link; empty where it names none. One query."""
    if not environment.pull_secret:
        return SafeString()
    row = credential_of(environment)
    link = format_html(
        '<a href="{}">{}</a>',
        address(environment.cluster.slug, environment.namespace),
        environment.pull_secret,
    )
    if row is None:
        return format_html("{} {}", ui.state("unknown", "Not looked at yet"), link)
    shown = looks(row, timezone.now())
    words = " for {}" if row.state == State.VALID else ", {} left"
    rest = format_html(words, ui.left(row.expires_at)) if shown.is_usable else ""
    return format_html("{}{} · {}", ui.state(shown.state, shown.word), rest, link)


def line_of_cluster(cluster: Cluster) -> SafeString:
    """In how many namespaces of a cluster pulls work, with a link; for admins. One query."""
    found = totals(Credential.objects.filter(cluster=cluster), timezone.now())
    link = format_html('<a href="{}">Pull credentials</a>', address(cluster.slug))
    if not found:
        return format_html("{}: no namespace has one yet", link)
    total = found[0]
    state = "valid" if total.usable == total.namespaces and not total.stops else "degraded"
    words = f"{total.usable} of {total.namespaces} namespaces pull"
    return format_html("{} {}", ui.state(state, words), link)
