"""Calling Git's command line: nothing inherited, nothing asked, nothing left behind, credentials unseen.

A token travels in Git's `GIT_CONFIG_*` environment (never in arguments, addresses or files). A deploy key
lies in memory only: an anonymous file of ours, which ssh reads through `/proc`.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from urllib.parse import urlsplit

from adapters.errors import ExternalError, Invalid, TimedOut, Unavailable
from adapters.git import processes
from adapters.git.messages import UnusableKey, explain

# What of our own environment Git gets to see: how to find programs, proxies and certificates. No GIT_*, no
# secrets.
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
# A transfer slower than 1 kB/s for 30 s is given up: also by a Git whose worker was killed and that nobody
# waits for.
_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
    "gc.auto": "0",
    "maintenance.auto": "false",
    # Commits whose branch is gone stay readable: a running release, or a rollback, may still name them.
    "gc.pruneExpire": "never",
    "transfer.credentialsInUrl": "die",
}


@dataclass(frozen=True)
class GitCredential:
    """What opens a repository: a token (HTTPS) or a private deploy key (SSH); exactly one of the two.

    `username` goes with a token; GitHub's default fits most hosts, which look at the token only. Raises
    UnusableKey for a key that is none or asks for a passphrase.
    """

    token: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    username: str = "x-access-token"

    def __post_init__(self) -> None:
        if bool(self.token.strip()) == bool(self.private_key.strip()):
            raise Invalid("A Git credential is either a token or a private key.", system="Git")
        if self.private_key and (problem := _key_problem(self.private_key)):
            raise UnusableKey(
                problem, system="Git", hint="Paste a whole private key made without a passphrase."
            )

    def fingerprint(self, url: str) -> str:
        """A short mark that tells this credential from others of the repository; no help in guessing it."""
        secret = f"{self.username}\0{self.token.strip()}\0{self.private_key.strip()}"
        return blake2b(secret.encode(), key=blake2b(url.encode()).digest(), digest_size=8).hexdigest()

    @property
    def basic(self) -> str:
        """The value of an HTTP `Authorization` header."""
        pair = f"{self.username}:{self.token.strip()}"
        return "Basic " + base64.b64encode(pair.encode()).decode()


def _key_problem(key: str) -> str:
    """Why ssh could not use this private key unattended, or an empty text."""
    lines = key.strip().splitlines()
    if not lines[0].startswith("-----BEGIN ") or not lines[0].rstrip().endswith("PRIVATE KEY-----"):
        return "This is not a private key: its first line is not “-----BEGIN … PRIVATE KEY-----”."
    encrypted = "ENCRYPTED" in lines[0] or any(line.startswith("Proc-Type: 4,ENCRYPTED") for line in lines)
    try:
        body = base64.b64decode("".join(line.strip() for line in lines[1:-1]))
    except ValueError:
        body = b""  # the older forms have header lines; what is no key at all, ssh refuses
    # openssh-key-v1: magic, then the cipher's name with its length; "none" means no passphrase.
    locked = body.startswith(b"openssh-key-v1") and b"\0\0\0\x04none" not in body[:32]
    if encrypted or locked:
        return "The private key is protected by a passphrase, which nobody is there to type."
    return ""


@dataclass(frozen=True)
class Git:
    """Git, for one repository's address. In `folder` ssh keeps the hosts it has seen."""

    url: str
    protocols: tuple[str, ...]
    credential: GitCredential | None
    folder: Path

    def remote(
        self,
        args: Sequence[str],
        *,
        timeout: float,
        keep_open: Sequence[int] = (),
        max_output: int = 16_000_000,
    ) -> bytes:
        """Run a command that talks to the repository's host. `timeout` in seconds."""
        with self._credential_environment() as extra:
            return self._run(args, extra, timeout=timeout, keep_open=keep_open, max_output=max_output)

    def local(
        self,
        args: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = 30,
        keep_open: Sequence[int] = (),
        max_output: int = 64_000_000,
    ) -> bytes:
        """Run a command that works on the mirror only. Every transport is forbidden."""
        return self._run(args, {}, timeout=timeout, stdin=stdin, keep_open=keep_open, max_output=max_output)

    def _run(
        self,
        args: Sequence[str],
        extra: dict[str, str],
        *,
        timeout: float,
        max_output: int,
        stdin: bytes = b"",
        keep_open: Sequence[int] = (),
    ) -> bytes:
        env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        env |= _ALWAYS | {"GIT_ALLOW_PROTOCOL": "none"} | extra
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        try:
            done = processes.run(
                ["git", *settings, "--no-pager", "--literal-pathspecs", *args],
                env=env,
                timeout=timeout,
                stdin=stdin,
                max_output=max_output,
                keep_open=keep_open,
            )
        except processes.ProgramTimedOut:
            raise self._timed_out(timeout) from None
        except processes.OutputTooLarge:
            raise Invalid("The repository's answer is too large to be read.", system="Git") from None
        except OSError as error:
            raise Unavailable(f"Git could not be started: {error.strerror}.", system="Git") from None
        if done.code:
            raise self.explain(done.stderr)
        return done.stdout

    def explain(self, stderr: bytes) -> ExternalError:
        """Git's complaint as an error of the family; the credential is cut out should a server repeat it."""
        secrets = [self.credential.token.strip(), self.credential.basic.split()[1]] if self.credential else []
        return explain(
            stderr.decode(errors="replace"),
            host=host_of(self.url),
            with_credential=self.credential is not None,
            secrets=[secret for secret in secrets if secret],
        )

    def _timed_out(self, timeout: float) -> TimedOut:
        return TimedOut(
            f"{host_of(self.url)} gave no complete answer within {timeout:g} seconds; Git was stopped.",
            system="Git",
            hint="Try again; a large repository may need its first copy made on a quiet line.",
        )

    @contextlib.contextmanager
    def _credential_environment(self) -> Iterator[dict[str, str]]:
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
                "GIT_SSH_COMMAND": _ssh_command(self.folder / "known_hosts", key),
                "GIT_SSH_VARIANT": "ssh",
            }


def host_of(url: str) -> str:
    """The host for people to read; `this machine` for addresses of the kind `file:`."""
    if "://" not in url:
        return url.split("@", 1)[-1].split(":", 1)[0]
    return urlsplit(url).netloc.rpartition("@")[2] or "this machine"


def _token_environment(url: str, credential: GitCredential) -> dict[str, str]:
    """Settings for one call: the header for this host only, and no redirect, which could carry it away."""
    parts = urlsplit(url)
    settings = {
        f"http.{parts.scheme}://{parts.netloc}/.extraHeader": f"Authorization: {credential.basic}",
        "http.followRedirects": "false",
    }
    env = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (name, value) in enumerate(settings.items()):
        env |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return env


@contextlib.contextmanager
def _key_in_memory(key: str) -> Iterator[str]:
    """A path that ssh can read the key from while the block runs.

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


def _ssh_command(known_hosts: Path, key: str | None) -> str:
    """ssh without the user's settings, agent, keys or questions; a new host's key is remembered."""
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
    }
    command = ["ssh", "-F", "/dev/null"]
    for name, value in options.items():
        command += ["-o", f"{name}={value}"]
    command += ["-i", key or "/dev/null"]
    return shlex.join(command)
