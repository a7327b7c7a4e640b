"""Both control planes with played nodes, for all tests of this folder."""

from __future__ import annotations

from tests.sandbox.played import cluster, nodes, registry, shop

__all__ = ["cluster", "nodes", "registry", "shop"]
