"""The registry's side of an image: whether it is there already, its repository, its tags, and the check after the push.

Called in threads: nothing here uses the database.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from adapters.aws.ecr import SYSTEM, ImageFacts
from adapters.docker.faults import ImmutableTag
from adapters.errors import Conflict, NotFound, Unavailable
from builds.pipeline.orders import ImageOrder

Say = Callable[[str, str], None]  # a line and its level


@dataclass(frozen=True)
class Known:
    """What the registry has before the build. `images`: by tag; `keeps_tags`: a tag cannot be given to another image."""

    images: dict[str, ImageFacts]
    keeps_tags: bool

    def image(self, order: ImageOrder) -> ImageFacts | None:
        """The image of the revision, by its full or short number. One that is archived cannot be pulled and does not count, nor
        does that of another revision with the same short number."""
        sha = order.tags[0]
        named = (self.images[tag] for tag in order.tags if tag in self.images)
        return next((image for image in named if image.can_be_pulled and image.may_be_of(sha)), None)


def look(order: ImageOrder, say: Say) -> Known:
    """Asks ECR. Creates the repository when it is missing and that is allowed; raises NotFound when not, ExternalError."""
    place = order.place
    try:
        rules = place.repositories.rules(place.repository)
    except NotFound:
        if not place.creates:
            raise NotFound(
                f"There is no repository {place.repository} in {order.host}.", system=SYSTEM,
                hint="Create it, or let the project's build settings create missing repositories.",
            ) from None  # fmt: skip
        created = place.repositories.create(place.repository, place.policy)
        policy = " with its lifecycle policy" if place.policy.strip() else ""
        if created:
            say(f"Created the repository {place.repository}{policy}", "info")
        rules = place.repositories.rules(place.repository)
    return Known(place.ecr.digests(place.repository, order.tags), rules.keeps_tags)


def refuse_rebuild(order: ImageOrder, known: Known) -> None:
    """Raises ImmutableTag, before anything is built, when the tags of the revision cannot be given to a new image."""
    taken = [tag for tag in order.tags if tag in known.images]
    if known.keeps_tags and taken:
        raise ImmutableTag(
            f"{order.place.reference} keeps its tags, and {taken[0]} belongs to an image already: it cannot be built anew.",
            system=SYSTEM, hint="Remove the tag in ECR first, or build another revision.",
        )  # fmt: skip


def tag_existing(order: ImageOrder, known: Known, image: ImageFacts, say: Say) -> list[str]:
    """Gives the image that is there the tag of the revision that it lacks. Returns its tags of the revision."""
    place, tags = order.place, []
    for tag in order.tags:
        other = known.images.get(tag)
        if other is not None and other.digest != image.digest and may_not_move(order, known, tag, say):
            continue
        if other is None or other.digest != image.digest:
            try:
                place.repositories.add_tag(place.repository, image.digest, tag)
            except Conflict:
                if not has_digest(order, tag, image.digest):
                    say(
                        f"The tag {tag} belongs to another image, and {place.repository} keeps its tags",
                        "warning",
                    )
                    continue
        tags.append(tag)
    return tags


def may_not_move(order: ImageOrder, known: Known, tag: str, say: Say) -> bool:
    """Whether a tag stays with its image because the repository keeps tags; says so."""
    if not known.keeps_tags:
        return False
    say(f"The tag {tag} stays with an older image: {order.place.repository} keeps its tags", "warning")
    return True


def has_digest(order: ImageOrder, tag: str, digest: str) -> bool:
    """Whether the tag belongs to this image now."""
    found = order.place.ecr.digests(order.place.repository, [tag]).get(tag)
    return found is not None and found.digest == digest


def check(order: ImageOrder, digest: str) -> ImageFacts:
    """What ECR has under the full revision after the push. Raises Unavailable when that is another image, or none."""
    tag = order.tags[0]
    found = order.place.ecr.digests(order.place.repository, [tag]).get(tag)
    if found is None or found.digest != digest:
        what = f"{found.digest[:19]}" if found else "nothing"
        raise Unavailable(
            f"ECR has {what} under {tag[:12]} after the push of {digest[:19]}.", system=SYSTEM,
            hint="Was the tag pushed by another program at the same time? Build again.",
        )  # fmt: skip
    return found
