"""Builds an image. BuildKit is asked through the same socket as the classic builder (`POST /build?version=2`); the SDK itself
knows only the classic one.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from adapters.docker.faults import SYSTEM, BuildFailed, EngineLost, build_fault, engine_errors
from adapters.docker.session import Login, Offer, Session
from adapters.docker.trace import BuildKitTrace, ClassicTrace, Tell
from adapters.docker.wire import Stopper, Wire

BUILDKIT, CLASSIC = "buildkit", "classic"


def _let_pass(_: str) -> None:
    return None


@dataclass(frozen=True)
class Recipe:
    """What is built. `name`: repository and tag in the engine; `dockerfile`: its path in the context; `cache_from`: an image of
    the registry whose layers may be used again; `inline_cache`: make this one such an image; `is_fresh`: without any cache, and
    with newer base images where there are some. `silence`: the most seconds without a word of the engine. `network`: of the steps
    `RUN`, empty for the engine's default. `watch`: called with the name of each image that BuildKit loads; it may raise."""

    name: str
    dockerfile: str
    target: str = ""
    platform: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    logins: Mapping[str, Login] = field(default_factory=dict, repr=False)
    cache_from: str = ""
    inline_cache: bool = False
    is_fresh: bool = False
    silence: float = 900.0
    network: str = ""
    watch: Callable[[str], None] = _let_pass


@dataclass(frozen=True)
class Built:
    """An image in the engine: its id, the steps of its Dockerfile, and how many of them came from the cache."""

    engine_id: str
    steps: int
    cached: int


def build(
    wire: Wire, builder: str, recipe: Recipe, context: Iterable[bytes], tell: Tell, stopper: Stopper
) -> Built:
    """Builds with the `builder` that the engine has. `context`: a tar, not compressed, as it comes. Secrets are given by mounts.

    Raises BuildFailed (the Dockerfile, its context or a base image is at fault), DiskFull, EngineLost, TimedOut, Unavailable.
    """
    if recipe.secrets and builder != BUILDKIT:
        raise needs_buildkit()
    with ExitStack() as stack, engine_errors(wire.host, "build", build_fault):
        params = _params(recipe)
        if builder == CLASSIC:
            params.pop(
                "pull", None
            )  # `Engine.triggers` has pulled the base images: what it has read is what counts
        if builder == BUILDKIT:
            session = stack.enter_context(Session(wire, Offer(recipe.secrets, recipe.logins)))
            params |= {"version": "2", "session": session.id, "buildid": uuid.uuid4().hex}
        line = wire.open(
            "/build",
            params=params,
            headers=_headers(recipe),
            body=context,
            stopper=stopper,
            silence=recipe.silence,
        )
        stack.callback(line.release)
        return _read(line.objects(), tell, stopper, recipe.watch)


def needs_buildkit() -> BuildFailed:
    """The error for secrets without BuildKit."""
    return BuildFailed(
        "This build needs secrets, which only BuildKit can give it, and this Docker engine has no BuildKit.", system=SYSTEM,
        hint="Give the portal an engine with BuildKit. Secrets are never given as build arguments: these stay in the image.",
    )  # fmt: skip


def _params(recipe: Recipe) -> dict[str, str]:
    """The query. Booleans are texts; what is empty is left out."""
    # The image then tells which steps made its layers, so that another engine can use it as a cache.
    arguments = {**recipe.arguments, **({"BUILDKIT_INLINE_CACHE": "1"} if recipe.inline_cache else {})}
    given = {
        "t": recipe.name,
        "dockerfile": recipe.dockerfile,
        "target": recipe.target,
        "networkmode": recipe.network,
        "platform": recipe.platform,
        "buildargs": json.dumps(arguments) if arguments else "",
        "labels": json.dumps(dict(recipe.labels)) if recipe.labels else "",
        "cachefrom": json.dumps([recipe.cache_from]) if recipe.cache_from else "",
        "nocache": "1" if recipe.is_fresh else "",
        "pull": "1" if recipe.is_fresh else "",
    }
    return {"rm": "1", "forcerm": "1", **{name: value for name, value in given.items() if value}}


def _headers(recipe: Recipe) -> dict[str, str]:
    """With the credentials for base images, which the classic builder reads here (BuildKit asks in the session)."""
    headers = {"Content-Type": "application/x-tar"}
    if recipe.logins:
        known = {host: {"username": name, "password": word} for host, (name, word) in recipe.logins.items()}
        headers["X-Registry-Config"] = base64.urlsafe_b64encode(json.dumps(known).encode()).decode()
    return headers


def _read(
    objects: Iterable[dict[str, Any]], tell: Tell, stopper: Stopper, watch: Callable[[str], None]
) -> Built:
    """Reads the answer to its end. Without an image's id at the end the engine was cut off."""
    kit, classic, engine_id = BuildKitTrace(tell, watch), ClassicTrace(tell), ""
    try:
        for one in objects:
            if one.get("id") == "moby.buildkit.trace":
                kit.take(str(one.get("aux", "")))
            elif "errorDetail" in one or "error" in one:
                raise build_fault(
                    str((one.get("errorDetail") or {}).get("message") or one.get("error") or "")
                )
            elif "stream" in one and not kit.steps:
                classic.take(str(one["stream"]))
            elif "status" in one:
                _tell_pull(one, tell)
            if isinstance(one.get("aux"), dict) and one["aux"].get("ID"):
                engine_id = str(one["aux"]["ID"])
    finally:
        kit.close()
        classic.close()
    stopper.check()
    if not engine_id:
        raise EngineLost(
            "The Docker engine broke off the build.",
            system=SYSTEM,
            hint="Look whether it runs; then build again.",
        )
    return Built(engine_id, len(kit.steps) or classic.total, len(kit.cached) or classic.cached_count)


def _tell_pull(one: dict[str, Any], tell: Tell) -> None:
    """What the classic builder says of a base image that it pulls, without the bars of progress."""
    if not one.get("progressDetail"):
        tell(f"{one['id']}: {one['status']}" if one.get("id") else str(one["status"]), "info")
