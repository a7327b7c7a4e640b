"""Which build made an image, as tags for pages of other apps: `{% load image_builds %}`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from builds.models import BuiltImage
from projects.models import Image
from ui.templatetags import ui

register = template.Library()


@register.simple_tag
def builds_of(image: Image, digests: Iterable[str]) -> dict[str, int]:
    """`{% builds_of image digests as built %}`: the number of the newest build that made each digest. One query."""
    rows = BuiltImage.objects.filter(image=image, digest__in=list(digests)).order_by("pk")
    return dict(rows.values_list("digest", "build__number"))


@register.simple_tag
def build_link(built: Mapping[str, int], digest: str) -> SafeString:
    """`{% build_link built digest %}`: a link to the build of a digest; – where it was built elsewhere."""
    number = built.get(digest)
    if number is None:
        return ui.NOTHING
    return format_html('<a href="{}">#{}</a>', reverse("builds:build", args=[number]), number)
