"""Names that follow from the samples."""

from __future__ import annotations

from sandbox.samples import SAMPLES


def namespaces() -> list[str]:
    """Every namespace that the samples deploy to."""
    return [environment.namespace for sample in SAMPLES for environment in sample.environments]
