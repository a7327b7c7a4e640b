"""Calls Git's command line with an environment of its own, without prompts, without leftovers, with hidden credentials.

A token travels in Git's `GIT_CONFIG_*` environment (never in arguments, addresses or files). A deploy key
lies in memory only: an anonymous file of this process, which ssh reads through `/proc`.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import structlog

from adapters.errors import ExternalError, Invalid, TimedOut, Unavailable
from adapters.git import processes, reach
from adapters.git.messages import FULL, FULL_HINT, MirrorsFull, UnusableKey, complaint_of, explain

log = structlog.get_logger(__name__)
# The variables that Git inherits: paths of programs, proxies and certificates. No GIT_* variables, no secrets.
_INHERITED = (
    *("PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
)
_ALWAYS = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/true",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
    "HOME": "/nonexistent",
}
# Git gives up a transfer slower than 1 kB/s for 30 s. This also ends a Git process whose worker was killed.
_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    # A redirect could lead into a network that only the portal reaches, or take the credential to another host.
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
    "gc.auto": "0",
    "maintenance.auto": "false",
    # Commits of deleted branches stay readable, because a running release or a rollback may still name them.
    "gc.pruneExpire": "never",
    "transfer.credentialsInUrl": "die",
}


@dataclass(frozen=True)
class GitCredential:
    """The credential for a repository: a token (HTTPS) or a private deploy key (SSH), exactly one of the two.

    `username` goes with a token; GitHub's default works with most hosts, which check the token only. Raises UnusableKey
    for a text that is no private key, and for a key with a passphrase.
    """

    token: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    username: str = "x-access-token"

    def __post_init__(self) -> None:
        if bool(self.token.strip()) == bool(self.private_key.strip()):
            raise UnusableKey("A Git credential is either a token or a private key.", system="Git")
        if self.private_key and (problem := _key_problem(self.private_key)):
            raise UnusableKey(
                problem, system="Git", hint="Paste a whole private key made without a passphrase."
            )

    def fingerprint(self, url: str) -> str:
        """A short hash that identifies this credential among others of the repository, and does not reveal it."""
        secret = f"{self.username}\0{self.token.strip()}\0{self.private_key.strip()}"
        return blake2b(secret.encode(), key=blake2b(url.encode()).digest(), digest_size=8).hexdigest()

    @property
    def basic(self) -> str:
        """The value of an HTTP `Authorization` header."""
        pair = f"{self.username}:{self.token.strip()}"
        return "Basic " + base64.b64encode(pair.encode()).decode()


def _key_problem(key: str) -> str:
    """The reason why ssh cannot use this private key without a person, or an empty text."""
    lines = key.strip().splitlines()
    if not lines[0].startswith("-----BEGIN ") or not lines[0].rstrip().endswith("PRIVATE KEY-----"):
        return "This is not a private key: its first line is not “-----BEGIN … PRIVATE KEY-----”."
    encrypted = "ENCRYPTED" in lines[0] or any(line.startswith("Proc-Type: 4,ENCRYPTED") for line in lines)
    try:
        body = base64.b64decode("".join(line.strip() for line in lines[1:-1]))
    except ValueError:
        body = b""  # older formats have header lines; ssh refuses any other text
    # openssh-key-v1: magic, then the cipher's name with its length; "none" means no passphrase.
    locked = body.startswith(b"openssh-key-v1") and b"\0\0\0\x04none" not in body[:32]
    if encrypted or locked:
        return "The private key is protected by a passphrase, which the portal cannot enter."
    return ""


@dataclass(frozen=True)
class Git:
    """Runs Git for one repository's address. ssh stores the keys of known hosts in `folder`. `networks`: the private
    networks that it may connect to."""

    url: str
    protocols: tuple[str, ...]
    credential: GitCredential | None
    folder: Path
    networks: tuple[str, ...] = ()

    def remote(
        self,
        args: Sequence[str],
        *,
        timeout: float,
        keep_open: Sequence[int] = (),
        max_output: int = 16_000_000,
        may_go_on: Callable[[], bool] | None = None,
    ) -> bytes:
        """Runs a command that talks to the repository's host, and returns its output. `timeout` in seconds;
        `may_go_on`: asked every second, and the command is stopped when it says no. Raises ExternalError (MirrorsFull when it
        was stopped)."""
        bound = reach.pin(self.url, self.networks, timeout=timeout)
        binding = [part for name, value in bound.settings.items() for part in ("-c", f"{name}={value}")]
        command = [*binding, *args]
        with self._credential_environment(bound.ssh) as extra:
            return self._run(
                command,
                extra,
                timeout=timeout,
                keep_open=keep_open,
                max_output=max_output,
                may_go_on=may_go_on,
            )

    def local(
        self,
        args: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = 30,
        keep_open: Sequence[int] = (),
        max_output: int = 64_000_000,
    ) -> bytes:
        """Runs a command on the mirror, with every transport forbidden, and returns its output."""
        return self._run(args, {}, timeout=timeout, stdin=stdin, keep_open=keep_open, max_output=max_output)

    @contextlib.contextmanager
    def streamed(self, args: Sequence[str]) -> Iterator[IO[bytes]]:
        """Runs a command on the mirror and gives its output as it comes, for what does not fit into memory. A block that ends
        early stops Git. Raises ExternalError at the block's end when Git failed."""
        command, env = _invocation(args, {"GIT_ALLOW_PROTOCOL": "none"})
        with processes.streamed(command, env=env) as running:
            yield running.output
        if running.code:
            raise self.explain(running.said)

    def _run(
        self,
        args: Sequence[str],
        extra: dict[str, str],
        *,
        timeout: float,
        max_output: int,
        stdin: bytes = b"",
        keep_open: Sequence[int] = (),
        may_go_on: Callable[[], bool] | None = None,
    ) -> bytes:
        command, env = _invocation(args, extra)
        try:
            done = processes.run(
                command,
                env=env,
                timeout=timeout,
                stdin=stdin,
                max_output=max_output,
                keep_open=keep_open,
                may_go_on=may_go_on,
            )
        except processes.ProgramTimedOut:
            raise self._timed_out(timeout) from None
        except processes.ProgramStopped:
            raise MirrorsFull(FULL, system="Git", hint=FULL_HINT) from None
        except processes.OutputTooLarge:
            raise Invalid("The repository's answer is too large to be read.", system="Git") from None
        except OSError as error:
            raise Unavailable(f"Git could not be started: {error.strerror}.", system="Git") from None
        if done.code:
            raise self.explain(done.stderr)
        return done.stdout

    def explain(self, stderr: bytes) -> ExternalError:
        """Git's error output as an ExternalError, without the credential in case a server repeats it."""
        given = [self.credential.token.strip(), self.credential.basic.split()[1]] if self.credential else []
        secrets = [secret for secret in given if secret]
        said, host = stderr.decode(errors="replace"), host_of(self.url)
        log.info("Git failed", host=host, said=complaint_of(said, secrets))
        return explain(said, host=host, with_credential=self.credential is not None, secrets=secrets)

    def _timed_out(self, timeout: float) -> TimedOut:
        return TimedOut(
            f"{host_of(self.url)} gave no complete answer within {round(timeout, 1):g} seconds; Git was stopped.",
            system="Git",
            hint="Try again; a large repository may need its first copy made on a quiet line.",
        )

    @contextlib.contextmanager
    def _credential_environment(self, ssh: dict[str, str]) -> Iterator[dict[str, str]]:
        env = {"GIT_ALLOW_PROTOCOL": ":".join(self.protocols)}
        if self.credential and self.credential.token and self.url.startswith(("https://", "http://")):
            env |= _token_environment(self.url, self.credential)
        with contextlib.ExitStack() as stack:
            key = None
            with contextlib.suppress(OSError):  # without its folder ssh only forgets the hosts it has seen
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self.credential and self.credential.private_key:
                key = stack.enter_context(_key_in_memory(self.credential.private_key))
            yield env | {
                "GIT_SSH_COMMAND": _ssh_command(self.folder / "known_hosts", key, ssh),
                "GIT_SSH_VARIANT": "ssh",
            }


