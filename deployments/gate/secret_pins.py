"""The versions of the secrets files that a requested deploy is pinned to.

A preview shows the effect of certain versions, and the deploy uses exactly these. So a version that is saved between the
preview and the click, or while the deploy waits in the queue, is not deployed unseen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from core.errors import Refused
from projects.models import Environment
from projects.secret_files import current_versions

_VERSION = re.compile(r"[-A-Za-z0-9_]{1,64}\Z", re.ASCII)


def pinned(environment: Environment, shown: Mapping[str, str] | None) -> dict[str, str]:
    """The VersionId by path of each secrets file. `shown`: the versions of a preview. Without a preview these are the current
    versions; files for which AWS does not answer soon are left out, and the step `secrets` pins them. Raises Refused
    (secret-versions)."""
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
