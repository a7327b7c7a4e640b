"""Answers with which GitHub refuses a request."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class GitHubRefusal(Exception):
    """A refused request: HTTP status and body as GitHub writes them."""

    def __init__(self, status: int, message: str, errors: list[Json] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"message": message, "documentation_url": "https://docs.github.com/rest"}
        if errors:
            self.body["errors"] = errors


def invalid(resource: str, field: str, message: str) -> GitHubRefusal:
    """422 for one field."""
    error = {"resource": resource, "code": "custom", "field": field, "message": message}
    return GitHubRefusal(422, "Validation Failed", [error])


def checked_choice(resource: str, field: str, value: object, choices: tuple[str, ...]) -> str:
    """The value, if it is one of the choices. Raises GitHubRefusal."""
    if not isinstance(value, str) or value not in choices:
        raise invalid(resource, field, f"{field} is not included in the list")
    return value


def checked_text(resource: str, field: str, value: object, longest: int) -> str:
    """The text (empty for none), if it is one and not too long. Raises GitHubRefusal."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise invalid(resource, field, f"{field} is not a string")
    if len(value) > longest:
        raise invalid(resource, field, f"{field} is too long (maximum is {longest} characters)")
    return value


def checked_url(resource: str, field: str, value: object) -> str:
    """The address (empty for none), if its scheme is http or https. Raises GitHubRefusal."""
    text = checked_text(resource, field, value, 2000)
    if text and not text.startswith(("http://", "https://")):
        raise invalid(resource, field, f"{field} must use http(s) scheme")
    return text
