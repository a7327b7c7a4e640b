"""Turns Git's error output into ExternalErrors with plain sentences. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from adapters.errors import Denied, ExternalError, Invalid, NotFound, Throttled, Unavailable


class MirrorDamaged(Unavailable):
    """The mirror of the repository cannot be read. It is a cache and can be rebuilt."""


class MirrorsFull(Unavailable):
    """The mirrors have taken all the space that they may take."""

    permanent = True


class UnknownRevision(NotFound):
    """The host does not have the commit, or does not serve it."""


class UnusableKey(Invalid):
    """The deploy key is not a private key, is damaged, or has a passphrase."""


class UntrustedHost(Denied):
    """The host presents another host key than before. The credential may still be valid."""


@dataclass(frozen=True)
class _Rule:
    """`pattern` in the output of Git, ssh or curl (C locale) → the error's class and sentence."""

    pattern: str
    error: type[ExternalError]
    message: str
    hint: str = ""
    permanent: bool | None = None


_CREDENTIAL = "Check the Git credential: does it exist, has it expired, may it read this repository?"
_NO_CREDENTIAL = "The repository is not public: enter a token or a deploy key as its Git credential."
_ADDRESS = "Check the repository's address, and whether the credential may see this repository."

FULL = "The copies of the Git repositories have taken all the space that they may take."
FULL_HINT = (
    "An admin can allow them more (GIT_MIRRORS_GB), or delete copies that no project needs in DATA_DIR/git."
)
# One sentence for all reasons: they would tell a maintainer what answers inside of networks that only the portal reaches.
_NOT_REACHABLE = "{host} is not reachable."
_REACH = (
    "Try again. If it stays so, check the address, the host's certificate (SSL_CERT_FILE names who may sign it) and the "
    "network between the portal and the host; a private network must be named in GIT_PRIVATE_NETWORKS. The portal's log "
    "has the reason."
)

# The first match counts. Specific patterns come before patterns that other failures print as well.
_RULES = (
    _Rule(
        r"host key verification failed|remote host identification has changed",
        UntrustedHost,
        "{host} does not show the key it showed before; nothing was sent to it.",
        "If it changed its key on purpose, remove its line from known_hosts in the mirrors' folder.",
    ),
    _Rule(
        r"transport '[^']*' not allowed|protocol '[^']*' not (?:allowed|supported)|remote-?helper",
        Invalid,
        "Repository addresses of this kind are not allowed.",
    ),
    _Rule(
        r"(?:returned error: |http )30\d|unable to update url base from redirection",
        NotFound,
        "{host} says that the repository has moved; the portal follows no redirect to another address.",
        "Enter the repository's new, full address (on GitLab it ends with .git).",
    ),
    _Rule(
        r"not our ref|couldn't find remote ref|unadvertised object",
        UnknownRevision,
        "{host} has no such revision.",
    ),
    _Rule(  # ssh goes on without the key, and the host refuses that
        r'load key "/proc/[^"]*": (?:error in libcrypto|invalid format|incorrect passphrase)',
        UnusableKey,
        "The deploy key cannot be read: it is not a whole private key.",
        "Paste all of it again, from its first line to its last, as its file has it.",
    ),
    _Rule(
        r"authentication failed|could not read (?:username|password)|terminal prompts disabled"
        r"|returned error: 40[13]|permission denied(?: \(|, please)|invalid credentials"
        r"|access denied|too many authentication failures",
        Denied,
        "{host} refused the authentication.",
        _CREDENTIAL,
    ),
    _Rule(
        r"returned error: 429",
        Throttled,
        "{host} asks us to come back later: too many requests.",
        "Wait a while.",
    ),
    _Rule(
        r"repository .{0,300}not found|returned error: 404|does not appear to be a git repository"
        r"|project you were looking for could not be found|no such project"
        r"|repository .{0,300}does not exist|/info/refs not valid",
        NotFound,
        "{host} knows no such repository, or does not show it to us.",
        _ADDRESS,
    ),
    _Rule(
        r"certificate|ssl routines|gnutls_handshake|ssl connect error|ssl_connect"
        r"|could not resolve (?:host|proxy|hostname)|name or service not known|failure in name resolution"
        r"|connection refused|failed to connect|couldn't connect|no route to host|network is unreachable"
        r"|timed out|connection reset|connection closed|could not connect|operation too slow"
        r"|empty reply from server|returned error: 5\d\d|early eof|rpc failed|hung up unexpectedly|unexpected disconnect"
        r"|invalid index-pack output|expected flush|protocol error|bad line length|eof while reading"
        r"|invalid server response",
        Unavailable,
        _NOT_REACHABLE,
        _REACH,
    ),
    _Rule(r"no space left on device|disk quota exceeded", Unavailable, "The portal's disk is full."),
    _Rule(
        r"permission denied|read-only file system",
        Unavailable,
        "The portal may not write to its folder of Git mirrors.",
        "Give the portal's system user the folder DATA_DIR.",
    ),
    _Rule(
        r"not a git repository|object file .* is empty|loose object .* is corrupt|packfile .* (?:is|cannot)"
        r"|bad object|missing (?:blob|tree|commit|object)|unable to read (?:tree|sha1)|could not read [0-9a-f]{40}"
        r"|inflate: data|pack .*(?:corrupt|too small|bad)|bad (?:tree|config)|index file corrupt"
        r"|wrong index|failed to read (?:delta|object)|broken ref|unable to parse commit"
        r"|invalid sha1 pointer|missing necessary objects|cannot be mapped|bad signature"
        r"|unable to (?:open object pack|unpack)|garbage at end of loose object|error: .*\.idx",
        MirrorDamaged,
        "The portal's copy of the repository is damaged.",
        "It is made anew at the next fetch.",
    ),
)


def not_reachable(host: str) -> Unavailable:
    """The error for a host to which no connection was made."""
    return Unavailable(_NOT_REACHABLE.format(host=host), system="Git", hint=_REACH)


def explain(stderr: str, *, host: str, with_credential: bool, secrets: Iterable[str] = ()) -> ExternalError:
    """The error for Git's error output.

    `host`: its name for people; `with_credential`: whether Git had a credential; `secrets`: texts that are cut out of
    quoted output.
    """
    for rule in _RULES:
        if re.search(rule.pattern, stderr, re.IGNORECASE):
            hint = _NO_CREDENTIAL if rule.hint == _CREDENTIAL and not with_credential else rule.hint
            message = rule.message.format(host=host)
            return rule.error(message, system="Git", hint=hint, permanent=rule.permanent)
    return Unavailable(f"Git failed: {complaint_of(stderr, secrets)}", system="Git")


def complaint_of(stderr: str, secrets: Iterable[str] = ()) -> str:
    """The last line of Git's own output without the secrets, short, for the log or a page."""
    complaint = _last_complaint(stderr)
    for secret in secrets:
        complaint = complaint.replace(secret, "…")
    return complaint[:300]


def _last_complaint(stderr: str) -> str:
    """The last line of Git's own output. Lines of the remote side (`remote: …`) are left out."""
    lines = [line.strip() for line in stderr.splitlines()]
    own = [line for line in lines if line.startswith(("fatal:", "error:"))]
    text = (own or ["it gave no reason."])[-1]
    return "".join(c if c.isprintable() else " " for c in text)
