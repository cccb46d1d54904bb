"""What is done with a stranger's file, in a confined process: measure it, run it.

The functions return plain values; the other side (`runner`) believes none of them.
"""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autograder.project import counting, graph, inference
from autograder.project.graph import Refusal

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
