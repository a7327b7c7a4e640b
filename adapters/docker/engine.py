"""A Docker engine: what it is, which images it has, building and pushing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import docker.errors

from adapters.docker import building, pushing
from adapters.docker.building import BUILDKIT, CLASSIC, Built, Recipe
from adapters.docker.faults import base_image, engine_errors
from adapters.docker.session import Login
from adapters.docker.trace import Tell
from adapters.docker.wire import TIMEOUT, Stopper, Wire
from adapters.errors import NotFound

_WITH_BUILDKIT = (1, 39)  # the API's version from which `POST /build?version=2` is no experiment

_SHARES_CACHE = 23  # the engine's version


@dataclass(frozen=True)
class EngineFacts:
    """What an engine says of itself. `builder`: `buildkit` or `classic`; `architecture`: such as `amd64`."""

    version: str
    builder: str
    system: str
    architecture: str

    @property
    def shares_cache(self) -> bool:
        """Whether images can be caches for other engines. BuildKit in Docker 20.10 crashes the whole engine when it makes one
        (an endless recursion in its `marshalItem`); the classic builder takes any image."""
        major = self.version.partition(".")[0]
        return self.builder == CLASSIC or (major.isdigit() and int(major) >= _SHARES_CACHE)


class Engine:
    """One engine. `host`, `certificates`: as in DOCKER_HOST and DOCKER_CERT_PATH; `builder`: the one to use, empty for the best
    one that the engine has. Its methods raise ExternalError; threads may share it."""

    def __init__(
        self, host: str, certificates: str = "", *, builder: str = "", timeout: float = TIMEOUT
    ) -> None:
        self.host = host
        self.wire = Wire(host, certificates, timeout=timeout)
        self._builder = builder
        self._facts: EngineFacts | None = None

    def facts(self) -> EngineFacts:
        """Asks the engine for its version, and tells which builder is used. Asked once."""
        if self._facts is None:
            with engine_errors(self.host, "tell its version"):
                said = self.wire.client.version()
                self._facts = EngineFacts(
                    str(said["Version"]),
                    self._builder or _builder_of(said),
                    str(said.get("Os", "")),
                    str(said.get("Arch", "")),
                )
        return self._facts

    def build(self, recipe: Recipe, context: Iterable[bytes], tell: Tell, stopper: Stopper) -> Built:
        """Builds an image (see `building.build`)."""
        return building.build(self.wire, self.facts().builder, recipe, context, tell, stopper)

    def push(
        self,
        repository: str,
        tag: str,
        login: Login,
        stopper: Stopper,
        *,
        silence: float,
        progress: pushing.Progress,
    ) -> pushing.Pushed:
        """Pushes one tag (see `pushing.push`)."""
        return pushing.push(self.wire, repository, tag, login, stopper, silence=silence, progress=progress)

    def has_image(self, name: str) -> bool:
        """Whether the engine has an image of that name or id."""
        try:
            with engine_errors(self.host, "look up an image"):
                self.wire.client.inspect_image(name)
        except NotFound:
            return False
        return True

    def tag(self, engine_id: str, repository: str, tag: str) -> None:
        """Gives an image of the engine one more name. Raises NotFound when it is gone."""
        with engine_errors(self.host, "name an image"):
            self.wire.client.tag(engine_id, repository, tag, force=True)

    def pull(self, repository: str, tag: str, login: Login, stopper: Stopper, *, silence: float) -> bool:
        """Pulls an image for the classic builder's cache. Returns whether the registry has it and gives it."""
        return not self._pulled(repository, tag, login, stopper, silence)

    def triggers(
        self, name: str, login: Login | None, stopper: Stopper, *, silence: float, is_fresh: bool
    ) -> list[str]:
        """The triggers (`ONBUILD`) of a base image. The classic builder uses images of the engine, so it is pulled where it is
        missing, or `is_fresh`; of one that BuildKit would load by itself nothing is known. Raises as a build whose base image
        cannot be pulled."""
        if self.facts().builder == CLASSIC and (is_fresh or not self.has_image(name)):
            trouble = self._pulled(*named(name), login, stopper, silence)
            if trouble:
                raise base_image(trouble)
        try:
            with engine_errors(self.host, "look up an image"):
                config = self.wire.client.inspect_image(name).get("Config") or {}
        except NotFound:
            return []
        return [str(one) for one in config.get("OnBuild") or []]

    def _pulled(
        self, repository: str, tag: str, login: Login | None, stopper: Stopper, silence: float
    ) -> str:
        """Pulls an image. Returns why it was not possible, in the engine's words; empty when it was."""
        with engine_errors(self.host, "pull an image"):
            try:
                line = self.wire.open(
                    "/images/create", params={"fromImage": repository, "tag": tag},
                    headers=pushing.credential(login) if login else {}, stopper=stopper, silence=silence,
                )  # fmt: skip
            except docker.errors.APIError as error:
                return str(error.explanation or error)
            try:
                found = next((str(one["error"]) for one in line.objects() if "error" in one), "")
            finally:
                line.release()
        stopper.check()
        return found


def named(name: str) -> tuple[str, str]:
    """Repository, and tag or digest, of an image's name."""
    repository, at, digest = name.partition("@")
    if at:
        return repository, digest
    head, colon, tag = name.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (name, "latest")


def _builder_of(said: dict[str, object]) -> str:
    """BuildKit is part of Docker's own engine on Linux; engines of others that speak its API have none."""
    components = said.get("Components")
    names = [str(one.get("Name")) for one in components] if isinstance(components, list) else ["Engine"]
    numbers = str(said.get("ApiVersion", "0.0")).split(".")
    version = tuple(int(number) for number in numbers if number.isdigit())
    is_docker = "Engine" in names and said.get("Os", "linux") == "linux"
    return BUILDKIT if is_docker and version >= _WITH_BUILDKIT else CLASSIC
