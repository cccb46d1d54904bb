"""The front's trainings: what is started, how long they may be, what the table says."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest

from benchmarks import front
from benchmarks.front import Point, Student

TRAINER = """
import argparse, json, pathlib, time
parser = argparse.ArgumentParser()
for name in ("out", "dataset", "device", "threads", "until", "labels", "length", "student", "seed"):
    parser.add_argument(f"--{name}")
parser.add_argument("--bfloat16", action="store_true")
parser.add_argument("--hold-out", action="store_true")
options = parser.parse_args()
out = pathlib.Path(options.out)
(out / "asked.json").write_text(json.dumps(vars(options)))
if options.until:
    (out / "labels.pt").touch()
else:
    assert pathlib.Path(options.labels).is_file()
    assert options.seed != FAILING
    (out / "float-1.pt").touch()
    time.sleep(0.2)
    (out / "quantised-1.pt").touch()
"""


def options(folder: Path, **changed: object) -> argparse.Namespace:
    given = {
        "folder": folder,
        "dataset": "digits",
        "device": "cpu",
        "threads": 1,
        "bfloat16": False,
        "hold_out": True,
        "batch_size": None,
        "minutes": 5.0,
        "seeds": 2,
        "length": 1.0,
    }
    return argparse.Namespace(**{**given, **changed})


@pytest.fixture
def starter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a trainer that only writes files; the plans are the real ones."""
    monkeypatch.setattr(sys, "path", [str(front.STARTER), *sys.path])
    for name in ("plans", "network", "quantised", "norms", "teacher", "windows", "soft_labels"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    front.plans()
    (tmp_path / "train.py").write_text(TRAINER.replace("FAILING", "'9'"), encoding="utf-8")
    monkeypatch.setattr(front, "STARTER", tmp_path)
    return tmp_path


@pytest.mark.usefixtures("starter")
def test_every_student_is_trained_from_the_same_answers(tmp_path: Path) -> None:
    out = tmp_path / "out"
    front.train(options(out))
    asked = {
        folder.name: json.loads((folder / "asked.json").read_text())
        for folder in sorted(out.glob("*-*"))
    }
    assert list(asked) == ["own-0", "own-1", "ternary-0", "ternary-1", "wide-0", "wide-1"]
    assert {each["labels"] for each in asked.values()} == {str(out / "teacher" / "labels.pt")}
    assert [each["student"] for each in asked.values()][::2] == [None, "ternary", "wide"]
    assert all(each["hold_out"] for each in asked.values())


@pytest.mark.usefixtures("starter")
def test_trainings_are_as_long_as_there_is_time_for(tmp_path: Path) -> None:
    lengths = {}
    for minutes in (0.5, 5.0):
        out = tmp_path / str(minutes)
        front.train(options(out, minutes=minutes, seeds=1, length=1e9))
        lengths[minutes] = json.loads((out / "length.json").read_text())
        asked = json.loads((out / "own-0" / "asked.json").read_text())
        assert float(asked["length"]) == lengths[minutes]
    assert 0 < lengths[0.5] < lengths[5.0]
    again = tmp_path / "5.0"
    front.train(options(again, minutes=9.0, seeds=1))  # what was begun goes on as it was
    assert json.loads((again / "length.json").read_text()) == lengths[5.0]


def test_a_training_that_fails_is_named(starter: Path, tmp_path: Path) -> None:
    text = (starter / "train.py").read_text().replace("'9'", "'0'")
    (starter / "train.py").write_text(text)
    with pytest.raises(RuntimeError, match=r"failed: see .*own-0/train\.log$"):
        front.train(options(tmp_path / "out", seeds=1))


def point(student: str, cost: float, counted: tuple[int, int, int]) -> Point:
    return Point(student, "0", cost, 1000, (91, 91, 91), (90, 91, 92), counted, 100, 0.925)


def test_a_network_is_valid_if_it_is_under_every_key() -> None:
    points = [point("own", 0.2, (90, 91, 92)), point("wide", 0.1, (91, 91, 91))]
    *_, wide, own = front.rows(points, gate=91)
    assert wide.startswith("| wide | 0 | 1,000 | 0.1000 | 92.50% | 91 |")
    assert wide.endswith("| yes |")
    assert own.endswith("| no |")


def test_a_student_s_point_is_the_mean_of_its_seeds() -> None:
    points = [point("own", 0.2, (90, 91, 92)), point("own", 0.4, (80, 81, 82))]
    assert front.means(points)["own"] == pytest.approx((0.3, 0.86))


def test_each_student_has_a_folder_of_its_own(tmp_path: Path) -> None:
    assert Student("wide", 2).folder(tmp_path) == tmp_path / "wide-2"
    assert Student("own", 1).arguments == ["--seed", "1"]
