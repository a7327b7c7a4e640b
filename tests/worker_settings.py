"""The portal's settings for workers of tests: the jobs of test modules are on the list, too."""

from __future__ import annotations

from portal.settings import *  # noqa: F403
from portal.settings import JOBS as PRODUCT_JOBS

JOBS = (
    *PRODUCT_JOBS,
    *(
        f"tests.core.test_worker.{name}"
        for name in ("goes_on_until_told", "hears_nothing", "reads_a_secret_and_breaks", "is_killed")
    ),
)
