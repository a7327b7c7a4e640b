"""Screenshots small enough for the repository: a PNG of 8 bits a pixel with the colours that the page uses most."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = 256
STEP = 8  # colours nearer than this in each channel are one: letters have many greys that nobody tells apart

Colour = tuple[int, int, int]


def smaller(png: bytes) -> bytes:
    """The same picture with at most 256 colours. Takes what Chromium writes: 8 bits a channel, not interlaced."""
    chunks = list(chunks_of(png))
    width, height, depth, kind, *_, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    assert (depth, interlaced) == (8, 0)
    channels = {2: 3, 6: 4}[kind]
    raw = zlib.decompress(b"".join(data for name, data in chunks if name == b"IDAT"))
    rows = list(unfiltered(raw, width * channels, channels))
    pixels = [[rounded(row, at) for at in range(0, len(row), channels)] for row in rows]
    counted = Counter(pixel for row in pixels for pixel in row)
    palette = [colour for colour, _ in counted.most_common(COLOURS)]
    places = {colour: place for place, colour in enumerate(palette)}
    for colour in counted:
        if colour not in places:
            places[colour] = nearest(colour, palette)
    lines = b"".join(b"\0" + bytes(places[pixel] for pixel in row) for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = [
        (b"IHDR", header),
        (b"PLTE", b"".join(map(bytes, palette))),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    ]
    return SIGNATURE + b"".join(packed(name, data) for name, data in parts)


def rounded(row: bytes, at: int) -> Colour:
    """A pixel's colour, near ones made equal; black and white stay."""
    red, green, blue = (min(255, (value + STEP // 2) // STEP * STEP) for value in row[at : at + 3])
    return red, green, blue


def nearest(colour: Colour, palette: list[Colour]) -> int:
    """The place of the palette's colour that differs least."""
    return min(
        range(len(palette)),
        key=lambda at: sum((a - b) ** 2 for a, b in zip(colour, palette[at], strict=True)),
    )


def chunks_of(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and data of each chunk."""
    assert png.startswith(SIGNATURE)
    at = len(SIGNATURE)
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        at += 12 + size


def packed(name: bytes, data: bytes) -> bytes:
    """A chunk as a file holds it."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def unfiltered(raw: bytes, stride: int, size: int) -> Iterator[bytes]:
    """The rows of pixels, the filters of PNG undone (PNG specification, 9.2)."""
    before = bytes(stride)
    for at in range(0, len(raw), stride + 1):
        kind, row = raw[at], bytearray(raw[at + 1 : at + 1 + stride])
        for i in range(stride):
            left, up = (row[i - size] if i >= size else 0), before[i]
            if kind == 1:
                row[i] = (row[i] + left) & 255
            elif kind == 2:
                row[i] = (row[i] + up) & 255
            elif kind == 3:
                row[i] = (row[i] + (left + up) // 2) & 255
            elif kind == 4:
                row[i] = (row[i] + paeth(left, up, before[i - size] if i >= size else 0)) & 255
        before = bytes(row)
        yield before


def paeth(left: int, up: int, corner: int) -> int:
    """The neighbour that is nearest to left + up - corner."""
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))
