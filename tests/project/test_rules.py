"""The tables of the rules against what students read of them, and against ONNX's own schemas."""

from __future__ import annotations

import re

import onnx
import pytest
from onnx import TensorProto

from autograder.project import rules
from autograder.project.runner import TRIAL_SECONDS
from tests.support import ROOT

PAGE = (ROOT / "docs" / "scoring.md").read_text("utf-8")
OPSET = 25


def row(name: str) -> str:
    """The last cell of the row of a table in the page, up to what is earned."""
    rules_of_counting = PAGE.partition("## What it earns")[0]
    (found,) = re.findall(rf"^\| {re.escape(name)} \| (.*) \|$", rules_of_counting, re.MULTILINE)
    return str(found)


def operators(text: str) -> set[str]:
    """The names of operators in a text."""
    known = {schema.name for schema in onnx.defs.get_all_schemas()}
    return {word for word in re.findall(r"[A-Z]\w+", text) if word in known}


def paragraph(title: str) -> str:
    (found,) = re.findall(rf"\*\*{re.escape(title)}\*\*(.*?)(?=\n\n|\n\*\*)", PAGE, re.DOTALL)
    return str(found)


def number(text: str) -> int:
    return int(text.replace(",", ""))


# ---- the page ------------------------------------------------------------------------------------

GROUPS = (
    "products",
    "moving data",
    "elementwise",
    "activations",
    "pooling, reductions",
    "normalisation",
    "precision",
)


def test_allowed_are_the_operators_of_the_groups() -> None:
    listed = [name for group in GROUPS for name in sorted(operators(row(group)))]
    assert len(set(listed)) == len(listed)
    assert set(listed) == rules.ALLOWED


def test_the_groups_that_are_counted_apart() -> None:
    assert operators(row("products")) == rules.PRODUCTS
    assert operators(row("moving data")) == rules.DATA_MOVEMENT | {"Constant"}
    pooling = operators(row("pooling, reductions"))
    assert pooling == rules.WINDOWS | rules.REDUCTIONS
    assert {"MaxPool", "AveragePool"} == rules.WINDOWS


def test_operations_for_each_element() -> None:
    ones = {
        *operators(row("elementwise")),
        *operators(row("activations")),
        *operators(row("precision")),
    }
    expected = dict.fromkeys(ones, 1)
    for count in (2, 4, 5, 9):
        expected |= dict.fromkeys(operators(row(str(count))), count)
    assert expected == rules.OPS_PER_OUTPUT
    assert operators(row("8")) == {"Attention"}
    assert rules.OPS_PER_SCORE == 8
    assert operators(row("1")) - {"Gemm"} <= {k for k, n in rules.OPS_PER_OUTPUT.items() if n == 1}


def test_caps() -> None:
    assert number(row("nodes")) == rules.MAX_NODES
    assert number(row("elements of a tensor")) == rules.MAX_ELEMENTS
    assert number(row("MACs, for one image")) == rules.MAX_MACS
    assert number(row("other operations, for one image")) == rules.MAX_OPS
    assert row("time, memory").count(f"{TRIAL_SECONDS:.0f} s") == 2
    cap = row("numbers for shapes, axes, pads, indices into data; parts of a Concat or Split")
    assert cap == f"{rules.MAX_STRUCTURE_EDGE} for each, {rules.MAX_STRUCTURE_TOTAL:,} in all"
    assert f"at most {rules.MAX_BYTES:,} bytes" in row("`model.onnx`")


def test_opsets() -> None:
    first, last = rules.OPSETS[0], rules.OPSETS[-1]
    assert f"opset {first} to {last}" in PAGE
    assert list(rules.OPSETS) == list(range(first, last + 1))
    assert last == OPSET


def test_what_carries_a_width() -> None:
    text = paragraph("Activation bits.").partition(" carry it")[0].partition("width. ")[2]
    text = text or paragraph("Activation bits.").partition(" carry it")[0]
    carrying = operators(text) - {"QuantizeLinear", "DequantizeLinear"}
    assert carrying == rules.KEEPS_BIT_WIDTH


def test_tables_are_inputs_of_elementwise_products() -> None:
    text = PAGE.partition("An elementwise product (")[2].partition(")")[0]
    assert operators(text) == set(rules.TABLE_OPERANDS)


# ---- types ---------------------------------------------------------------------------------------


