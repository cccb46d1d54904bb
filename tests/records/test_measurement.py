"""Cards, records that may be forged, perturbed images, and what decides."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autograder.errors import AutograderError, SubmissionError
from autograder.grading import scores
from autograder.project import costs
from autograder.project.card import MAX_CARD_BYTES, parse_card, read_bytes
from autograder.project.perturb import perturb
from autograder.records.codec import from_json, to_json
from autograder.records.measurement import (
    Answers,
    Claim,
    MeasuredLayer,
    Measurement,
    Products,
    Score,
    Stored,
)
from shared import data
from tests import bank
from tests.project.reports import report_of

PROJECT = bank.course().final_project
LAYER = MeasuredLayer(
    3, "Conv", (4, 6, 6), (Stored("w", 36, 30, 8),), (Products(144, 9, 1080, 0, 8, 8),), 7
)
SCORE = Score(
    team="team-1",
    dataset="digits",
    scored_at="2027-04-01T10:00:00+00:00",
    sha256="ab" * 32,
    file_bytes=123,
    members=("Ada", "Grace"),
    base_revision="v1",
    measurement=Measurement(123, "ab" * 32, 21, (LAYER,)),
    answers=Answers(360, {1: 350, 7: 349, 250: 350}, (347, 350, 346), "course", 1.5),
    counted=349,
    gate=342,
    costs={"imt-2025": 0.5},
    ratios={"params": 0.25},
    claim=Claim(0.9, None),
)


# ---- records -------------------------------------------------------------------------------------


def test_a_record_comes_back_as_it_was() -> None:
    assert from_json(to_json(report_of(SCORE))) == report_of(SCORE)
    refused = dataclasses.replace(SCORE, refusal="no", measurement=None, answers=None)
    assert from_json(to_json(report_of(refused))) == report_of(refused)


def test_what_decides_is_computed_from_the_record() -> None:
    assert SCORE.valid
    assert SCORE.answers is not None
    assert SCORE.answers.correct == 349
    assert not dataclasses.replace(SCORE, counted=341).valid
    assert not dataclasses.replace(SCORE, refusal="no").valid
    assert not dataclasses.replace(SCORE, answers=None).valid


Change = Callable[[dict[str, Any]], object]
FORGED: dict[str, Change] = {
    "an unknown key": lambda r: r.update(valid=True),
    "a missing key": lambda r: r.pop("gate"),
    "a text for a number": lambda r: r.update(counted="360"),
    "a fraction for a number": lambda r: r.update(counted=349.5),
    "a truth for a number": lambda r: r.update(counted=True),
    "a negative number": lambda r: r.update(counted=-1),
    "a number for a text": lambda r: r.update(team=7),
    "infinite cost": lambda r: r["costs"].update({"imt-2025": float("inf")}),
    "cost that is no number": lambda r: r["costs"].update({"imt-2025": float("nan")}),
    "an integer that no float holds": lambda r: r["costs"].update({"imt-2025": 10**400}),
    "a list for a record": lambda r: r.update(answers=[1, 2]),
    "a batch that is no number": lambda r: r["answers"]["by_batch"].update(x=3),
    "a batch with too many digits": lambda r: r["answers"]["by_batch"].update({"9" * 5000: 3}),
    "a layer with more keys": lambda r: r["measurement"]["layers"][0].update(macs=0),
    "a shape of texts": lambda r: r["measurement"]["layers"][0].update(shape=["4"]),
    "members as one text": lambda r: r.update(members="Ada"),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_records_are_malformed(name: str) -> None:
    value = json.loads(to_json(report_of(SCORE)))
    FORGED[name](value["score"])
    with pytest.raises(AutograderError) as error:
        from_json(json.dumps(value))
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "7", "[" * 100_000, '{"a": 1' + "0" * 5000 + "}"]
)
def test_what_is_no_record_is_malformed(text: str) -> None:
    with pytest.raises(AutograderError):
        from_json(text)


def test_files_are_written_whole(tmp_path: Path) -> None:
    path = scores.keep(report_of(SCORE), tmp_path / "scores")
    assert from_json(path.read_text("utf-8")).score == SCORE
    assert sorted(file.suffix for file in path.parent.iterdir()) == [".json", ".md"]


# ---- cards ---------------------------------------------------------------------------------------


def test_a_card() -> None:
    card = parse_card(b"team: team-1\nmembers: [Ada]\nclaimed_accuracy: 0.9\nclaimed_cost: 1\n")
    assert (card.team, card.members, card.claimed_accuracy, card.claimed_cost) == (
        "team-1",
        ("Ada",),
        0.9,
        1.0,
    )


BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i}\n  <<:\n  - *a{i - 1}\n  - *a{i - 1}\n" for i in range(1, 40)
)
BAD_CARDS: dict[str, tuple[bytes, str]] = {
    "no team": (b"method: magic", "team: Field required"),
    "not a mapping": (b"- team", "expected keys"),
    "empty": (b"", "expected keys"),
    "not YAML": (b"team: [", "not YAML"),
    "aliases that multiply": (BOMB.encode(), "without aliases"),
    "not UTF-8": (b"team: \xff", "not YAML in UTF-8"),
    "a path as team": (b"team: ../other", "team: "),
    "capitals": (b"team: TEAM", "team: "),
    "a long team": (b"team: " + b"a" * 41, "team: "),
    "a line break in the team": (b'team: "a\\n"', "team: "),
    "a number as team": (b"team: 7", "team: "),
    "unknown key": (b"team: a\nbonus: 5", "bonus: Extra inputs"),
    "a key of two lines": (b'team: a\n"x\\ny\\e[31m": 5', "x y"),
    "a key that is a number": (b"team: a\n7: 5", "Keys should be strings"),
    "accuracy above one": (b"team: a\nclaimed_accuracy: 90", "claimed_accuracy: "),
    "accuracy that is no number": (b"team: a\nclaimed_accuracy: .nan", "claimed_accuracy: "),
    "infinite cost": (b"team: a\nclaimed_cost: .inf", "claimed_cost: "),
    "a cost as text": (b"team: a\nclaimed_cost: '1'", "claimed_cost: "),
    "too many members": (b"team: a\nmembers: [" + b"b," * 11 + b"]", "members: "),
    "an escape in a member": (b'team: a\nmembers: ["\\e[2J"]', "members.0: "),
    "an object": (b"team: !!python/object/apply:os.getcwd []", "not YAML"),
    "a truth that is none": (b"team: !!bool maybe", "not YAML"),
    "a time that is none": (b"team: !!timestamp x", "not YAML"),
    "a number without digits": (b"team: a\nclaimed_cost: !!float ''", "not YAML"),
    "aliases that grow": (
        b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(
            b"%c: &%c [%s]\n" % (i + 1, i + 1, b",".join([b"*%c" % i] * 9)) for i in range(97, 110)
        )
        + b"team: a",
        "without aliases",
    ),
    "deep": (b"team: " + b"[" * 5000, "more than 200 brackets"),
    "deep without brackets": (b"- " * 9000, "not YAML"),
    "a number of 5,000 digits": (b"team: a\nclaimed_cost: " + b"9" * 5000, "not YAML"),
    "large": (b"team: a\n#" + b"x" * MAX_CARD_BYTES, "more than 20,000 bytes"),
}


@pytest.mark.parametrize("name", BAD_CARDS)
def test_a_bad_card_gives_one_line(name: str) -> None:
    text, words = BAD_CARDS[name]
    with pytest.raises(SubmissionError) as error:
        parse_card(text, "card.yaml")
    message = str(error.value)
    assert message.startswith("card.yaml: ")
    assert words in message
    assert message.isprintable()
    assert len(message) < 400


def test_no_card_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="there is no card"):
        read_bytes(tmp_path / "card.yaml", None, "there is no card")
    with pytest.raises(SubmissionError, match="cannot be read"):
        read_bytes(tmp_path, None)


def test_reading_a_model(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="no such file"):
        read_bytes(tmp_path / "model.onnx", 10)
    with pytest.raises(SubmissionError, match="cannot be read"):
        read_bytes(tmp_path, 10)
    large = tmp_path / "large.onnx"
    with large.open("wb") as file:
        file.truncate(60_000_000_000)  # sparse: no disk is used
    with pytest.raises(SubmissionError, match="more than 50,000,000 bytes"):
        read_bytes(large, 50_000_000)


# ---- what decides --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("correct", "perturbed", "counted"),
    [(9100, 9050, 9100), (9100, 8800, 9000), (9000, 9100, 9000), (8996, 8990, 8996)],
)
def test_the_lower_of_clean_and_perturbed_counts(
    correct: int, perturbed: int, counted: int
) -> None:
    """A reference network that loses 2 % of 10,000."""
    assert PROJECT is not None
    rules = PROJECT.datasets["cifar10"].model_copy(update={"perturbation_drop": 0.02})
    answers = Answers(10_000, {1: correct, 7: correct + 3}, (perturbed,) * 3, "course", 0.0)
    assert costs.effective_correct(answers, rules) == counted


def test_the_gate_compares_integers() -> None:
    assert PROJECT is not None
    gate = PROJECT.datasets["cifar10"].gate_correct
    answers = Answers(10_000, {1: 8996}, (8996,), "course", 0.0)
    base = dataclasses.replace(SCORE, answers=answers, gate=gate)
    assert not dataclasses.replace(base, counted=8996).valid
    assert dataclasses.replace(base, counted=9000).valid


# ---- perturbed images ----------------------------------------------------------------------------


def photos(count: int = 64) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Smooth images, since a shift of noise is other noise."""
    small = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(small, (32, 32), mode="bicubic").clamp(0, 1)
    return (255 * large).to(torch.uint8).numpy()


