import io
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from refusals import raises_naming

from mien import pictures
from mien.errors import PictureError, TooManyPixels
from mien.pictures import LARGEST_PIXELS, decode, from_image, quiet, read_file, shrink, square

HEIC = Path(__file__).with_name("face.heic")
RAMP = np.linspace(0, 255, 24 * 24).reshape(24, 24).astype(np.uint8)


def encoded(image: Image.Image, kind: str = "png", **options) -> bytes:
    """Return a picture's file."""
    data = io.BytesIO()
    image.save(data, format=kind, **options)
    return data.getvalue()


def grey(data: bytes) -> np.ndarray:
    """Return the decoded grey pixels."""
    return decode(data).pixels


@pytest.mark.parametrize("kind", ["png", "bmp", "gif", "tiff", "ppm", "webp"])
def test_lossless_grey_comes_back_as_it_was(kind):
    """Every lossless format gives the very grey values that were written."""
    data = encoded(Image.fromarray(RAMP), kind, **({"lossless": True} if kind == "webp" else {}))

    assert np.array_equal(RAMP, grey(data))


def test_jpeg_comes_back_almost_as_it_was():
    """A JPEG of quality 95 is within a few grey levels."""
    assert np.abs(grey(encoded(Image.fromarray(RAMP), "jpeg", quality=95)).astype(int) - RAMP).max() <= 6


@pytest.mark.parametrize("kind", ["png", "tiff", "ppm"])
def test_16_bit_grey_is_scaled_and_not_white(kind):
    """16-bit grey 0, 32768 and 65535 become 0, 128 and 255."""
    values = np.repeat(np.array([0, 257 * 128, 65535], np.uint16), 8)[:, None].repeat(24, 1)

    assert [0, 128, 255] == grey(encoded(Image.fromarray(values), kind))[::8, 0].tolist()


def test_big_endian_16_bit_is_read_rightly():
    """The order of bytes in a 16-bit TIFF does not matter."""
    image = Image.frombytes("I;16B", (24, 24), np.full((24, 24), 257 * 99, ">u2").tobytes())

    assert {99} == set(grey(encoded(image, "tiff")).ravel().tolist())


def test_a_12_bit_or_negative_tiff_is_not_guessed_at():
    """16 bits of which 12 are used, or whose 0 is white, would come out black or negative, so they are refused."""
    image = Image.fromarray(np.full((24, 24), 4095, np.uint16))
    for tag, value in ((258, 12), (262, 0)):
        data = bytearray(encoded(image, "tiff"))
        entry = data.index(struct.pack("<HHI", tag, 3, 1))
        data[entry + 8 : entry + 10] = struct.pack("<H", value)

        with quiet(), pytest.raises(PictureError):
            decode(bytes(data))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bit_grey_is_refused(mode):
    """32-bit grey has no known white, so it is not guessed."""
    with pytest.raises(PictureError):
        decode(encoded(Image.new(mode, (24, 24), 3), "tiff"))


def test_1_bit_is_black_and_white():
    """Bits become 0 and 255."""
    assert {0, 255} == set(grey(encoded(Image.fromarray(RAMP).convert("1"))).ravel().tolist())


def test_transparency_is_shown_on_white():
    """A transparent palette entry, a transparent grey and full alpha are white, as viewers show them."""
    palette = Image.new("P", (24, 24), 1)
    palette.putpalette([0, 0, 0, 80, 80, 80])
    palette.putpixel((0, 0), 0)
    files = (
        encoded(palette, transparency=0),
        encoded(palette, "gif", transparency=0),
        encoded(_with_alpha()),
    )

    for data in files:
        assert [255, 80] == grey(data)[0, :2].tolist()


def _with_alpha() -> Image.Image:
    image = Image.new("RGBA", (24, 24), (80, 80, 80, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))
    return image


def test_cmyk_is_not_negative():
    """Much ink is dark: CMYK as JPEG and TIFF keeps black black and white white."""
    image = Image.new("CMYK", (24, 24), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 12, 24))

    for kind in ("jpeg", "tiff"):
        pixels = grey(encoded(image, kind))
        assert pixels[:, 2].max() < 20
        assert pixels[:, -2].min() > 235


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "tiff"])
def test_the_first_frame_of_an_animation_is_taken_and_said(kind):
    """Of several frames the first is read, and `animated` says so."""
    first, second = (Image.new("L", (24, 24), value).convert("RGB") for value in (200, 20))
    picture = decode(encoded(first, kind, save_all=True, append_images=[second]))

    assert picture.animated
    assert 200 == pytest.approx(picture.pixels.mean(), abs=2)
    assert not decode(encoded(first, kind)).animated


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation):
    """Whichever way the camera was held, the picture is upright."""
    undo = (None, None, 0, 3, 1, 5, 2, 6, 4)[orientation]
    stored = Image.fromarray(RAMP) if undo is None else Image.fromarray(RAMP).transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation

    assert np.array_equal(RAMP, grey(encoded(stored, "png", exif=exif)))


