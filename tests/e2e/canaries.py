"""Secret values that are known, so that they can be looked for: in every form in which they could show up."""

from __future__ import annotations

import base64
import html
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

import yaml

from engine.manifests.secretfiles import is_placeholder
from sandbox.cluster.api import Api
from sandbox.samples import REGISTRY
from secrets_ui.values.kinds import text_of
from tests.e2e import secret_tour, world
from tests.e2e.running import Running

SECRET_IDS = tuple(
    f"slipway/{project}/{environment}"
    for project in ("storefront", "catalog")
    for environment in ("staging", "production")
)
PLANTED = "slipway/storefront/staging"
TYPED = "typed on the tour: "
KEYS_FOUND_NOWHERE = (
    *("git_token", "slack_token", "github_token", "github_webhook_secret"),
    *("secret_key", "encryption_key", "digest_key"),
)
REFERENCE = "kubernetes/staging/secrets.yaml"  # of the storefront: names the keys
SHORTEST = 8  # of what is looked for: less could stand there by chance


def planted() -> dict[str, str]:
    """Values of every difficult kind, each with something random in it."""

    def word() -> str:
        return secrets.token_hex(8)

    body = "\n".join(secrets.token_hex(24) for _ in range(4))
    return {
        "SMTP_PASSWORD": f"p@ss w/rd&=%+?\"'\\<é>{word()}",
        "QUEUE_URL": f"amqp://shop:{word()}%2F$$@queue.internal/v?x=1&y={word()}",
        "SIGNING_KEY": f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n",
        "CHECKSUM_SALT": base64.b64encode(secrets.token_bytes(30)).decode(),
        "OAUTH_CLIENT": json.dumps({"user": "shop", "token": word(), "note": 'a "b" & c'}),
        "RECOVERY_PHRASE": f"  {word()} {word()}  ",
    }


def reference_edit() -> world.Edit:
    """What makes the reference file name the planted keys, too."""
    last = '  PAYMENT_TOKEN: ""\n'
    return world.Edit(REFERENCE, last, last + "".join(f'  {key}: ""\n' for key in planted()))


@dataclass(frozen=True)
class Canaries:
    """What must be found nowhere. `values`: by a name that may be shown when one is found; `binary`: those that are no text."""

    values: Mapping[str, str]
    binary: Mapping[str, bytes] = field(default_factory=dict)

    def needles(self) -> dict[bytes, str]:
        """Every form of every value, and the name it belongs to."""
        texts = {
            form.encode(): name
            for name, value in self.values.items()
            for form in forms_of(value)
            if len(form) >= SHORTEST
        }
        return texts | {form: name for name, value in self.binary.items() for form in forms_of_bytes(value)}

    def typed(self) -> tuple[dict[str, str], dict[str, bytes]]:
        """What people type on the tour, by key: texts, and bytes that are none."""
        texts = {
            name.removeprefix(TYPED): value for name, value in self.values.items() if name.startswith(TYPED)
        }
        binary = {
            name.removeprefix(TYPED): value for name, value in self.binary.items() if name.startswith(TYPED)
        }
        return texts, binary

    def found_in(self, *texts: bytes) -> list[str]:
        """The names of those found in any of the texts."""
        needles = self.needles()
        return sorted({name for text in texts for needle, name in needles.items() if needle in text})


def forms_of(value: str) -> Iterator[str]:
    """Plain, stripped, encoded for addresses, pages, JSON and YAML, base64 in both spellings, and each line of a long one."""
    plain = value.strip()
    raw = value.encode()
    yield from (
        plain,
        quote(plain, safe=""),
        quote(plain),
        quote_plus(plain),
        html.escape(plain),
        html.escape(plain, quote=False),
    )
    yield json.dumps(plain)[1:-1]
    yield json.dumps(plain, ensure_ascii=False)[1:-1]
    yield repr(plain)[1:-1]
    for text in (raw, plain.encode()):
        yield base64.b64encode(text).decode().rstrip("=")
        yield base64.urlsafe_b64encode(text).decode().rstrip("=")
    if "\n" in plain:
        yield from (line.strip() for line in plain.splitlines() if not line.startswith("-----"))


def forms_of_bytes(value: bytes) -> Iterator[bytes]:
    """As it is, base64 in both spellings, hexadecimal, and as programs print bytes."""
    yield value
    yield base64.b64encode(value).rstrip(b"=")
    yield base64.urlsafe_b64encode(value).rstrip(b"=")
    yield value.hex().encode()
    yield repr(value)[2:-1].encode()


def plant(running: Running) -> Canaries:
    """Puts the difficult values into a secrets file of the sandbox; these, the samples' own, and its credentials."""
    difficult = planted()
    world.add_to_secret(running, PLANTED, difficult)
    values = {f"{PLANTED} {key}": value for key, value in difficult.items()}
    binary = {}
    for secret_id in SECRET_IDS:
        for key, value in world.read_secret(running, secret_id).items():
            if (text := text_of(value)) is None:
                binary[f"{secret_id} {key}"] = value
            elif not is_placeholder(value):  # that one is a word of our own pages, too
                values[f"{secret_id} {key}"] = text
    typed, files = secret_tour.values()
    values |= {f"{TYPED}{key}": value for key, value in typed.items()}
    binary |= {f"{TYPED}{key}": value for key, value in files.items()}
    keys = json.loads((running.directory / "keys.json").read_text())
    values |= {name: keys[name] for name in KEYS_FOUND_NOWHERE}
    values["password"] = keys["password"]
    values["git's header"] = base64.b64encode(f"x-access-token:{keys['git_token']}".encode()).decode()
    return Canaries(values | dict(kubeconfig_secrets(running)) | dict(pull_tokens(running)), binary)


def pull_tokens(running: Running) -> Iterator[tuple[str, str]]:
    """The tokens in the samples' pull secrets, alone and with their user, as nodes send them."""
    api = Api.from_kubeconfig(running.plane_directory / "kubeconfig", user_agent="tests")
    found = api.get("/api/v1/secrets", {"fieldSelector": f"metadata.name={REGISTRY.pull_secret}"})["items"]
    assert found, "the portal keeps the samples' pull secrets"
    for secret in found:
        name = secret["metadata"]["namespace"]
        config = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
        for entry in config["auths"].values():
            pair = base64.b64decode(entry["auth"]).decode()
            yield f"pull token of {name}", pair.partition(":")[2]
            yield f"pull token of {name} with its user", pair


def kubeconfig_secrets(running: Running) -> Iterator[tuple[str, str]]:
    """The token of the cluster's admin, or the key, as the kubeconfig has it and as it is."""
    user = yaml.safe_load((running.plane_directory / "kubeconfig").read_text())["users"][0]["user"]
    if token := user.get("token"):
        yield "kubeconfig token", token
    else:
        yield "kubeconfig key, base64", user["client-key-data"]
        yield "kubeconfig key", base64.b64decode(user["client-key-data"]).decode()


def leaking_log(values: Mapping[str, str]) -> str:
    """The output of a program that prints its secrets in every way that programs do."""
    lines = ["a talkative program starts"]
    for key, value in values.items():
        lines += [
            f"plain {key}={value}",
            f"json {json.dumps({key: value})}",
            f"url ?{key}={quote_plus(value.strip())}&z=1",
        ]
        lines.append(f"base64 {base64.b64encode(value.encode()).decode()}")
    return "\n".join(lines)
