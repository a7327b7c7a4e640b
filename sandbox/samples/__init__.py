"""The sample projects, and everything around them that seeding registers in the portal."""

from __future__ import annotations

from sandbox.aws import ACCOUNT, REGION
from sandbox.samples.catalog import CATALOG
from sandbox.samples.cluster_base import CLUSTER_BASE
from sandbox.samples.model import SampleCluster, SampleProject, SampleRegistry
from sandbox.samples.people import PEOPLE
from sandbox.samples.storefront import STOREFRONT

# In the order of their first deploys: the catalog's certificate needs the kinds that the cluster base
# defines.
SAMPLES: tuple[SampleProject, ...] = (CLUSTER_BASE, STOREFRONT, CATALOG)
CLUSTER = SampleCluster()
REGISTRY = SampleRegistry(name="Sandbox ECR", account=ACCOUNT, region=REGION, pull_secret="ecr-pull")

__all__ = ["CLUSTER", "PEOPLE", "REGISTRY", "SAMPLES"]