def test_only_exif_turns_a_picture():
    """An orientation in XMP alone turns nothing, as in browsers, and an image that was opened keeps what it says."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"></x:xmpmeta>'
    wide = Image.fromarray(RAMP[:12])
    data = encoded(wide, "jpeg", xmp=xmp)
    opened = Image.open(io.BytesIO(data))

    assert (12, 24) == decode(data).pixels.shape == from_image(opened).pixels.shape
    assert xmp == opened.info["xmp"]


def test_a_jpeg_of_endless_scans_is_refused():
    """Each scan goes over the whole picture: one of hundreds is not decoded, one of a usual number is."""
    data = encoded(Image.fromarray(np.kron(RAMP, np.ones((4, 4), np.uint8))), "jpeg", progressive=True)
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]

    assert (96, 96) == decode(data[:-2] + scan * 20 + data[-2:]).pixels.shape
    with pytest.raises(PictureError):
        decode(data[:-2] + scan * 200 + data[-2:])


def test_color_is_asked_for():
    """With `color` the answer is RGB, from grey files too; without it grey is ITU-R 601's luma."""
    red = encoded(Image.new("RGB", (24, 24), (255, 0, 0)))

    assert [255, 0, 0] == decode(red, color=True).pixels[0, 0].tolist()
    assert (24, 24, 3) == decode(encoded(Image.fromarray(RAMP)), color=True).pixels.shape
    assert 76 == grey(red)[0, 0]


def png_that_claims(width: int, height: int) -> bytes:
    """Return a small PNG whose header claims a size."""
    return png(struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), b"\0" * 64)


def rgb16_png(largest: int) -> bytes:
    """Return a PNG of 16 x 16 pixels, 16 bits a channel, all of one value."""
    row = b"\0" + struct.pack(">H", largest) * 48
    return png(struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0), row * 16)


