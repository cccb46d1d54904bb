"""What runs on a stranger's file, within the sandbox: measure it, run it, return plain values."""

from __future__ import annotations

import hashlib
import json
import traceback
from dataclasses import asdict
from typing import Any

import numpy as np

from autograder.project import counting, graph, inference
from autograder.project.graph import Refusal

_sessions: dict[bytes, Any] = {}


def measure(content: bytes, input_shape: list[int], classes: int) -> str:
    """JSON of a measurement: {"layers": …} or {"refusal": one sentence}."""
    try:
        network = graph.read(content, tuple(input_shape), classes)
        layers = counting.count(network)
    except Refusal as refusal:
        return json.dumps({"refusal": str(refusal)})
    except RecursionError:
        return json.dumps({"refusal": "the graph is nested too deeply"})
    except Exception:  # a rule that met what it does not expect: nothing is counted as zero
        return json.dumps(
            {"refusal": "the graph cannot be measured", "detail": traceback.format_exc()[-2000:]}
        )
    return json.dumps({"opset": network.opset, "layers": [asdict(layer) for layer in layers]})


def shape_mismatch(content: bytes, input_shape: list[int], classes: int) -> str:
    """What tells a tensor that is not as large as it was counted to be; "" if all are."""
    network = graph.read(content, tuple(input_shape), classes)
    names = [name for node in network.nodes for name in node.outputs if name in network.activations]
    types = {name: network.types[name] for name in names}
    for name, shape in inference.shapes(content, types, tuple(input_shape)).items():
        if shape != network.shapes[name]:
            text = f"is {shape} when it runs, {network.shapes[name]} by ONNX's rules"
            return f"tensor {name[:60]!r} {text}"
    return ""


def predict(content: bytes, images: Any, batch: int) -> Any:
    """Logits float32 (N, classes) of uint8 images, `batch` at a time."""
    key = hashlib.sha256(content).digest()
    if key not in _sessions:
        _sessions[key] = inference.session(content)
    found = inference.logits(_sessions[key], np.asarray(images), batch)
    return np.ascontiguousarray(found, dtype=np.float32)
