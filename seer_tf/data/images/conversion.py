"""What `prepare_shards` makes of images that TensorFlow does not decode as they are meant.

These are images in other formats, which Pillow and its plugins read, and images with a colour profile that is not sRGB.
They become upright RGB in sRGB of 8 bits, over white: a JPEG if they were lossy, else a PNG. All other images keep
their bytes.
"""

import dataclasses
import io
import struct

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from seer_tf.data.images import acceptance, decode, deep_colour, formats, heif, limits, plugins, profiles
from seer_tf.data.images.formats import UnusableImageError

JPEG_QUALITY = 95
#: Pillow opens these by other programs, or only knows their beginning; and TensorFlow decodes all of the last three.
_REFUSED = frozenset(("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF", "GIF", "JPEG", "PNG"))
#: Names that differ from Pillow's.
_NAMES = {"WEBP": "WebP", "JPEG2000": "JPEG 2000", "JXL": "JPEG XL", "HEIF": "HEIC"}
_LOSSY = frozenset(("AVIF", "HEIC", "JPEG", "JPEG 2000", "JPEG XL", "WebP"))
_MAGIC_BYTES = 16
_HEIC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))
_HEIC_REMEDY = "HEIC needs pillow-heif: pip install 'seer_tf[heif]'"
_SEVERAL_FRAMES = "the first of several"
_BYTES_PER_PX = {"F": 28}  # with the copies of `_eight_bits`
_WITH_LAYERS = frozenset(("ICNS", "ICO", "PSD"))  # Their further images are parts or sizes of the first.


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An image as it goes into shards.

    Attributes:
        encoded: Bytes in a format that TensorFlow decodes; those of the file if nothing was done.
        done: What was done to it, in a few words each, with details behind a colon.
        found: What the file has: `format`, and where they are there, `profile`, `bits`, `orientation` and `frames`.
    """

    encoded: bytes
    done: tuple[str, ...]
    found: dict[str, str]


def can_read(beginning: bytes) -> bool:
    """Whether a file that TensorFlow does not decode can be made one that it does, by its first bytes."""
    return acceptance.header_reject_reason(beginning) is not None and bool(_formats(beginning) or _is_heic(beginning))


def prepared(encoded: bytes) -> Prepared:
    """Returns an image as it goes into shards.

    Raises:
        UnusableImageError: No decoder reads it.
    """
    reason = acceptance.header_reject_reason(encoded)
    if reason is None:
        return _of_tensorflow(encoded)
    if not _formats(encoded):
        raise UnusableImageError(_HEIC_REMEDY if _is_heic(encoded) else reason)
    return _from_pillow(encoded)


def _of_tensorflow(encoded: bytes) -> Prepared:
    """Prepares an image in a format that TensorFlow decodes."""
    kind, profile = formats.image_format(encoded), profiles.embedded(encoded)
    found = _found(encoded, kind, profile)
    if profile is None or not profiles.changes_colours(profile):
        return Prepared(encoded, (), found)
    try:
        image = _pixels(encoded, profile)
    except Exception:  # Pillow raises many kinds of errors.
        return Prepared(encoded, (), found)  # It is rejected with the decoder's own words.
    converted = profiles.to_srgb(image, profile)
    if converted is None:
        return Prepared(
            encoded, (), {**found, "profile": f"{profiles.name(profile)}, which does not fit and is ignored"}
        )
    stored, how = _stored(converted, kind)
    return Prepared(stored, (f"converted to sRGB: {profiles.name(profile)}", f"{kind} stored as {how}"), found)


def _found(encoded: bytes, kind: str, profile: bytes | None) -> dict[str, str]:
    orientation = decode.exif_orientation(encoded)
    details = {
        "format": kind,
        "profile": profiles.unread(encoded) if profile is None else profiles.name(profile),
        "bits": "16" if formats.is_16_bit_png(encoded) else None,
        "orientation": str(orientation) if orientation > 1 else None,
        "frames": _SEVERAL_FRAMES if formats.has_several_frames(encoded) else None,
    }
    return {key: value for key, value in details.items() if value is not None}


def _pixels(encoded: bytes, profile: bytes) -> Image.Image:
    """Decodes an image to the mode of its profile, upright; only Pillow keeps the four inks of CMYK."""
    mode = profiles.color_mode(profile)
    if mode == "CMYK":
        return ImageOps.exif_transpose(Image.open(io.BytesIO(encoded)))
    return Image.fromarray(acceptance.upright(encoded)).convert(mode)


def _from_pillow(encoded: bytes) -> Prepared:
    """Prepares an image that only Pillow decodes."""
    heif.check_parts(encoded)
    try:
        with Image.open(io.BytesIO(encoded), formats=_formats(encoded)) as image:
            deep = deep_colour.deep_colour(image, encoded)
            _check_size(image, deep)
            kind = _NAMES.get(str(image.format), str(image.format))
            profile = image.info.get("icc_profile") or heif.coded_profile(encoded)
            num_frames = 1 if kind in _WITH_LAYERS else _num_frames(image)
            levels, reduced = _eight_bits(image, encoded) if deep is None else deep.eight_bits()
            upright = ImageOps.exif_transpose(levels)
            pixels, converted = _in_srgb(upright, profile)
    except UnusableImageError:
        raise
    except UnidentifiedImageError:  # Its text has an address, which differs from run to run.
        raise UnusableImageError(_HEIC_REMEDY if _lacks_plugin(encoded) else "does not decode") from None
    except Exception as error:  # Plugins raise many kinds of errors on broken files.
        raise UnusableImageError(_HEIC_REMEDY if _lacks_plugin(encoded) else f"does not decode: {error}") from None
    stored, how = _stored(pixels, kind)
    first = f"first frame taken: of {num_frames}" if num_frames > 1 else None
    found = {"format": kind, **({"frames": _SEVERAL_FRAMES} if first else {})}
    found |= {"profile": profiles.name(profile)} if profile else {}
    found |= {"bits": "more than 8"} if reduced else {}
    return Prepared(stored, tuple(filter(None, (f"{kind} stored as {how}", first, reduced, converted))), found)


def _check_size(image: Image.Image, deep: deep_colour.DeepColour | None) -> None:
    bytes_per_px = _BYTES_PER_PX.get(image.mode, 4) if deep is None else deep_colour.BYTES_PER_PX
    if bytes_per_px * image.width * image.height > limits.DECODED_BYTES.largest:
        raise UnusableImageError(limits.DECODED_BYTES.refused(f"{image.width} x {image.height}"))


def _num_frames(image: Image.Image) -> int:
    """Returns the number of frames. Pillow follows the pages of a TIFF one by one, and compares each with all others.

    Raises:
        UnusableImageError: A TIFF has too many pages.
    """
    if image.format != "TIFF":
        return getattr(image, "n_frames", 1)
    for number in range(limits.TIFF_PAGES.largest + 1):
        try:
            image.seek(number)
        except EOFError:
            image.seek(0)
            return number
    raise UnusableImageError(limits.TIFF_PAGES.refused("at least 1001"))


def _eight_bits(image: Image.Image, encoded: bytes) -> tuple[Image.Image, str | None]:
    """Decodes an image, and returns one of one channel with more than 8 bits as grey of 8 bits, and how.

    Numbers from zero keep eight bits from the highest that any pixel uses, as `decode.py` does with PNG. Fractions from
    0 to 1 become levels from 0 to 255, and other fractions or numbers below zero are stretched from the smallest to the
    largest. Colours of JPEG 2000 keep the eight highest of the bits that the file states.
    """
    image.load()
    if not image.mode.startswith(("I", "F")):
        stated = formats.jpeg_2000_bits(encoded)
        return image, deep_colour.DONE.format(f"{stated} that the file states") if stated > 8 else None
    values = np.asarray(image)
    if image.mode != "F" and values.min() >= 0:
        bits = max(8, int(values.max()).bit_length())
        return Image.fromarray((values >> (bits - 8)).astype(np.uint8)), deep_colour.DONE.format(bits)
    finite = values[np.isfinite(values)].astype(np.float64)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if 0 <= low and high <= 1:
        low, high = 0.0, 1.0
    levels = np.nan_to_num((values - low) / max(high - low, 1e-30), nan=0.0)
    grey = np.rint(255 * np.clip(levels, 0, 1)).astype(np.uint8)
    return Image.fromarray(grey), f"levels stretched to 8 bits: from {low:g} to {high:g}"


def _in_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str | None]:
    """Returns an image as RGB in sRGB over white, and what was done about its profile."""
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    done = None
    mode = profiles.color_mode(profile) if profile and profiles.changes_colours(profile) else None
    pixels = image
    if mode is not None and profile is not None:
        is_of_mode = (mode == "CMYK") == (image.mode == "CMYK")
        converted = profiles.to_srgb(image.convert(mode), profile) if is_of_mode else None
        pixels = image if converted is None else converted
        done = f"{'profile ignored' if converted is None else 'converted to sRGB'}: {profiles.name(profile)}"
    pixels = pixels.convert("RGB")
    if alpha is not None:
        pixels = Image.composite(pixels, Image.new("RGB", pixels.size, "white"), alpha)
    return pixels, done


def _stored(image: Image.Image, kind: str) -> tuple[bytes, str]:
    """Returns an image as it is stored, and how: lossless unless it was lossy before."""
    image.info.clear()  # littleCMS notes the profile of the result, which would be stored with it.
    file = io.BytesIO()
    if kind in _LOSSY and max(image.size) < formats.JPEG_SIDE_LIMIT_PX:
        image.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        return file.getvalue(), f"JPEG of quality {JPEG_QUALITY}, all colours kept"
    image.save(file, "PNG")
    return file.getvalue(), "PNG"


def _formats(encoded: bytes) -> list[str]:
    """Returns Pillow's names of the formats that the first bytes may be of."""
    plugins.register()
    return [name for name, (_, accept) in Image.OPEN.items() if name not in _REFUSED and _accepts(accept, encoded)]


def _accepts(accept: object, encoded: bytes) -> bool:
    """Whether a plugin takes the first bytes for its format; one that looks at none would take everything."""
    if not callable(accept):
        return False
    try:
        return accept(encoded[:_MAGIC_BYTES]) is True  # A text says why the plugin cannot.
    except (IndexError, ValueError, struct.error):
        return False


def _lacks_plugin(encoded: bytes) -> bool:
    """Whether a file is HEIC and the plugin for it is not installed."""
    return _is_heic(encoded) and "HEIF" not in Image.OPEN


def _is_heic(encoded: bytes) -> bool:
    return encoded[4:8] == b"ftyp" and encoded[8:12] in _HEIC_BRANDS
