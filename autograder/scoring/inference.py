"""Runs an entry with ONNX Runtime. Inside the sandbox: it sees images and no label.

All graph optimisations are disabled and one thread is used: with its default optimisations ONNX
Runtime 1.31 gives wrong logits for 2-bit weights, differently in each session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnxruntime as ort

Images = NDArray[np.uint8]
Logits = NDArray[np.float32]


def session(content: bytes) -> ort.InferenceSession:
    """A session on one thread without optimisations; raises what ONNX Runtime raises."""
    import onnxruntime as ort  # starts a thread, which must not be there before the confinement

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_mem_pattern = False
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def logits(model: ort.InferenceSession, images: Images, batch: int) -> Logits:
    """(N, classes) for images (N, C, H, W), computed `batch` at a time."""
    name = model.get_inputs()[0].name
    parts = [
        model.run(None, {name: images[start : start + batch]})[0]
        for start in range(0, len(images), batch)
    ]
    for start, part in zip(range(0, len(images), batch), parts, strict=True):
        if part.shape[:1] != (min(batch, len(images) - start),) or part.ndim != 2:
            raise ValueError(f"a batch of {batch} images gave an output of shape {part.shape}")
    return np.concatenate(parts)
