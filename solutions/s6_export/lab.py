# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab sheet 6: which compression makes a network faster, and which only smaller?
#
# This sheet puts your functions from `onnx_export.py`, `onnx_quantization.py`, `tensorrt_build.py` and
# `benchmark.py` to work on a trained network. Finish (most of) them first: `autograder check s6` tells
# you where you stand.
#
# There are four questions with 20 points together. A teaching assistant reads your answers, so
# write sentences, quote the numbers that you refer to, and say how sure you are. Three to six
# sentences a question are enough. Everything runs in about two minutes on a laptop's CPU, most of it
# `torch.compile`, which needs a C++ compiler; set the environment variable `LAB_QUICK` to leave that out.

# %%
# %matplotlib inline
import copy
import importlib.util
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from benchmark import benchmark, latency_plot
from onnx import numpy_helper
from onnx_export import (
    compare_outputs,
    embed_preprocessing,
    export_onnx,
    onnx_summary,
    store_codebook,
    store_low_bit,
)
from onnx_quantization import quantize_static
from tensorrt_build import build_engine, optimization_profile, to_float16, unsupported_nodes

from shared.data import TensorBatches, load_digits
from shared.models import DigitsCNN
from shared.training import Recipe, train

torch.set_num_threads(1)
FOLDER = Path(tempfile.mkdtemp())  # the files of this sheet

# %% [markdown]
# ## 0. A network

# %%
data = load_digits()
torch.manual_seed(0)
model = DigitsCNN(width=32)
train(model, TensorBatches(data, data.train, 64, seed=0), None, Recipe(10, lr=0.05))
model.eval()
labels = data.test.labels.numpy()


def prepared(split):
    """Images as the network was trained on, float32."""
    images, _ = next(iter(TensorBatches(data, split, len(split.labels))))
    return images.numpy()


images = prepared(data.test)


def accuracy(outputs):
    """Share of right answers on the test images."""
    return float(np.mean(outputs.argmax(axis=1) == labels))


with torch.no_grad():
    reference = model(torch.from_numpy(images)).numpy()
print(f"PyTorch: {accuracy(reference):.2%} of {len(labels)} test images")

# %% [markdown]
# ## 1. One file
#
# `session` runs a file with one thread. ONNX Runtime's graph optimisations are on, as in production; the
# grader runs your files without them.