def test_bits_of_a_type_stand_in_its_name() -> None:
    """INT4 has 4, FLOAT8E5M2 has 8; FLOAT and DOUBLE have none in their names."""
    named = {"BOOL": 1, "FLOAT": 32, "DOUBLE": 64}
    for kind, bits in rules.BITS.items():
        name = TensorProto.DataType.Name(kind)
        digits = re.match(r"B?[A-Z]+?(\d+)", name)
        assert bits == (named[name] if name in named else int(digits[1] if digits else 0)), name


def test_every_type_of_numbers_has_bits() -> None:
    """Not text, complex numbers, powers of two alone, and what came after the last opset."""
    others = {"UNDEFINED", "STRING", "COMPLEX64", "COMPLEX128", "FLOAT8E8M0"}
    later = {"FLOAT6E2M3", "FLOAT6E3M2"}
    known = {TensorProto.DataType.Name(kind) for kind in rules.BITS}
    assert known == set(TensorProto.DataType.keys()) - others - later


def test_integers_are_what_is_called_so() -> None:
    called = {k for k in rules.BITS if re.match("U?INT", TensorProto.DataType.Name(k))}
    assert called == rules.INTEGERS


# ---- ONNX's schemas ------------------------------------------------------------------------------


def inputs(kind: str) -> list[str]:
    return [each.name for each in onnx.defs.get_schema(kind, OPSET).inputs]


def places(kind: str, names: str) -> tuple[int, ...]:
    """Where the inputs whose name matches are."""
    return tuple(i for i, name in enumerate(inputs(kind)) if re.fullmatch(names, name))


SHAPES = "shape|axes|split|starts|ends|steps|pads"


@pytest.mark.parametrize("kind", sorted(rules.ALLOWED))
def test_structure_is_shapes_axes_pads_and_starts(kind: str) -> None:
    assert rules.STRUCTURE.get(kind, ()) == places(kind, SHAPES)


@pytest.mark.parametrize("kind", sorted(rules.ALLOWED))
def test_zero_points_are_called_so(kind: str) -> None:
    zero_points = places(kind, ".*zero_point")
    assert rules.ZERO_POINTS.get(kind, ()) == zero_points
    factors = zero_points[:2] if kind in rules.PRODUCTS else ()
    assert rules.FACTOR_ZERO_POINTS.get(kind, ()) == factors


@pytest.mark.parametrize("kind", sorted(rules.TABLE_OPERANDS))
def test_a_table_is_a_factor(kind: str) -> None:
    both = kind in ("Mul", "Div", "Pow")
    assert rules.TABLE_OPERANDS[kind] == places(kind, ".*" if both else "slope|[Ss]cale|.*_scale")


@pytest.mark.parametrize(
    ("kind", "name", "default"),
    [(k, n, value) for k, names in rules.SCALAR_ATTRIBUTES.items() for n, value in names.items()],
)
def test_defaults_of_numbers_are_those_of_onnx(kind: str, name: str, default: float | None) -> None:
    attribute = onnx.defs.get_schema(kind, OPSET).attributes[name].default_value
    expected = onnx.helper.get_attribute_value(attribute) if attribute.name else None
    assert default == (None if expected is None else pytest.approx(expected, rel=1e-6))


def test_every_number_in_an_attribute_is_known() -> None:
    for kind in sorted(rules.ALLOWED - {"Constant"}):
        attributes = onnx.defs.get_schema(kind, OPSET).attributes
        numbers = {
            n for n, each in attributes.items() if each.type == onnx.defs.OpSchema.AttrType.FLOAT
        }
        # The epsilon of a batch norm is part of its folded scale and shift, which are stored.
        known = set() if kind == "BatchNormalization" else numbers
        assert set(rules.SCALAR_ATTRIBUTES.get(kind, {})) == known, kind


def test_statistics_are_not_of_the_batch() -> None:
    assert rules.ATTRIBUTES == {"BatchNormalization": {"training_mode": 0}}


def test_reshapes_move_nothing_from_its_order_but_axes() -> None:
    assert rules.RESHAPES <= rules.DATA_MOVEMENT & rules.KEEPS_BIT_WIDTH
    choose_or_join = rules.KEEPS_BIT_WIDTH - rules.RESHAPES
    assert choose_or_join == {"Slice", "Split", "Concat", "MaxPool"}


def test_remedies_are_for_what_is_refused() -> None:
    assert not set(rules.REMEDIES) & rules.ALLOWED
    assert all(remedy.strip() for remedy in rules.REMEDIES.values())
    for often in ("Shape", "Size", "ConstantOfShape", "Dropout", "If", "Loop", "Scan"):
        assert often in rules.REMEDIES
    assert "statically" in rules.REMEDIES["DynamicQuantizeLinear"]
