"""Tags, mounts, labels and values of secrets: pure functions."""

from __future__ import annotations

import base64
import json
import time

import pytest
import yaml

from builds.models import BuildSecret
from builds.pipeline.bases import place, taken
from builds.pipeline.mounts import secret_ids
from builds.pipeline.orders import _address
from builds.pipeline.secrets import value_of
from builds.pipeline.work import NotBuildable


def test_which_secrets_a_dockerfile_mounts() -> None:
    text = """FROM a
RUN --mount=type=secret,id=npm,target=/root/.npmrc --mount=type=cache,target=/c npm ci
RUN --mount=type=secret,target=/run/secrets/token,required=true true
RUN --mount=id=npm,type=secret cat /run/secrets/npm
RUN echo --mount-is-a-word
"""
    assert secret_ids(text) == ["npm", "token"]


DOCKERFILE = """# syntax=docker/dockerfile:1
ARG BASE=r.example/team/base
ARG TAG
FROM --platform=linux/amd64 ${BASE}:${TAG:-1} AS build
COPY --from=r.example:5000/other/tool:2 /a /b
FROM scratch
COPY --from=build /a /a
COPY --from=0 /b /b
RUN --mount=type=bind,from=busybox,target=/x \\
    --mount=type=cache,target=/c true
FROM $NOTHING
"""


def test_which_images_a_dockerfile_takes() -> None:
    found = taken(DOCKERFILE, {})
    assert set(found.names) == {
        "r.example/team/base:1", "r.example:5000/other/tool:2", "scratch", "0", "busybox", "$NOTHING",
    }  # fmt: skip
    assert (found.unclear, found.frontends) == ((), ())
    assert set(found.bases) == {"r.example/team/base:1", "scratch", "$NOTHING"}
    assert "r.example/mine:1" in taken(DOCKERFILE, {"BASE": "r.example/mine"}).names


OTHER = "r.example/other/private"


@pytest.mark.parametrize(
    "text",
    [
        f"FROM {OTHER}",
        f"from\t{OTHER} as x",
        f"FROM \\\n# a comment\n  {OTHER}\n",
        f"# escape=`\nFROM `\n{OTHER}\n",
        f"ARG A=x B={OTHER}\nFROM $B",
        f"ARG B={OTHER}\nFROM ${{A:-${{B}}}}",
        f"ARG A=harmless\nARG A={OTHER}\nFROM $A",
        f"ARG A={OTHER}\nFROM scratch\nARG A=harmless\nFROM $A",
        f"FROM scratch\nRUN <<EOF\nFROM scratch AS {OTHER}\nEOF\nCOPY --from={OTHER} / /",
        f"FROM scratch\nCOPY --from={OTHER} / /",
        f"FROM scratch\nRUN --mount=type=bind,from={OTHER},target=/x true",
        f"FROM scratch\nONBUILD COPY --from={OTHER} / /",
        "FROM \"r.exa\"'mple/other/private'",
        "FROM r.example/oth\\er/private",
        "FROM r.example/other/private$EMPTY",
        "FROM ${A:+r.example/other/private}",
        "FROM scratch\nCOPY --from=$A / /",
        f"FRO\\\nM {OTHER}",
        "FROM r.exam\\\nple/other/private",
        f"FROM\v{OTHER}",
        f"FROM\r{OTHER}",
        f"RUN echo \\\\\nFROM {OTHER}",
        f"# check=skip=all\n# escape=`\nRUN echo \\\nFROM {OTHER}",
        f"RUN <<'a\\'\na\\\nFROM {OTHER}",
        f"FROM scratch\nRUN echo \\\\\nFROM \\\n{OTHER}",
        f"FROM scratch\nRUN <<'E\\'\nE\\\nFROM \\\n{OTHER}",
        f"FROM scratch\nRUN <<'E\\'\nE\\\nFR\\\nOM {OTHER}",
        f"FROM scratch\nRUN <<'E\\'\nE\\\nCOPY \\\n--from={OTHER} / /",
        f"ARG B={OTHER}\nARG A='x \\\nARG B=harmless'\nFROM $B",
        f"\ufeffFROM {OTHER}\r\n",
        f"#\u00a0escape=`\nFROM `\n{OTHER}\n",
        f"\ufeff# escape=`\r\nFROM `\r\n{OTHER}\r\n",
        "FROM 3f",
        "FROM sha256:3fa",
        "FROM scratch\nCOPY --from=3fa / /",
        "FROM 123456789012",
        "FROM scratch\nCOPY --from=123456789012 / /",
        "".join(["RUN x \\\n" * 30_000, f"FROM {OTHER}"]),
        f'FROM --platform="${{A:+ }}linux/amd64" {OTHER}',
        f"ARG A=x{OTHER}\nFROM ${{A#x}}",
        f"ARG A=\nFROM ${{A-harmless}}{OTHER}",
        f"FROM scratch\nCOPY --fr\\om={OTHER} / /",
        f'FROM scratch\nCOPY "--from={OTHER}" / /',
        f"FROM scratch\nRUN --mount=type=bind,From={OTHER},target=/x true",
        f'FROM scratch\nRUN --mount="type=bind,target=/a b,from={OTHER}" true',
    ],
)
def test_no_way_of_writing_hides_an_image(text: str) -> None:
    found = taken(text, {})
    assert OTHER in found.names or found.unclear


