"""What a picture's file says beside its pixels, read so that damage to it never costs the pixels.

Of a PNG or JPEG file only what the pixels need goes on to the decoder: what else stands in it may
be damaged, or may swell to gigabytes, without the picture being any less whole.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_MOST_PROFILE = 4 << 20
# Critical chunks begin with a capital (PNG specification, 5.4); of the others, transparency counts.
_TRANSPARENCY, _EXIF_CHUNK, _PROFILE_CHUNK = b"tRNS", b"eXIf", b"iCCP"
_EXIF, _PROFILE = b"Exif\0\0", b"ICC_PROFILE\0"
_START_OF_SCAN, _APP1, _APP2 = 0xDA, 0xE1, 0xE2
# JFIF and Adobe's segment say what the channels of a JPEG file are.
_KEPT_APPS = (0xE0, 0xEE)
_APPS, _COMMENT = range(0xE0, 0xF0), 0xFE
_ORIENTATION, _SHORT = 0x0112, 3


@dataclass(frozen=True)
class Parts:
    """A picture's file taken apart.

    Attributes:
        pixels: the file without what its pixels do not need.
        exif: the camera's notes (EXIF), empty if there are none.
        profile: the colour profile (ICC), empty if there is none.
    """

    pixels: bytes
    exif: bytes = b""
    profile: bytes = b""


def parts(encoded: bytes) -> Parts:
    """Takes a PNG or JPEG file apart; another is returned as it is."""
    if encoded.startswith(PNG):
        return _of_png(encoded)
    return _of_jpeg(encoded) if encoded.startswith(JPEG) else Parts(encoded)


def orientation(exif: bytes) -> int:
    """How the stored pixels have to be turned, 1 (not at all) to 8 (EXIF 2.3, 4.6.4).

    Args:
        exif: the notes; whatever is damaged in them, the answer is 1 unless the orientation itself
            can be read.
    """
    tiff = exif.removeprefix(_EXIF)
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        magic, begin = struct.unpack_from(f"{order}HI", tiff, 2)
        (count,) = struct.unpack_from(f"{order}H", tiff, begin)
        for place in range(begin + 2, begin + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, place)
            if (magic, tag, kind) == (42, _ORIENTATION, _SHORT):
                return value if 1 <= value <= 8 else 1
    except struct.error:  # The notes end early.
        pass
    return 1


def _of_png(encoded: bytes) -> Parts:
    kept, exif, profile = [PNG], b"", b""
    start = len(PNG)
    while start + 12 <= len(encoded):
        length, kind = struct.unpack_from(">I4s", encoded, start)
        end = start + 12 + length
        if end > len(encoded):
            break
        if kind == _EXIF_CHUNK:
            exif = encoded[start + 8 : end - 4]
        elif kind == _PROFILE_CHUNK:
            profile = _unzipped(encoded[start + 8 : end - 4])
        elif kind == _TRANSPARENCY or not kind[0] & 0x20:
            kept.append(encoded[start:end])
        start = end
    # A chunk that is cut off: the decoder says what that means.
    return Parts(b"".join([*kept, encoded[start:]]), exif, profile)


def _unzipped(chunk: bytes) -> bytes:
    """The profile in a chunk: after a name, a zero and the number of the method."""
    try:
        unzip = zlib.decompressobj()
        profile = unzip.decompress(chunk.partition(b"\0")[2][1:], _MOST_PROFILE)
    except zlib.error:
        return b""
    return profile if unzip.eof else b""


def _of_jpeg(encoded: bytes) -> Parts:
    kept, exif, profiles = [JPEG], b"", []
    start = len(JPEG)
    while start + 4 <= len(encoded) and encoded[start] == 0xFF:
        marker = encoded[start + 1]
        if marker == 0xFF:  # Filling.
            start += 1
            continue
        end = start + 2 + int.from_bytes(encoded[start + 2 : start + 4], "big")
        if marker == _START_OF_SCAN or end > len(encoded) or end < start + 4:
            break
        content = encoded[start + 4 : end]
        if marker == _APP1 and content.startswith(_EXIF):
            exif = exif or content
        elif marker == _APP2 and content.startswith(_PROFILE):
            # Behind the name stand the number of the part and how many there are.
            profiles.append((content[len(_PROFILE)], content[len(_PROFILE) + 2 :]))
        elif marker in _KEPT_APPS or (marker not in _APPS and marker != _COMMENT):
            kept.append(encoded[start:end])
        start = end
    profile = b"".join(part for _, part in sorted(profiles))
    return Parts(b"".join([*kept, encoded[start:]]), exif, profile[:_MOST_PROFILE])
