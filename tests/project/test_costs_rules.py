"""The course's rules on what was measured: costs by name, shares, and records computed again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autograder.course import Course, FinalProject, Reference
from autograder.project.costs import (
    entry_costs,
    imt_2025,
    imt_2025_formula,
    memorized,
    micronet_2019,
    ratios,
    revalidate,
)
from autograder.records.measurement import (
    Answers,
    MeasuredLayer,
    Measurement,
    Products,
    Score,
    Stored,
)
from tests import bank
from tests.records.test_measurement import SCORE

COURSE: Course = bank.course()


def project() -> FinalProject:
    assert COURSE.final_project is not None
    return COURSE.final_project


RULES = project().datasets["digits"]


def layer(
    stored: tuple[Stored, ...] = (), products: tuple[Products, ...] = (), ops: int = 0
) -> MeasuredLayer:
    return MeasuredLayer(0, "Conv", (1,), stored, products, ops)


MEASURED = Measurement(
    123,
    "ab" * 32,
    21,
    (
        layer((Stored("w", 100, 40, 8), Stored("b", 10, 7, 32)), (Products(10, 20, 80, 3, 8, 4),)),
        layer(products=(Products(4, 5, 20, 0, 1, 16),), ops=50),
    ),
)
"""320 + 224 stored bits; 200 and 20 products; 50 operations, of which 55 would be free."""


# ---- formulas ------------------------------------------------------------------------------------


def test_the_formula_takes_structured_shares_off_both_and_others_off_storage() -> None:
    plain = imt_2025_formula(0.0, 0.0, 32, 32, 1000, 2000, params=10, ops=100)
    assert plain == pytest.approx(1000 / 10 + 2000 / 100)
    both = imt_2025_formula(0.25, 0.5, 8, 4, 1000, 2000, params=10, ops=100)
    assert both == pytest.approx(0.25 * 8 / 32 * 100 + 0.75 * 8 / 32 * 20)
    wide = imt_2025_formula(0.5, 0.0, 4, 16, 1000, 2000, params=10, ops=100)
    assert wide == pytest.approx(0.5 * 4 / 32 * 100 + 0.5 * 16 / 32 * 20)


def test_the_formula_knows_the_course_s_reference() -> None:
    assert imt_2025_formula(0, 0, 32, 32, 5_600_000, 0) == pytest.approx(1)
    assert imt_2025_formula(0, 0, 32, 32, 0, 280_000_000) == pytest.approx(1)


def test_excess_operations_cost_as_much_as_full_products() -> None:
    busy = Measurement(0, "", 21, (layer(products=(Products(1, 40, 40, 0, 32, 32),), ops=110),))
    assert busy.excess_macs == 100
    assert imt_2025(busy, 1, 1) == pytest.approx(140)


def test_what_cannot_be_masked_is_stored_whole() -> None:
    for is_maskable, words in ((True, (4 * 32 + 64) / 32), (False, 64.0)):
        stored = Stored("w", 64, 4, 32, maskable=is_maskable)
        assert micronet_2019(Measurement(0, "", 21, (layer((stored,)),)), 1, 1) == words


def test_storage_and_work_are_relative_to_their_own_reference() -> None:
    assert imt_2025(MEASURED, 1e3, 1e30) == pytest.approx(544 / 32 / 1e3)
    work = (200 * 8 + 20 * 16) / 32 + MEASURED.excess_macs
    assert imt_2025(MEASURED, 1e30, 1e3) == pytest.approx(work / 1e3)
    stored = min(100 * 8, 40 * 8 + 100) / 32 + min(10 * 32, 7 * 32 + 10) / 32
    assert micronet_2019(MEASURED, 1e3, 1e30) == pytest.approx(stored / 1e3)
    first, second = 80 * 8 / 32 + 80 - 7, 20 * 1 / 32 + 20 - 4
    assert micronet_2019(MEASURED, 1e30, 1e3) == pytest.approx((first + second + 50) / 1e3)


@pytest.mark.parametrize(
    ("weight_bits", "activation_bits", "bits"), [(1, 32, 1), (2, 32, 32), (32, 1, 32), (3, 2, 3)]
)
def test_only_signs_of_weights_make_a_product_cheap(
    weight_bits: int, activation_bits: int, bits: int
) -> None:
    products = Products(1, 64, 64, 0, weight_bits, activation_bits)
    measured = Measurement(0, "", 21, (layer(products=(products,)),))
    assert micronet_2019(measured, 1, 1) == pytest.approx(64 * bits / 32 + 63)


# ---- the course's rules --------------------------------------------------------------------------


def test_every_cost_has_its_own_references() -> None:
    names = {"imt-2025": Reference(params=1000, ops=10**12)}
    names["micronet-2019"] = Reference(params=10**12, ops=2000)
    rules = RULES.model_copy(update={"references": names})
    both = project().model_copy(update={"costs": ("micronet-2019", "imt-2025")})
    assert entry_costs(MEASURED, rules, both) == {
        "micronet-2019": micronet_2019(MEASURED, 10**12, 2000),
        "imt-2025": imt_2025(MEASURED, 1000, 10**12),
    }
    one = project().model_copy(update={"costs": ("imt-2025",)})
    assert set(entry_costs(MEASURED, rules, one)) == {"imt-2025"}


def test_ratios_are_shares_of_the_network() -> None:
    rules = RULES.model_copy(update={"network": Reference(params=500, ops=4000)})
    many = replace(MEASURED, layers=(*MEASURED.layers, layer(ops=100)))
    assert many.excess_macs > 0
    assert ratios(many, rules) == {
        "params": 47 / 500,
        "macs": (220 + many.excess_macs) / 4000,
        "bytes": 544 / (32 * 500),
    }


def test_the_gap_may_be_just_five_points() -> None:
    """Shares that floats hold exactly: a quarter, and an eighth beyond it."""
    rules = RULES.model_copy(update={"perturbation_drop": 0.25 - 0.05})
    fits = Answers(400, {1: 400}, (300,), "public", 0.0)
    assert memorized(fits, rules) == ""
    more = replace(fits, perturbed=(299,))
    assert memorized(more, rules).startswith("it loses 25.2 points of accuracy on")


# ---- records computed again ----------------------------------------------------------------------


def again(**changes: object) -> Score:
    return revalidate(replace(SCORE, **changes), project())  # type: ignore[arg-type]


def test_what_a_record_says_of_itself_is_not_believed() -> None:
    lie = again(costs={"imt-2025": 0.0}, ratios={"params": 0.0}, counted=360, gate=1)
    assert SCORE.measurement is not None
    assert lie.costs == entry_costs(SCORE.measurement, RULES, project())
    assert lie.ratios == ratios(SCORE.measurement, RULES)
    assert (lie.counted, lie.gate) == (349, RULES.gate_correct)
    assert (lie.refusal, lie.measurement, lie.answers) == ("", SCORE.measurement, SCORE.answers)


def test_a_refusal_stays_and_memorized_answers_become_one() -> None:
    assert again(refusal="no", measurement=None, answers=None).refusal == "no"
    kept = again(refusal="no")
    assert (kept.refusal, kept.counted) == ("no", 349)
    learnt = replace(SCORE.answers, perturbed=(200,))  # type: ignore[type-var]
    assert "memorised" in again(answers=learnt).refusal
    assert again(answers=learnt, refusal="no").refusal == "no"


def test_a_refused_record_without_numbers_has_none() -> None:
    bare = again(refusal="no", measurement=None, answers=None)
    assert (bare.costs, bare.ratios, bare.counted) == ({}, {}, 0)
    measured = again(refusal="no", answers=None)
    assert measured.costs
    assert measured.ratios
    assert measured.counted == 0


@pytest.mark.parametrize("missing", ["measurement", "answers"])
def test_without_a_refusal_both_have_to_be_there(missing: str) -> None:
    with pytest.raises(ValueError, match="neither a refusal nor a measurement"):
        again(**{missing: None})


@pytest.mark.parametrize(
    "scored_at", ["yesterday", "2027-04-01", "2027-04-01T10:00:00", "2027-04-01T25:00:00+00:00"]
)
def test_a_time_without_a_zone_is_none(scored_at: str) -> None:
    with pytest.raises(ValueError, match="scored_at"):
        again(scored_at=scored_at)


def test_a_time_in_any_zone_counts() -> None:
    assert again(scored_at="2027-04-01T10:00:00+02:00").scored_at.endswith("+02:00")


def test_a_team_has_a_name_and_is_in_the_course() -> None:
    closed = project().model_copy(update={"teams": ("team-2",)})
    with pytest.raises(ValueError, match="its team is not"):
        revalidate(SCORE, closed)
    assert revalidate(replace(SCORE, team="team-2"), closed).team == "team-2"
    with pytest.raises(ValueError, match="its team is not"):
        again(team="../../etc")


def test_a_data_set_is_one_of_the_course() -> None:
    fewer = project().model_copy(update={"datasets": {"cifar10": project().datasets["cifar10"]}})
    with pytest.raises(ValueError, match="its data set is not"):
        revalidate(SCORE, fewer)
    with pytest.raises(ValueError, match="do not fit the test images"):
        again(dataset="cifar10")  # 360 images are not those of this data set


IMAGES = RULES.test_images


@pytest.mark.parametrize(
    ("by_batch", "perturbed", "images", "fits"),
    [
        ({1: IMAGES}, (IMAGES,), IMAGES, True),
        ({1: 350, 7: IMAGES + 1}, (350,), IMAGES, False),
        ({1: 350}, (350, IMAGES + 1), IMAGES, False),
        ({}, (350,), IMAGES, False),
        ({1: 350}, (), IMAGES, False),
        ({1: 350}, (350,), IMAGES - 1, False),
        ({1: 350}, (350,), IMAGES + 1, False),
    ],
)
def test_right_answers_are_of_the_test_images(
    by_batch: dict[int, int], perturbed: tuple[int, ...], images: int, fits: bool
) -> None:
    answers = Answers(images, by_batch, perturbed, "public", 0.0)
    if fits:
        assert again(answers=answers).counted == IMAGES
        return
    with pytest.raises(ValueError, match="do not fit the test images"):
        again(answers=answers)


def measured(made: MeasuredLayer, **changes: object) -> Measurement:
    return replace(MEASURED, layers=(made,), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stored", "products", "words"),
    [
        (Stored("w", 3, 3, 32), Products(5, 2, 10, 0, 32, 32), ""),
        (Stored("w", 3, 4, 32), Products(5, 2, 10, 0, 32, 32), "more nonzeros"),
        (Stored("w", 3, 3, 32), Products(5, 2, 11, 0, 32, 32), "do not add up"),
        (Stored("w", 3, 3, 32), Products(5, 2, 0, 5, 32, 32), ""),
        (Stored("w", 3, 3, 32), Products(5, 2, 0, 6, 32, 32), "do not add up"),
        (Stored("w", 3, 3, 32), Products(5, 2, 2, 3, 32, 32), ""),
        (Stored("w", 3, 3, 32), Products(5, 2, 1, 3, 32, 32), "do not add up"),
        (Stored("w", 3, 3, 32), Products(5, 0, 0, 0, 32, 32), "do not add up"),
    ],
)
def test_the_numbers_of_a_measurement_go_together(
    stored: Stored, products: Products, words: str
) -> None:
    last = measured(layer((Stored("v", 9, 9, 8), stored), (Products(1, 1, 1, 0, 8, 8), products)))
    if not words:
        assert again(measurement=last).measurement == last
        return
    with pytest.raises(ValueError, match=words):
        again(measurement=last)


@pytest.mark.parametrize("changes", [{"sha256": "cd" * 32}, {"file_bytes": 124}])
def test_a_measurement_is_of_the_file_that_the_record_names(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="another file"):
        again(measurement=measured(layer(), **changes))
    with pytest.raises(ValueError, match="another file"):
        again(**changes)
