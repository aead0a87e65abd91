"""Logos: what is uploaded is a stranger's file until it has been drawn anew."""

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from app.accounts import logos
from app.errors import InvalidInput


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 20), mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, *({"RGB": ["#c03"]}.get(mode, []))).save(out, kind, **options)
    return out.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content), formats=("PNG",))


def png_that_says(width: int, height: int) -> bytes:
    """A file of some hundred bytes whose head promises a huge picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 9000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "file",
    [
        picture(),
        picture("JPEG"),
        picture("JPEG", mode="CMYK"),
        picture(mode="P"),
        picture(mode="LA"),
        picture(mode="I;16"),
        picture(mode="RGBA", size=(3, 1)),
    ],
)
def test_png_and_jpeg_of_every_kind_become_a_png_of_ours(file: bytes) -> None:
    assert opened(logos.draw(file).content).mode == "RGBA"


def test_a_large_picture_is_made_to_fit() -> None:
    width, height = opened(logos.draw(picture(size=(3000, 600))).content).size

    assert (width, height) == (800, 160)


def test_a_turned_photo_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter

    assert opened(logos.draw(picture("JPEG", size=(40, 20), exif=exif)).content).size == (20, 40)


def test_nothing_of_the_file_but_its_pixels_is_kept() -> None:
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    evil = (
        picture("JPEG", exif=exif, comment=b"<script>", icc_profile=b"a profile")
        + b"<script>alert(1)</script>PK\x05\x06"
    )

    drawn = logos.draw(evil).content

    assert b"script" not in drawn
    assert b"home" not in drawn
    assert b"PK\x05\x06" not in drawn
    assert opened(drawn).info == {}


def test_the_same_picture_has_the_same_version() -> None:
    assert logos.draw(picture()).version == logos.draw(picture()).version != logos.draw(picture(size=(41, 20))).version


@pytest.mark.parametrize(
    "file",
    [
        b"GIF89a" + b"\0" * 40,
        b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        b"%PDF-1.7 nothing",
        b"\x89PNG\r\n\x1a\n",
        picture()[:60],
        picture("JPEG", size=(400, 400))[:300],
        picture("GIF"),
        picture("WEBP"),
        b"<html>" + picture(),
    ],
)
def test_what_is_no_whole_png_or_jpeg_is_refused(file: bytes) -> None:
    with pytest.raises(InvalidInput, match="no PNG or JPEG we can read") as refused:
        logos.draw(file)
    assert refused.value.field == "logo"


@pytest.mark.parametrize("size", [(100_000, 100_000), (4000, 2001), (12_000, 12_000)])
def test_a_bomb_is_refused_before_it_is_unpacked(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidInput, match="8 million pixels"):
        logos.draw(png_that_says(*size))


def test_no_file_and_a_large_one_are_refused() -> None:
    with pytest.raises(InvalidInput, match="Choose a file"):
        logos.draw(b"")
    with pytest.raises(InvalidInput, match="larger than 2 MB"):
        logos.draw(picture() + b"\0" * logos.LARGEST_FILE)