# %%
def session(content, optimise=True):
    """A function from images to outputs."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    runner = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = runner.get_inputs()[0].name
    return lambda batch: runner.run(None, {name: batch})[0]


start = time.perf_counter()
sample = torch.from_numpy(images[:1])
exported = export_onnx(model, sample)
(FOLDER / "digits.onnx").write_bytes(exported)
print(f"exported in {time.perf_counter() - start:.1f} s, {len(exported):,} bytes")
print(onnx_summary(exported))
for batch in (1, 7, len(images)):
    print(batch, compare_outputs(session(exported)(images[:batch]), reference[:batch], 1e-4, 1e-5))

# %%
pixels = 16 * data.test.images.numpy().astype(np.int64)  # 0..16 becomes 0..256
pixels = pixels.clip(0, 255).astype(np.uint8)
std = [each * 256 / 255 for each in data.std]  # p / 255 * 255 / 256 is p / 256
mean = [each * 256 / 255 for each in data.mean]
with_pixels = embed_preprocessing(exported, mean, std)
print("from pixels:", compare_outputs(session(with_pixels)(pixels), reference, 1e-2, 1e-1))

# %% [markdown]
# **Question 1 (5 points).** Which differences between PyTorch and the file do you see at the three batch
# sizes, and where do they come from? Which `rtol` and `atol` would you ask for in a test, and what would
# a test with `atol=0.1` not notice? Why do the outputs from pixels differ more?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s6-q1", "locked": false, "points": 5, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# They differ by about 1e-6 to 1e-5, on logits of about 10: float32 sums in another order, and batch norm folded
# into the convolutions. It hardly depends on the batch. rtol = 1e-4 and atol = 1e-5 leave a factor of ten.
#
# A test with atol = 0.1 would not notice weights in half precision or int8, a forgotten eps in the fold, or a
# mean that is a little off: errors that cost accuracy on hard images only.
#
# Pixels of 16 * 16 = 256 do not fit a byte and become 255, so the inputs themselves differ by 0.4 %.
# ### END SOLUTION

# %% [markdown]
# ## 2. What was made small stays small
#
# The largest layer is pruned (any half, or two of four: session 2), stored in 8, 4 and 2 bits (session 2),
# and clustered (session 3). Then all is quantised to int8. The last network has half the channels, as
# structured pruning, a student network (session 4) or a search (session 5) leave it.

# %%
graph = onnx.load_model_from_string(exported).graph
largest = max(graph.initializer, key=lambda tensor: np.prod(tensor.dims))
weight = numpy_helper.to_array(largest)
print(f"{largest.name}: {weight.shape}, {weight.size:,} of {onnx_summary(exported).parameters:,}")


def rounded(bits):
    """The file with the largest layer in `bits` bits, one scale per output channel."""
    top = 2 ** (bits - 1) - 1
    scale = np.abs(weight).reshape(len(weight), -1).max(axis=1) / top
    codes = np.rint(weight / scale.reshape(-1, 1, 1, 1)).astype(np.int64)
    return store_low_bit(exported, largest.name, codes, scale.astype(np.float32), bits)


def pruned(share):
    """The file with zeros in the largest layer, which float32 does not make any smaller."""
    changed = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in changed.parameters():
            if parameter.numel() == weight.size:
                parameter[parameter.abs() < parameter.abs().flatten().quantile(share)] = 0.0
    return export_onnx(changed, sample)


def two_of_four():
    """The file in which two of four neighbouring input channels are zero in the largest layer."""
    fours = np.moveaxis(weight, 1, -1).reshape(-1, 4).copy()
    np.put_along_axis(fours, np.abs(fours).argsort(axis=1)[:, :2], 0, axis=1)
    kept = np.moveaxis(fours.reshape(np.moveaxis(weight, 1, -1).shape), -1, 1)
    changed = onnx.load_model_from_string(exported)
    for tensor in changed.graph.initializer:
        if tensor.name == largest.name:
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(kept), tensor.name))
    return changed.SerializeToString()


torch.manual_seed(0)
narrow = DigitsCNN(width=16)
train(narrow, TensorBatches(data, data.train, 64, seed=0), None, Recipe(10, lr=0.05))
narrow_file = export_onnx(narrow.eval(), sample)
codebook = np.quantile(weight, (np.arange(16) + 0.5) / 16).astype(np.float32)
places = np.abs(weight[..., None] - codebook).argmin(axis=-1)
calibration = np.split(prepared(data.train)[:256], 2)
files = {
    "float32": exported,
    "float16": to_float16(exported),
    "half zeros": pruned(0.5),
    "2:4 zeros": two_of_four(),
    "8 bits": rounded(8),
    "4 bits": rounded(4),
    "2 bits": rounded(2),
    "codebook": store_codebook(exported, largest.name, codebook, places),
    "int8": quantize_static(exported, calibration),
    "half width": narrow_file,
    "half w. int8": quantize_static(narrow_file, calibration),
}
right = {}
for name, content in files.items():
    right[name] = accuracy(session(content, optimise=name != "2 bits")(images))
    print(f"{name:>12}: {len(content):>8,} bytes, {right[name]:.2%}")

# %% [markdown]
# **Question 2 (5 points).** Explain the sizes: what does each weight cost in each file, and what else is in
# it? Why is the file with zeros as large as the first one, and what would make it smaller? Which images
# were the ranges of the int8 file taken from, and what would be wrong with the test images?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s6-q2", "locked": false, "points": 5, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# A weight costs 4, 2, 4, 1, 1/2, 1/4, 1 and 1 bytes; only the largest layer in the middle ones, so the others keep
# about 90 kB of floats. Scales take 4 bytes a channel, the codebook 64 bytes, names and nodes some hundred bytes.
#
# A zero is a float32 like any other. A general compressor (zip) would see the zeros; so would relative indices as
# in session 3, but then something has to unpack them before a runtime reads the file.
#
# The ranges come from 256 training images. Ranges of the test images would fit just those whose accuracy is
# reported: a number that no new image has to repeat.
# ### END SOLUTION

# %% [markdown]
# ## 3. Faster, or only smaller?
#
# One thread, equal inputs, runners in turns.

# %%
batch = images[:64]
tensor = torch.from_numpy(batch)


def eager(_):
    """PyTorch as it is."""
    with torch.inference_mode():
        return model(tensor)


runners = {"eager": eager}
if "LAB_QUICK" in os.environ:
    print("torch.compile is left out: LAB_QUICK is set")
else:
    compiled = torch.compile(model)

    def compiled_run(_):
        """torch.compile's code; its first call compiles and belongs to the warm-up."""
        with torch.inference_mode():
            return compiled(tensor)

    try:
        compiled_run(batch)
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        print(f"torch.compile is left out, it needs a C++ compiler: {reason}")
    else:
        runners["torch.compile"] = compiled_run
