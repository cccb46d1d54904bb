from __future__ import annotations

import io
import zipfile

import pytest

from autograder.files import zip_bytes

FILES = {"b/c.py": b"1" * 1000, "a.sh": b"2"}


@pytest.mark.parametrize("system", ["linux", "win32"])
def test_the_same_files_make_the_same_zip_on_any_system(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = zip_bytes(FILES, runnable=["a.sh"])
    monkeypatch.setattr("sys.platform", system)
    assert zip_bytes(dict(reversed(FILES.items())), runnable=["a.sh"]) == expected
    with zipfile.ZipFile(io.BytesIO(expected)) as archive:
        modes = [(each.filename, each.external_attr >> 16) for each in archive.infolist()]
        assert {each.create_system for each in archive.infolist()} == {3}  # else no mode counts
    assert modes == [("a.sh", 0o100755), ("b/c.py", 0o100644)]


@pytest.mark.parametrize("stored", [False, True])
def test_a_zip_holds_what_was_given(stored: bool) -> None:
    stamp = (2027, 1, 25, 23, 59, 58)
    with zipfile.ZipFile(io.BytesIO(zip_bytes(FILES, stamp=stamp, stored=stored))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == FILES
        assert {each.date_time for each in archive.infolist()} == {stamp}
        packed = archive.getinfo("b/c.py").compress_size
    assert (packed == 1000) is stored
