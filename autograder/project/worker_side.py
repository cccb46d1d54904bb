"""What is done with a stranger's file, in a confined process: measure it, run it.

The functions return plain values; the other side (`runner`) believes none of them.
"""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autograder.project import counting, graph, inference, rules
from autograder.project.graph import Refusal
from autograder.project.tidy import CannotTidy, external_files, tidy

_MAX_TRACE = 2000

_sessions: dict[bytes, Any] = {}


def measure(content: bytes, input_shape: Sequence[int], classes: int) -> dict[str, Any]:
    """The layers of a file, {"opset": int, "layers": [...]}, or {"refusal": one sentence}."""
    try:
        network = graph.read(content, tuple(input_shape), classes)
        layers = counting.count(network)
    except Refusal as refusal:
        return {"refusal": str(refusal)}
    except RecursionError:
        return {"refusal": "the graph is nested too deeply"}
    except MemoryError:
        raise
    except Exception:  # a rule that met what it does not expect: nothing is counted as zero
        trace = traceback.format_exc()[-_MAX_TRACE:]
        return {"refusal": "the graph cannot be measured", "detail": trace}
    return {"opset": network.opset, "layers": [asdict(layer) for layer in layers]}


def shape_mismatch(content: bytes, input_shape: Sequence[int], classes: int) -> str:
    """Which tensor is not as large as it was counted to be; "" if all are."""
    network = graph.read(content, tuple(input_shape), classes)
    names = [name for node in network.nodes for name in node.outputs if name in network.activations]
    types = {name: network.types[name] for name in names}
    for name, shape in inference.shapes(content, types, tuple(input_shape)).items():
        if shape != network.shapes[name]:
            text = f"{shape} when it runs, {network.shapes[name]} by ONNX's shape inference"
            return f"tensor {name[:60]!r} has the shape {text}"
    return ""


def predict(content: bytes, images: NDArray[np.uint8], batch: int) -> NDArray[np.float32]:
    """Logits (N, classes) of images (N, C, H, W), `batch` at a time."""
    key = hashlib.sha256(content).digest()
    if key not in _sessions:
        _sessions[key] = inference.session(content)
    logits = inference.logits(_sessions[key], np.asarray(images), batch)
    return np.ascontiguousarray(logits, dtype=np.float32)


def outer_files(content: bytes) -> dict[str, Any]:
    """The files of a model's external data, {"names": list}, or {"refusal": one sentence}."""
    try:
        return {"names": external_files(content)}
    except CannotTidy as refusal:
        return {"refusal": str(refusal)}


def tidied(
    content: bytes, beside: Mapping[str, bytes], contracts: Sequence[tuple[Sequence[int], int]]
) -> dict[str, Any]:
    """What `tidy` makes of a file, with the scorer's word on it, or {"refusal": one sentence}.

    `contracts` are (input shape, classes) of the course's data sets, of which the file's own
    counts, else the first.
    """
    try:
        made = tidy(content, beside)
    except CannotTidy as refusal:
        return {"refusal": str(refusal)}
    except MemoryError:
        raise
    except Exception:  # a pass that met what it does not expect
        trace = traceback.format_exc()[-_MAX_TRACE:]
        return {"refusal": "it cannot be tidied; please report it with the file", "detail": trace}
    answers = [measure(made.content, shape, classes) for shape, classes in contracts]
    accepted = next((answer for answer in answers if "refusal" not in answer), answers[0])
    known = asdict(made)
    # What is too large for an entry is too large for the channel.
    known["content"] = made.content if len(made.content) <= rules.MAX_BYTES else b""
    return {
        **known,
        "size": len(made.content),
        "changes": list(made.changes.items()),
        "scorer": accepted.get("refusal", ""),
    }
