"""The controllers: what makes a cluster move. Each looks at one object as it is now, and does the next step."""

from __future__ import annotations

from sandbox.kubernetes.controllers.controllers import Controllers

__all__ = ["Controllers"]