runners |= {f"ORT {name}": session(content) for name, content in files.items() if name != "2 bits"}
rows = benchmark(runners, batch, warmup=5, repeats=40, clock=time.perf_counter)
base = next(row.median for row in rows if row.name == "ORT float32")
print(f"{'':>16}   bytes  accuracy  ms: median (p10 to p90)  faster")
for row in rows:
    name = row.name.removeprefix("ORT ")
    size, share = (f"{len(files[name]):,}", f"{right[name]:.1%}") if name in files else ("", "")
    spread = f"{1000 * row.median:6.2f} ({1000 * row.p10:.2f} to {1000 * row.p90:.2f})"
    print(f"{row.name:>16} {size:>8} {share:>8} {spread:>24} {base / row.median:7.2f}x")

# %%
latency_plot(rows)

# %% [markdown]
# **Question 3 (6 points).** Which files are faster than float32, which are only smaller, and why? Which
# differences are larger than the spread? What do you expect on a GPU with sparse tensor cores, and
# for a batch of 1?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s6-q3", "locked": false, "points": 6, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# ONNX Runtime's float32 is faster than eager PyTorch, since batch norm and ReLU are fused into the convolutions; int8
# can be faster still where the CPU has integer dot products. 8 and 4 bits for weights and the codebook are decoded to
# float32 first: smaller, not faster (ONNX Runtime decodes constants once when it loads the file, so not slower
# either). float16 is no faster on a CPU without such arithmetic: values are cast to and fro. Zeros, two of four or any, are
# multiplied like all other numbers. Half the channels are faster everywhere, since there is less to compute.
#
# Differences whose ranges from the 10th to the 90th percentile overlap I do not count.
#
# Sparse tensor cores use exactly two of four, not any half; with that pattern a large GEMM may gain up to 2x. For a
# batch of 1 the weights' memory traffic dominates large networks, so few bits help there, and for a network as
# small as this one the cost of calls dominates everything.
# ### END SOLUTION

# %% [markdown]
# ## 4. An engine without a GPU
#
# Built for three generations of GPUs, if `tensorrt_rtx` is installed. Where there is a GPU as well, the engine is
# run and timed.

# %%
profile = optimization_profile((1, 1, 8, 8), (32, 1, 8, 8), (256, 1, 8, 8))
if importlib.util.find_spec("tensorrt_rtx") is None:
    print("tensorrt_rtx is not installed: no engine is built here")
else:
    for name in ("float32", "float16", "int8", "codebook", "4 bits", "2 bits"):
        start = time.perf_counter()
        try:
            engine = build_engine(files[name], ["8.6", "8.9", "12.0"], profile, 1 << 28)
        except RuntimeError as error:
            print(f"{name:>8}: {str(error)[:90]}")
            continue
        print(f"{name:>8}: {len(engine):>9,} bytes in {time.perf_counter() - start:.1f} s")
    print("refused:", unsupported_nodes(exported))


# %%
def engine_runner(engine, example):
    """A function that runs an engine on the GPU, on inputs that lie there already."""
    import tensorrt_rtx as trt

    runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
    context = runtime.deserialize_cuda_engine(engine).create_execution_context()
    inputs = torch.from_numpy(example).cuda()
    outputs = torch.empty(len(example), 10, device="cuda")
    context.set_input_shape("input", tuple(inputs.shape))
    context.set_tensor_address("input", inputs.data_ptr())
    context.set_tensor_address("output", outputs.data_ptr())
    stream = torch.cuda.Stream()

    def run(_):
        context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
        return outputs

    return run


if importlib.util.find_spec("tensorrt_rtx") is None:
    print("no engine is timed: tensorrt_rtx is not installed")
elif not torch.cuda.is_available():
    print("no engine is timed: torch sees no GPU here")
else:
    major, minor = torch.cuda.get_device_capability()
    target = f"{major}.{minor}"
    try:
        engines = {
            n: build_engine(files[n], [target], profile, 1 << 28) for n in ("float32", "float16")
        }
    except ValueError as error:
        print(error)  # a GPU that the builder does not know
    else:
        on_gpu = {f"TensorRT {name}": engine_runner(e, batch) for name, e in engines.items()}
        found = on_gpu["TensorRT float32"](None).cpu().numpy()
        print(compare_outputs(found, reference[: len(batch)], 1e-2, 1e-2))
        latency_plot(benchmark(on_gpu, batch, warmup=20, repeats=100, clock=time.perf_counter))

# %% [markdown]
# **Question 4 (4 points).** Which formats are refused, and what would you change in the file? Why has an engine
# more bytes than the network, and why does it not run on another generation of GPUs? What does the profile
# promise, and what happens to a batch of 300?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s6-q4", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# int2 is refused: store 4 bits, or a codebook of four entries. An engine holds the kernels that were chosen, compiled
# for each target, beside the weights; code for one generation is not code for another, and a target that was not
# named has none.
#
# The profile promises that batches from 1 to 256 run, and that the kernels were chosen for 32. A batch of 300 is
# refused when its shape is set: split it, or build with another maximum.
# ### END SOLUTION
