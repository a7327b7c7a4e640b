"""Which versions of its secrets files a deploy is pinned to when it is asked for.

A preview shows what a deploy would do with certain versions; the deploy uses exactly those, whatever AWS has by then. So
a secret that somebody saves between the preview and the click, or while the deploy waits in line, is not deployed unseen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from core.errors import Refused
from projects.models import Environment
from projects.secret_files import current_versions

_VERSION = re.compile(r"[-A-Za-z0-9_]{1,64}\Z", re.ASCII)


def pinned(environment: Environment, shown: Mapping[str, str] | None) -> dict[str, str]:
    """VersionId by path. `shown`: what a preview showed. Without that the current ones, as far as AWS says soon which
    they are; the deploy takes the others as they are when it reads them. Raises Refused (secret-versions)."""
    if not shown:
        return current_versions(environment)
    paths = set(environment.secrets_files.values_list("path", flat=True))
    if not shown.keys() <= paths:
        raise Refused(
            "The secrets files of this environment are not those of the preview any more. Nothing was started.",
            hint="Look at the preview again.",
            code="secret-versions",
        )
    if not all(_VERSION.match(version) for version in shown.values()):
        raise Refused(
            "What was sent is no version of a secret. Nothing was started.",
            hint="Look at the preview again.",
            code="secret-versions",
        )
    return dict(shown)
