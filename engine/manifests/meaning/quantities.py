"""Quantities of Kubernetes (`256Mi`, `0.5`, `250m`) as people read two of them side by side: in one unit."""

from __future__ import annotations

import re
from decimal import Decimal

_QUANTITY = re.compile(r"([+-]?[0-9]{1,18}(?:\.[0-9]{1,9})?)(m|[kMGTPE]|[KMGTPE]i|)\Z", re.ASCII)
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_UNITS = ("Ei", "E", "Pi", "P", "Ti", "T", "Gi", "G", "Mi", "M", "Ki", "k")


def amount(text: object) -> Decimal | None:
    """The number behind a quantity; None for what is none (or is written in a rare way, such as `1e3`)."""
    match = _QUANTITY.match(str(text).strip()) if isinstance(text, (str, int, float)) else None
    if match is None:
        return None
    number, unit = Decimal(match[1]), match[2]
    if unit == "m":
        return number / 1000
    return number * (_BINARY.get(unit) or _DECIMAL.get(unit) or 1)


def of_bytes(*texts: object) -> tuple[tuple[str, ...], str]:
    """The quantities as numbers of the largest unit in which all are whole, and that unit; as written where one is no
    quantity."""
    amounts = [amount(text) for text in texts]
    known = [one for one in amounts if one is not None]
    if len(known) < len(amounts):
        return tuple(str(text) for text in texts), ""
    for unit in _UNITS:
        size = _BINARY.get(unit) or _DECIMAL[unit]
        if any(known) and all(one % size == 0 for one in known):
            return tuple(_plain(one / size) for one in known), unit
    return tuple(_plain(one) for one in known), "bytes"


def of_cores(*texts: object) -> tuple[tuple[str, ...], str]:
    """The quantities as cores where all are whole, else as thousandths (`m`)."""
    amounts = [amount(text) for text in texts]
    known = [one for one in amounts if one is not None]
    if len(known) < len(amounts):
        return tuple(str(text) for text in texts), ""
    if all(one == one.to_integral_value() for one in known):
        return tuple(_plain(one) for one in known), ""
    return tuple(_plain(one * 1000) for one in known), "m"


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
