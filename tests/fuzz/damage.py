"""Random changes of the content of files."""

import contextlib
import io
import random
import zipfile

from tests import mutations

Draw = random.Random

#: Texts that have harmed programs.
NASTY = (
    b"9" * 400,
    b"-1",
    b"1e999",
    b"nan",
    b"null",
    b"[]",
    b'""',
    b"\0",
    b"\xff\xfe",
    b"\x1b[2J",
    b"\n",
    b"\r",
    b";",
    b",",
    b'"',
    b"'",
    b"=1+1",
    b"../..",
    b"/",
    b"?label_column=x",
    b"@",
    b":",
    b"\xe2\x80\xa8",
    b"\xed\xb3\xa9",
    b"[" * 3000,
    b"x" * 5000,
    b"<a>",
    b"&lt;",
)


def damaged(content: bytes, draw: Draw) -> bytes:
    """Returns a content with one random change, or several."""
    if content.lstrip()[:1] == b"{" and draw.random() < 0.5:
        with contextlib.suppress(ValueError, IndexError):
            without = draw.choice([(), ("checksum", "index_crc32c")])
            return next(mutations.retyped(content, 1, without=without, seed=draw.getrandbits(32)))
    if content.startswith(b"PK") and draw.random() < 0.6:
        with contextlib.suppress(zipfile.BadZipFile):
            return _with_another_member(content, draw)
    for _ in range(draw.choice((1, 1, 1, 3, 10))):
        content = changed(content, draw) if content else draw.choice(NASTY)
    return content


def _with_another_member(content: bytes, draw: Draw) -> bytes:
    """Returns a zip archive with one of its files damaged."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = draw.choice(sorted(members))
    members[name] = damaged(members[name], draw)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return written.getvalue()


def changed(content: bytes, draw: Draw) -> bytes:
    place = draw.randrange(len(content))
    length = min(draw.choice((1, 2, 4, 8, 100)), len(content) - place)
    part, head, tail = content[place : place + length], content[:place], content[place + length :]
    kind = draw.randrange(6)
    if kind == 0:
        return next(mutations.flipped(content, 1, seed=draw.getrandbits(32)))
    if kind == 1:
        return head + draw.choice(NASTY) + tail
    if kind == 2:
        return head + part + part + tail
    if kind == 3:
        return head + tail
    if kind == 4:
        return head + draw.randbytes(length) + tail
    return _with_another_number(content, draw)


def _with_another_number(content: bytes, draw: Draw) -> bytes:
    """Returns a text with one run of digits replaced."""
    digits = [place for place, byte in enumerate(content[: 1 << 16]) if 48 <= byte < 58]
    if not digits:
        return content + draw.choice(NASTY)
    start = end = draw.choice(digits)
    while start and content[start - 1 : start].isdigit():
        start -= 1
    while content[end : end + 1].isdigit():
        end += 1
    return content[:start] + draw.choice(NASTY) + content[end:]
