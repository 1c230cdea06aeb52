"""Limits on the cost of one image, in one table, so that a small file holds neither memory nor a core for long.

`docs/reference/limits.md` shows the table and says where each number comes from.
"""

from typing import NamedTuple


class Limit(NamedTuple):
    """A largest number, and its words in the reason for a refusal.

    Attributes:
        largest: Largest number that is accepted.
        counted: Name of the counted things, in the plural.
        words: The limit in words, to follow "more than".
    """

    largest: int
    counted: str
    words: str

    def refused(self, number: object) -> str:
        """Returns the reason to refuse an image that has this number."""
        return f"{number} {self.counted} are more than {self.words}"


ENCODED_BYTES = Limit(300_000_000, "bytes", "300 MB in a file")
DECODED_BYTES = Limit(300_000_000, "pixels", "300 MB decoded")
JPEG_SCANS = Limit(64, "scans", "64 scans in a JPEG")
PNG_TEXTS = Limit(16, "packed texts", "16 packed texts in a PNG")
TIFF_PAGES = Limit(1000, "pages", "1000 pages in a TIFF")
HEIF_PARTS = Limit(1000, "parts", "1000 parts in a HEIC or AVIF")
PROFILE_BYTES = Limit(16_000_000, "bytes", "16 MB in a colour profile")
TAR_HEADER_BYTES = Limit(1_000_000, "bytes", "1 MB in a header of a tar file")
TAR_LINKS = Limit(40, "links", "40 links one behind another in a tar file")