@pytest.mark.parametrize(
    "text",
    [
        f"# syntax={OTHER}\nFROM scratch",
        f"#syntax = {OTHER} more\r\nFROM scratch",
        f"\ufeff#Syntax={OTHER}\nFROM scratch",
        f"#!/bin/x\n# escape=`\n# syntax={OTHER}\nFROM scratch",
        f"// syntax={OTHER}\nwhatever",
        '{"syn\\u0074ax": "x/y"}',
        '#!/bin/x\n {"syntax": "x/y"}',
        "# syntax=docker/dockerfile-evil:1\nFROM scratch",
        "# syntax=evil.example/docker/dockerfile:1\nFROM scratch",
        "# syntax=docker/dockerfile:1@sha256:abc\nFROM scratch",
    ],
)
def test_only_dockers_own_frontend_reads_dockerfiles(text: str) -> None:
    assert taken(text, {}).frontends


@pytest.mark.parametrize(
    "name", ["docker/dockerfile", "docker/dockerfile:1.7-labs", "docker.io/docker/dockerfile:1"]
)
def test_dockers_own_frontend(name: str) -> None:
    assert taken(f"# syntax={name}\nFROM scratch\nRUN echo '# syntax=x'", {}).frontends == ()
    assert taken("FROM scratch", {"BUILDKIT_SYNTAX": name}).frontends == ()
    assert taken("FROM scratch", {"BUILDKIT_SYNTAX": "evil/frontend"}).frontends == ("evil/frontend",)
    assert taken("FROM scratch", {"BUILDKIT_SYNTAX": ""}).frontends == ("",)


def test_an_argument_that_is_not_declared_gives_no_value() -> None:
    assert OTHER in taken(f"FROM ${{VERSION:-{OTHER}}}", {"VERSION": "20"}).names
    assert OTHER not in taken(f"ARG VERSION\nFROM ${{VERSION:-{OTHER}}}", {"VERSION": "20"}).names


def test_a_command_of_many_lines_is_no_trouble() -> None:
    text = (
        "FROM python:3\nRUN "
        + "apt-get install -y --no-install-recommends some-package \\\n" * 5000
        + " && true"
    )
    assert taken(text, {}).unclear == ()


def test_what_only_looks_like_an_instruction_is_no_trouble() -> None:
    text = "FROM \\\n  python:3 AS x\nRUN python - <<E\nfrom a import (b, c)  # https://a/?b\nE\n"
    text += "RUN psql -c 'SELECT 1 \\\n FROM users;'"
    assert taken(text, {}).unclear == ()
    assert taken('FROM "python:3"', {}).names == ("python:3",)


def test_reading_a_hostile_dockerfile_takes_no_minutes() -> None:
    began = time.process_time()
    taken("RUN " + "--mount=" * 100_000, {})
    assert time.process_time() - began < 20


def test_a_stage_named_by_the_platform_is_no_image_of_ours() -> None:
    assert taken("FROM scratch AS build-amd64\nFROM build-${TARGETARCH}", {}).unclear == ()


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("r.example:5000/a/b:1", ("r.example:5000", "a/b")),
        ("r.example/a@sha256:0", ("r.example", "a")),
        ("localhost/a", ("localhost", "a")),
        ("library/python:3", ("", "library/python")),
        ("python:3", ("", "python")),
        ("R.Example:443/a", ("r.example", "a")),
    ],
)
def test_where_an_image_is(reference: str, found: tuple[str, str]) -> None:
    assert place(reference) == found


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("git@github.com:team/shop.git", "https://github.com/team/shop"),
        ("ssh://git@git.example:2222/team/shop.git", "https://git.example/team/shop"),
        ("https://git.example/team/shop.git", "https://git.example/team/shop"),
    ],
)
def test_the_source_label(url: str, address: str) -> None:
    assert _address(url) == address


def secret(key: str) -> BuildSecret:
    return BuildSecret(name="npm", secret_id="shop/build", key=key)


def test_a_value_by_its_key() -> None:
    flat = json.dumps({"token": "a value", "other": "x"})
    assert value_of(flat, secret("token")) == b"a value"
    assert value_of(flat, secret("")) == flat.encode()
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "build"}}
    file = yaml.safe_dump({**body, "data": {"token": base64.b64encode(b"a value").decode()}})
    assert value_of(file, secret("build/token")) == b"a value"
    assert value_of(file, secret("token")) == b"a value"


@pytest.mark.parametrize(
    ("text", "key"), [('{"a": "canary"}', "b"), ("neither: canary", "b"), ("kind: Secret", "x/y")]
)
def test_a_key_that_is_not_there(text: str, key: str) -> None:
    with pytest.raises(NotBuildable, match="has no key") as raised:
        value_of(text, secret(key))
    assert "canary" not in str(raised.value)