@pytest.mark.parametrize("dataset", ["cifar10", "digits"])
def test_perturbation_is_given_by_its_seed(dataset: str) -> None:
    peak = 255 if dataset == "cifar10" else 16
    images = np.minimum(photos(), peak)
    before = images.copy()
    first, again, other = (perturb(images, dataset, peak, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=(1, 2, 3)).all()
    assert (first != images).any(axis=(1, 2, 3)).all()
    assert (first.shape, first.dtype) == (images.shape, images.dtype)
    assert first.max() <= peak
    np.testing.assert_array_equal(images, before)


def test_perturbed_photos_stay_the_same_or_their_mirror_image() -> None:
    images = photos().astype(np.float64)
    changed = perturb(photos(), "cifar10", 255, 3).astype(np.float64)

    def distance(first: Any, second: Any) -> Any:
        return np.abs(first - second).mean(axis=(1, 2, 3))

    near = np.minimum(distance(changed, images), distance(changed, images[..., ::-1]))
    other = distance(changed, np.roll(images, 1, axis=0))
    assert (near < other).mean() > 0.95
    assert near.mean() < 0.5 * other.mean()
    mirrored = distance(changed, images[..., ::-1]) < distance(changed, images)
    assert 0.25 < mirrored.mean() < 0.75


def test_perturbed_photos_stay_sharp() -> None:
    """A blur would be one more change, which costs honest networks what it costs the others."""
    small = torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(small, (32, 32), mode="bicubic").clamp(0, 1)
    images = (255 * large).to(torch.uint8).numpy()

    def detail(pixels: Any) -> float:
        return float(np.abs(np.diff(pixels.astype(float), axis=-1)).mean())

    assert detail(perturb(images, "cifar10", 255, 5)) > 0.9 * detail(images)


def test_perturbed_digits_keep_their_label() -> None:
    """The nearest training image of a digit is as often of its class as before, within a point."""
    digits = data.load_digits()
    train = digits.train.images.numpy().reshape(-1, 64).astype(np.float32)
    labels = digits.train.labels.numpy()
    images, expected = digits.test.images.numpy(), digits.test.labels.numpy()

    def right(pixels: Any) -> float:
        flat = pixels.reshape(-1, 64).astype(np.float32)
        nearest = ((flat[:, None] - train) ** 2).sum(axis=2).argmin(axis=1)
        return float((labels[nearest] == expected).mean())

    clean = right(images)
    for seed in range(3):
        changed = perturb(images, "digits", 16, seed)
        assert np.abs(changed.astype(int) - images).max() <= 5
        assert right(changed) > clean - 0.01