def png(header: bytes, rows: bytes) -> bytes:
    """Return a PNG of a header and rows."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


BAD = {
    "empty": (b"", "an empty file"),
    "text": (b"this is no picture\n" * 9, "not a picture of a kind"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", "a git-LFS pointer"),
    "html": (b"<!DOCTYPE html><title>404</title>", "not a picture of a kind"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 48\n%%EndComments\n", "not a picture of a kind"),
    "truncated jpeg": (encoded(Image.fromarray(RAMP), "jpeg")[:-40], "damaged or cut short"),
    "truncated png": (encoded(Image.fromarray(RAMP))[:-60], "damaged or cut short"),
    "1 x 1": (encoded(Image.new("L", (1, 1))), "1 x 1 pixels are too few"),
    "1 x 5000": (encoded(Image.new("L", (1, 5000))), "1 x 5,000 pixels are too few"),
    "large": (png_that_claims(9000, 8000), "9,000 x 8,000"),
    "bomb": (png_that_claims(60_000, 60_000), "60,000 x 60,000"),
    "12 bits of color in 16": (rgb16_png(4095), "4,095"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_picture_gets_its_reason(kind):
    """Each bad file is refused in a few words that say what is wrong with it."""
    data, reason = BAD[kind]

    with pytest.raises(PictureError, match=reason) as raised:
        decode(data)
    assert "\n" not in str(raised.value)


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch):
    """The size in the header is enough; no pixel is decoded."""
    monkeypatch.setattr("mien.pictures._pixels", lambda *_: pytest.fail("decoded"))

    assert LARGEST_PIXELS < 9000 * 8000
    with pytest.raises(PictureError):
        decode(png_that_claims(9000, 8000))


@pytest.mark.parametrize("largest", [255, 1023, 4095, 16383])
def test_sixteen_bits_that_hold_fewer_are_read_by_these(largest):
    """A camera's 12 bits in a 16-bit PNG are as bright as they are in 8 bits, and what was assumed is said."""
    values = np.arange(0, largest + 1, max(1, largest // 255), dtype=np.uint16)[:256].reshape(16, 16).copy()
    values[-1, -1] = largest
    picture = decode(encoded(Image.fromarray(values)))

    assert np.abs(picture.pixels - values * 255.0 / largest).max() <= 0.5
    assert (f"{largest:,}" in picture.note) == (largest > 255)


def test_sixteen_bits_that_are_used_are_read_as_they_are():
    """One value above 14 bits is enough, and a PGM says itself what white is."""
    values = np.full((16, 16), 1000, np.uint16)
    pgm = b"P5 16 16 65535\n" + values.astype(">u2").tobytes()
    values[0, 0] = 20_000
    dark = decode(encoded(Image.fromarray(values)))

    assert (4, "") == (dark.pixels[5, 5], dark.note)
    assert (4, "") == (decode(pgm).pixels[5, 5], decode(pgm).note)


def large_jpeg(width: int, height: int, **options) -> bytes:
    """Return a grey JPEG with a white square over its first quarter in both directions."""
    image = Image.new("L", (width, height), 40)
    image.paste(250, (0, 0, width // 4, height // 4))
    return encoded(image, "jpeg", **options)


@pytest.mark.parametrize(("width", "height", "reduction"), [(9248, 6936, 2), (16320, 12240, 4)])
def test_a_large_jpeg_is_decoded_at_a_part_of_its_size(width, height, reduction):
    """64 and 200 million pixels of a telephone are read in at most 32 million, upright, and the file's size is kept."""
    turned = Image.Exif()
    turned[0x0112] = 8  # turn it counterclockwise to have it upright
    picture = decode(large_jpeg(width, height, exif=turned))

    assert (height, width) == picture.size
    assert reduction == picture.reduction
    assert (width // reduction, height // reduction) == picture.pixels.shape
    assert picture.pixels[-9, 9] > 200
    assert picture.pixels[9, 9] < 60


def test_jpegs_that_would_take_much_memory_are_refused():
    """A progressive JPEG, which is decoded as a whole, and one of 300 million pixels are refused by their size."""
    for data in (large_jpeg(9248, 7300, progressive=True), large_jpeg(20_000, 15_000)):
        with pytest.raises(TooManyPixels):
            decode(data)


def test_heic_is_read_upright():
    """What iPhones write is read where the package for it is installed, turned as it says."""
    pytest.importorskip("pi_heif")
    picture = decode(HEIC.read_bytes(), color=True)

    assert (128, 128, 3) == picture.pixels.shape
    assert picture.pixels[:20, :40].mean() > 1.5 * picture.pixels[-20:, :40].mean()


def test_heic_without_its_package_names_it(monkeypatch):
    """Where no package reads HEIC, the reason names the ending and the extra."""
    monkeypatch.setattr("mien.pictures.HEIC_READERS", ("no_such_package",))
    with raises_naming(PictureError, "HEIC", "mien[heic]"):
        decode(HEIC.read_bytes())


def files_of_every_kind() -> list[bytes]:
    """Return a small picture in every format."""
    image = Image.fromarray(RAMP).convert("RGB")
    return [encoded(image, kind) for kind in ("jpeg", "png", "gif", "bmp", "tiff", "ppm", "webp", "jpeg2000")]


@given(st.sampled_from(files_of_every_kind()), st.data())
@settings(deadline=None, max_examples=150)
def test_no_damage_brings_anything_but_a_picture_or_its_reason(data, draw):
    """Whatever bytes are changed, cut or put in, the answer is a picture or a PictureError."""
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 6))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.integers(len(damaged) // 2, 2 * len(damaged)))
    with quiet():
        try:
            picture = decode(bytes(damaged[:cut]))
        except PictureError as fault:
            assert str(fault)
        else:
            assert np.uint8 == picture.pixels.dtype


@pytest.mark.slow
def test_a_hundred_thousand_damaged_files_bring_nothing_else():
    """A long run of random damage to every format finds no other exception."""
    rng = np.random.default_rng(0)
    files = files_of_every_kind()
    with quiet():
        for number in range(100_000):
            damaged = np.frombuffer(files[number % len(files)], np.uint8).copy()
            places = rng.integers(len(damaged), size=rng.integers(1, 20))
            damaged[places] = rng.integers(256, size=len(places))
            try:
                decode(damaged[: rng.integers(8, 2 * len(damaged))].tobytes())
            except PictureError:
                pass


def test_only_regular_files_are_read(tmp_path):
    """A pipe, a device, a folder, a lost link and an odd name are told at once, not waited for."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "lost.jpg").symlink_to("nowhere")
    (tmp_path / "round.jpg").symlink_to("round.jpg")
    told = {
        tmp_path / "pipe.jpg": "a pipe",
        Path("/dev/zero"): "a device",
        tmp_path: "a folder",
        tmp_path / "lost.jpg": "a link to nothing",
        tmp_path / "round.jpg": "cannot be opened",
        tmp_path / "gone.jpg": "no such file",
        "a\0b": "holds a NUL",
    }

    for path, reason in told.items():
        with pytest.raises(PictureError, match=reason):
            read_file(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    """A file of a gigabyte of nothing is refused by its size."""
    with open(tmp_path / "huge.jpg", "wb") as file:
        file.truncate(2**30)

    with raises_naming(PictureError, "1,073,741,824 bytes"):
        read_file(tmp_path / "huge.jpg")


@given(arrays(np.uint8, st.integers(1, 40).map(lambda n: (n, n))), st.integers(1, 40))
@settings(max_examples=60)
def test_shrinking_gives_the_mean_of_what_a_pixel_covers(pixels, side):
    """Each new pixel is the rounded mean of its area, as fine copies of the pixels show."""
    side = min(side, len(pixels))
    fine = np.kron(pixels.astype(np.int64), np.ones((side, side), np.int64))
    blocks = fine.reshape(side, len(pixels), side, len(pixels)).sum((1, 3))
    area = len(pixels) ** 2

    assert np.array_equal((2 * blocks + area) // (2 * area), shrink(pixels, side))


def test_fine_stripes_become_grey_and_no_moire():
    """Stripes finer than a pixel give their mean everywhere, where picking pixels would alias."""
    stripes = np.tile(np.array([0, 255], np.uint8), (96, 48))

    assert {128} == set(shrink(stripes, 48).ravel().tolist())


def test_the_middle_square_is_taken():
    """A picture that is wider or higher than a square loses both ends alike; of the right side it stays as it is."""
    wide = np.zeros((48, 100), np.uint8)
    wide[:, 26:74] = 200

    assert {200} == set(square(wide, 48).ravel().tolist())
    assert {200} == set(square(np.ascontiguousarray(wide.T), 48).ravel().tolist())
    assert np.array_equal(RAMP, square(RAMP, 24))


def test_a_small_picture_grows_smoothly():
    """What is smaller than the side is enlarged to it, with its mean kept."""
    grown = square(RAMP, 48)

    assert (48, 48) == grown.shape
    assert RAMP.mean() == pytest.approx(grown.mean(), abs=1)


def test_a_long_picture_is_no_face():
    """A picture more than three times as long as wide is refused, with the way to find a face in it."""
    with raises_naming(PictureError, "--detect"):
        square(np.zeros((20, 61), np.uint8), 48)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("color", [False, True])
def test_strips_change_no_pixel(monkeypatch, mode, color):
    """A picture that is converted in strips has the bytes of one that is converted whole, and so has a shrunk one."""
    noise = np.random.default_rng(1).integers(0, 256, (61, 47, 4), np.uint8)
    image = Image.fromarray(noise[..., 0].astype(np.uint16) * 257) if mode == "I;16" else None
    image = image or Image.fromarray(noise, "RGBA").convert(mode)
    file = io.BytesIO()
    image.save(file, "TIFF" if mode == "CMYK" else "PNG")
    whole = pictures.decode(file.getvalue(), color=color).pixels
    shrunk = pictures.shrink(np.ascontiguousarray(noise[:47, :47, 0]), 20)
    monkeypatch.setattr(pictures, "STRIP_PIXELS", 100)

    assert np.array_equal(pictures.decode(file.getvalue(), color=color).pixels, whole)
    assert np.array_equal(pictures.shrink(np.ascontiguousarray(noise[:47, :47, 0]), 20), shrunk)


def test_a_large_picture_takes_little_more_than_itself():
    """Decoding holds one array of the picture and strips of it, not several copies; Pillow's own pixels not counted."""
    file = io.BytesIO()
    Image.new("RGB", (3000, 2000)).save(file, "PNG")
    pictures.decode(file.getvalue(), color=True)
    tracemalloc.start()
    pixels = pictures.decode(file.getvalue(), color=True).pixels
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1.6 * pixels.nbytes
