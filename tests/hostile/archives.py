"""Hostile archives, made here so that no such file lies in the tree.

Each entry of ARCHIVES is a file suffix and a function from the source of `work.py` to the bytes
of the archive: the right answers are inside, so an archive that is read all the same earns points.
"""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from collections.abc import Callable

_TIME = (2026, 1, 1, 0, 0, 0)


def _zip(members: list[tuple[str, bytes, int]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of (name, content, Unix mode)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data, mode in members:
            info = zipfile.ZipInfo("x", _TIME)
            info.filename = name  # as it is: the constructor would repair some names
            info.external_attr = mode << 16
            info.compress_type = method
            archive.writestr(info, data)
    return out.getvalue()


def _plain_zip(*members: tuple[str, bytes]) -> bytes:
    return _zip([(name, data, 0o100644) for name, data in members])


def _duplicates(source: bytes) -> bytes:
    """Two members called work.py; a harmless name of the same length is rewritten."""
    data = _plain_zip(("work.py", b"x = 1\n"), ("twin.py", source))
    return data.replace(b"twin.py", b"work.py")


def _encrypted(source: bytes) -> bytes:
    """The encryption flag set in both headers."""
    data = bytearray(_plain_zip(("work.py", source)))
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def _overlapping(source: bytes) -> bytes:
    """Two directory entries for one local member (the way of the better zip bombs)."""
    data = _plain_zip(("work.py", source))
    start, end = data.rindex(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    entry = data[start:end]
    twice = entry + entry.replace(b"work.py", b"more.py")
    record = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2, 2, len(twice), start, 0)
    return data[:start] + twice + record


def _two_endings(source: bytes) -> bytes:
    """A second archive inside the first one's comment: two readers see two contents."""
    inner = _plain_zip(("work.py", source))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("other.py", _TIME), b"")
        archive.comment = inner
    return out.getvalue()


def _lying_size(source: bytes) -> bytes:
    """The headers announce one byte."""
    data = bytearray(_plain_zip(("work.py", source)))
    struct.pack_into("<L", data, 22, 1)
    struct.pack_into("<L", data, data.rindex(b"PK\x01\x02") + 24, 1)
    return bytes(data)


def _tar_gz(source: bytes) -> bytes:
    """What many a student packs by hand, and no platform does."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo("work.py")
        info.size = len(source)
        archive.addfile(info, io.BytesIO(source))
    return out.getvalue()


ARCHIVES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "parent_member": (".zip", lambda s: _plain_zip(("work.py", s), ("../../escaped.py", s))),
    "absolute_member": (".zip", lambda s: _plain_zip(("work.py", s), ("/tmp/escaped.py", s))),
    "backslash_member": (".zip", lambda s: _plain_zip(("work.py", s), ("..\\escaped.py", s))),
    "drive_member": (".zip", lambda s: _plain_zip(("work.py", s), ("C:/escaped.py", s))),
    "zip_symlink": (
        ".zip",
        lambda s: _zip([("work.py", s, 0o100644), ("evil", b"/etc/passwd", 0o120777)]),
    ),
    "work_is_symlink": (".zip", lambda _: _zip([("work.py", b"../../answers.py", 0o120777)])),
    "duplicates": (".zip", _duplicates),
    "case_colliding": (".zip", lambda s: _plain_zip(("work.py", s), ("WORK.PY", b"x = 1\n"))),
    "unicode_colliding": (
        ".zip",
        lambda s: _plain_zip(("work.py", s), ("caf\u00e9.py", b""), ("cafe\u0301.py", b"")),
    ),
    "file_and_folder": (".zip", lambda s: _plain_zip(("work.py", s), ("work.py/x.py", b""))),
    "ratio_bomb": (".zip", lambda s: _plain_zip(("work.py", s), ("bomb", bytes(19_000_000)))),
    "tar_gz": (".tar.gz", _tar_gz),
    "count_bomb": (
        ".zip",
        lambda s: _plain_zip(("work.py", s), *((f"{n}.txt", b"") for n in range(10_000))),
    ),
    "depth_bomb": (".zip", lambda s: _plain_zip(("work.py", s), ("d/" * 200 + "x.py", b""))),
    "encrypted": (".zip", _encrypted),
    "overlapping": (".zip", _overlapping),
    "two_endings": (".zip", _two_endings),
    "lying_size": (".zip", _lying_size),
    "lzma_member": (
        ".zip",
        lambda s: _zip([("work.py", s, 0o100644)], zipfile.ZIP_LZMA),
    ),
    "empty": (".zip", lambda _: b"PK\x05\x06" + bytes(18)),
    "truncated": (".zip", lambda s: _plain_zip(("work.py", s))[:-40]),
    "no_archive": (".zip", lambda s: s),
}
