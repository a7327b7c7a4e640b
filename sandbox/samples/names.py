"""Names that follow from the samples."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.samples import SAMPLES
from sandbox.samples.model import SampleProject


def namespaces(samples: Iterable[SampleProject] = SAMPLES) -> list[str]:
    """Every namespace that the samples deploy to."""
    return [environment.namespace for sample in samples for environment in sample.environments]