def _invocation(args: Sequence[str], extra: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """Git's whole command line and whole environment."""
    env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    env |= _ALWAYS | {"GIT_ALLOW_PROTOCOL": "none"} | extra
    settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    return ["git", *settings, "--no-pager", "--literal-pathspecs", *args], env


def host_of(url: str) -> str:
    """The host's name for people; `this machine` for `file:` addresses."""
    if "://" not in url:
        return url.split("@", 1)[-1].split(":", 1)[0]
    return urlsplit(url).netloc.rpartition("@")[2] or "this machine"


def _token_environment(url: str, credential: GitCredential) -> dict[str, str]:
    """Settings for one call: the header, for this host only."""
    parts = urlsplit(url)
    settings = {f"http.{parts.scheme}://{parts.netloc}/.extraHeader": f"Authorization: {credential.basic}"}
    env = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (name, value) in enumerate(settings.items()):
        env |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return env


@contextlib.contextmanager
def _key_in_memory(key: str) -> Iterator[str]:
    """Yields a path from which ssh can read the key during the block.

    ssh closes inherited descriptors, so the path goes through this process's own; it also wants mode 600,
    Unix line ends and a newline at the end, which pasted keys often lack.
    """
    descriptor = os.memfd_create("deploy-key", os.MFD_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, ("\n".join(key.strip().splitlines()) + "\n").encode())
        yield f"/proc/{os.getpid()}/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _ssh_command(known_hosts: Path, key: str | None, more: dict[str, str] | None = None) -> str:
    """An ssh command without the user's settings, agent, keys or prompts. It stores the key of a new host. `more`: further
    options."""
    # Inside ssh's option, % begins a token and quotes keep spaces together; then all of it passes through a
    # shell.
    hosts = str(known_hosts).replace("%", "%%")
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": f'"{hosts}"',
        "GlobalKnownHostsFile": "/etc/ssh/ssh_known_hosts",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "ConnectTimeout": "10",
        "ServerAliveInterval": "10",
        "ServerAliveCountMax": "3",
        **(more or {}),
    }
    command = ["ssh", "-F", "/dev/null"]
    for name, value in options.items():
        command += ["-o", f"{name}={value}"]
    command += ["-i", key or "/dev/null"]
    return shlex.join(command)
