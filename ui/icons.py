"""Icons as inline SVG, from the PyPI package `lucide`: no font, no request, coloured by the text around them.

The package keeps its icons in a zip file. Each icon is read and reduced to its shapes once per process.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from importlib import resources
from xml.etree import ElementTree
from zipfile import ZipFile

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

_SVG = "{http://www.w3.org/2000/svg}"


class UnknownIcon(LookupError):
    """The package has no icon of that name: a mistake in a template."""


@functools.cache
def shapes(name: str) -> SafeString:
    """The inner elements of the icon called `name` (lucide.dev/icons). Raises UnknownIcon."""
    with resources.files("lucide").joinpath("lucide.zip").open("rb") as stream, ZipFile(stream) as archive:
        try:
            svg = ElementTree.fromstring(archive.read(f"{name}.svg"))  # noqa: S314 (a file of an installed package)
        except KeyError:
            raise UnknownIcon(f"lucide has no icon {name!r}") from None
    for element in svg.iter():
        element.tag = element.tag.removeprefix(_SVG)
    inner = "".join(ElementTree.tostring(child, encoding="unicode").strip() for child in svg)
    return mark_safe(inner.replace(" />", "/>"))  # noqa: S308 (a file of an installed package)


@functools.cache
def render(name: str, classes: str = "", label: str = "") -> SafeString:
    """The icon as `<svg class="icon …">`: hidden from screen readers, or with a `label` announced as an image."""
    css = f"icon {classes}".strip()
    if label:
        return format_html(
            '<svg class="{}" viewBox="0 0 24 24" role="img" aria-label="{}">{}</svg>',
            css,
            label,
            shapes(name),
        )
    return format_html('<svg class="{}" viewBox="0 0 24 24" aria-hidden="true">{}</svg>', css, shapes(name))


@functools.cache
def drawn(name: str) -> SafeString:
    """The icon by a reference to its drawing, which a page with hundreds of them holds once (`drawings`)."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="#icon-{}"/></svg>', name)


def drawings(names: Iterable[str]) -> SafeString:
    """The drawings that `drawn` refers to; nothing of them is seen or read where they stand."""
    symbols = [
        format_html('<symbol id="icon-{}" viewBox="0 0 24 24">{}</symbol>', name, shapes(name))
        for name in names
    ]
    inner = mark_safe("".join(symbols))  # noqa: S308 (each symbol is escaped)
    return format_html('<svg class="hidden-label" aria-hidden="true">{}</svg>', inner)
