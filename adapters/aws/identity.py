"""Asks AWS for the identity of the portal: the cheapest call, which needs no right."""

from __future__ import annotations

from adapters.aws.session import HASTY, Access, Limits, aws_errors, client


def caller(region: str, *, limits: Limits = HASTY) -> str:
    """The ARN of the portal's own identity. Raises ExternalError: Denied without valid credentials, and Unavailable or
    TimedOut when AWS does not answer."""
    with aws_errors("AWS", "tell who the portal is"):
        return str(client("sts", Access(region, limits=limits)).get_caller_identity()["Arn"])
