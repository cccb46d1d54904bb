"""Runs an entry with ONNX Runtime. Runs in the sandbox: it sees images and no label.

All graph optimisations are disabled and one thread is used: with its default optimisations ONNX
Runtime 1.31 gives wrong logits for 2-bit weights, differently in each session.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import onnx
from numpy.typing import NDArray

from autograder.project.parsing import drop_foreign_imports

if TYPE_CHECKING:
    import onnxruntime as ort

Images = NDArray[np.uint8]
Logits = NDArray[np.float32]


def session(content: bytes) -> ort.InferenceSession:
    """A session for an entry: see `plain_session`."""
    return plain_session(_plain(content))


def plain_session(content: bytes) -> ort.InferenceSession:
    """A session on one thread without optimisations; raises what ONNX Runtime raises."""
    import onnxruntime as ort  # starts a thread, which must not be there before the confinement

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # complaints arrive as exceptions
    options.enable_mem_pattern = False
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _plain(content: bytes) -> bytes:
    """Without notes, and with names of nodes that are ours.

    To ONNX Runtime some names mean something: it removes a pair of Casts that is called as its own
    would be, and with them their rounding. A position in the file tells where a run failed.
    """
    model = onnx.load_model_from_string(content)
    drop_foreign_imports(model)
    for notes in (model, model.graph, *model.graph.node):
        notes.ClearField("doc_string")
        notes.ClearField("metadata_props")
    for position, node in enumerate(model.graph.node):
        node.name = f"node {position}"
    plain: bytes = model.SerializeToString()
    return plain


def shapes(
    content: bytes, types: Mapping[str, int], input_shape: tuple[int, ...]
) -> dict[str, tuple[int, ...]]:
    """The shapes that tensors really have for one image, which is black.

    Args:
        content: a model file.
        types: the tensors by name, with their type of `onnx.TensorProto`.
        input_shape: of one image.
    """
    import onnxruntime as ort

    model = onnx.load_model_from_string(content)
    known = {value.name for value in model.graph.output}
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, kind, None)
        for name, kind in types.items()
        if name not in known
    )
    runner = session(model.SerializeToString())
    image = ort.OrtValue.ortvalue_from_numpy(np.zeros((1, *input_shape), np.uint8))
    values = runner.run_with_ort_values(list(types), {runner.get_inputs()[0].name: image})
    return {name: tuple(value.shape()) for name, value in zip(types, values, strict=True)}


def logits(model: ort.InferenceSession, images: Images, batch: int) -> Logits:
    """(N, classes) for images (N, C, H, W), computed `batch` at a time.

    Raises MemoryError, in one sentence for the network's author, where a batch does not fit, and
    otherwise what ONNX Runtime raises.
    """
    name = model.get_inputs()[0].name
    try:
        parts = [
            model.run(None, {name: images[start : start + batch]})[0]
            for start in range(0, len(images), batch)
        ]
    except Exception as error:
        if reason := out_of_memory(str(error), batch):
            raise MemoryError(reason) from None
        raise
    for start, part in zip(range(0, len(images), batch), parts, strict=True):
        if part.shape[:1] != (min(batch, len(images) - start),) or part.ndim != 2:
            raise ValueError(f"a batch of {batch} images gave an output of shape {part.shape}")
    return np.concatenate(parts)


def out_of_memory(text: str, batch: int) -> str:
    """What ONNX Runtime's complaint about memory says to an author; "" of any other complaint."""
    if not re.search(r"Failed to allocate memory|bad[_ ]alloc", text):
        return ""
    node = re.search(r"running (\w+) node\. Name:'(node \d+)'", text)
    where = f"{node.group(2)} ({node.group(1)})" if node else "it"
    asked = re.search(r"requested buffer of size (\d+)", text)
    size = f"another {int(asked.group(1)) / 1e9:.1f} GB" if asked else "more memory"
    return (
        f"{where} needs {size} at a batch of {batch} images, which is not available: use fewer "
        "channels there, or pool earlier"
    )
