from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from autograder.errors import AutograderError
from autograder.files import write_output, zip_bytes

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


@pytest.mark.parametrize("name", ["missing/table.csv", "file/table.csv", "folder", "x" * 300])
def test_an_output_that_cannot_be_written_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(AutograderError, match="cannot be written to"):
        write_output(tmp_path / name, "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
