"""What reading a file says to its author, and what other people's tools write."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import onnx
import pytest
from onnx import helper

from autograder.project import inference, parsing
from autograder.project.graph import Refusal
from autograder.project.network import node_label
from autograder.project.runner import MAX_REASON
from tests.project import build
from tests.project.build import floats, node
from tests.project.cheats import honest

FULL = (
    "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running {} node. "
    "Name:'{}' Status Message: bfc_arena.cc:360 Failed to allocate memory for requested buffer "
    "of size {}"
)


@pytest.mark.parametrize("skips_symbolic_shapes", [True, False])
def test_files_of_onnx_runtimes_preprocessing_are_read(
    tmp_path: Path, skips_symbolic_shapes: bool
) -> None:
    """It imports every domain that it knows; the graph is as it was."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnxruntime.quantization.shape_inference import quant_pre_process
    nodes = [node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["y"])]
    model = build.between(nodes, {"w": floats(4, 1, 3, 3)})
    before, after = tmp_path / "before.onnx", tmp_path / "after.onnx"
    onnx.save(model, before)
    quant_pre_process(str(before), str(after), skip_symbolic_shape=skips_symbolic_shapes)
    content = after.read_bytes()
    assert len({entry.domain for entry in onnx.load(after).opset_import}) > 1
    measured, plain = build.count(content), build.count(model)
    assert (measured.params, measured.macs) == (plain.params, plain.macs)
    inference.session(content)


def test_an_import_that_no_node_uses_is_dropped_before_the_runtime_sees_it() -> None:
    model = honest()
    model.opset_import.append(helper.make_opsetid("com.microsoft", 10**6))
    assert build.count(model).params == 650
    inference.session(model.SerializeToString())


def test_a_label_has_position_output_and_operator() -> None:
    assert node_label(3, "Conv", ["y"]) == "node 3 'y' (Conv)"
    assert node_label(3, "Split", ["", "b"]) == "node 3 (Split)"
    assert node_label(3, "Conv", ["a\nb" + "c" * 99]) == f"node 3 'a\\nb{'c' * 57}' (Conv)"


@pytest.mark.parametrize("size", ["short", "long"])
def test_a_refusal_fits_into_its_line(size: str) -> None:
    name = "y" if size == "short" else "y" * 500
    model = build.between(
        [node("Shape", ["x"], [name]), node("Identity", [name], ["z"])], result="z"
    )
    with pytest.raises(Refusal) as refused:
        build.count(model)
    assert len(str(refused.value)) <= MAX_REASON


@pytest.mark.parametrize(
    ("extents", "words"),
    [
        ((), ""),
        ((3, 0, 5), ""),
        ((1 << 13, 1 << 13), ""),
        (
            (1 << 13, (1 << 13) + 1),
            "t has more than 67,108,864 elements, (8192, 8193): use fewer channels, or pool "
            "earlier",
        ),
        ((-8, -8), "t has a negative dimension, (-8, -8): give its real size"),
        ((0, -1), "t has a negative dimension, (0, -1): give its real size"),
    ],
)
def test_sizes_of_tensors(extents: tuple[int, ...], words: str) -> None:
    if not words:
        parsing.check_size("t", extents)
        return
    with pytest.raises(Refusal) as refused:
        parsing.check_size("t", extents)
    assert str(refused.value) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            FULL.format("Conv", "node 12", 3_200_000_000),
            "node 12 (Conv) needs another 3.2 GB at a batch of 250 images",
        ),
        ("RUNTIME_EXCEPTION : std::bad_alloc", "it needs more memory at a batch of 250 images"),
        ("INVALID_ARGUMENT : Got invalid dimensions", ""),
    ],
)
def test_the_runtimes_complaints_about_memory(text: str, words: str) -> None:
    said = inference.out_of_memory(text, 250)
    assert said.startswith(words)
    assert bool(said) == bool(words)


def test_nothing_is_left_in_the_home_folder(tmp_path: Path) -> None:
    """ONNX Runtime's telemetry would keep an identifier and a database there, and send them."""
    source = (
        "import sys, numpy; from autograder.project import inference\n"
        "session = inference.session(sys.stdin.buffer.read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        input=honest().SerializeToString(),
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert list(tmp_path.rglob("*")) == []
