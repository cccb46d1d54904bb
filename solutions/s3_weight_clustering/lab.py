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
# # Lab sheet 3: weight clustering and coding
#
# This sheet puts your functions from `clustering.py`, `coding.py` and `deep_compression.py` to work
# on a trained network. Finish (most of) them first: `autograder check s3` tells you where you stand.
#
# There are five questions with 20 points together. A teaching assistant reads your answers, so
# write sentences, quote the numbers that you refer to, and say how sure you are. Three to six
# sentences a question are enough. Everything runs in about a minute on a laptop's CPU.

# %%
# %matplotlib inline
import copy
import itertools
from collections import Counter

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from clustering import (
    cluster_nonzero,
    codebook_step,
    compression_ratio,
    decode_clusters,
    init_centroids,
    kmeans_1d,
)
from coding import entropy, huffman_code, huffman_encode, relative_index_encode
from deep_compression import compress, decompress, stage_report

from shared.data import DataMissing, TensorBatches, load_digits, load_mnist
from shared.evaluation import evaluate
from shared.models import MLP
from shared.plots import plot_accuracy_against_bytes
from shared.training import Recipe, train

torch.set_num_threads(1)

# %% [markdown]
# ## 0. A pruned network
#
# MNIST, if the environment variable `COURSE_DATA` names a folder that has it (the first 12,000
# training images are enough here), otherwise scikit-learn's 8 x 8 digits. The network is
# LeNet-300-100, with as many inputs as there are pixels.

# %%
try:
    data = load_mnist()
    training, epochs = data.train.take(torch.arange(12_000)), 8
except DataMissing:
    data = load_digits()
    training, epochs = data.train, 30
pixels = data.train.images[0].numel()
batches = TensorBatches(data, training, 64, seed=0)
validation = TensorBatches(data, data.validation, 1000)
print(f"{data.name}: {len(training):,} training and {len(data.validation):,} validation images")


def accuracy(network, state=None):
    """Validation accuracy in 0..1, with another state if one is given."""
    network = copy.deepcopy(network)
    if state is not None:
        network.load_state_dict(state)
    return evaluate(network, validation)[1]


torch.manual_seed(0)
dense = MLP((pixels, 300, 100, 10))
train(dense, batches, None, Recipe(epochs, lr=0.05))
print(f"dense: validation accuracy {accuracy(dense):.2%}")

# %% [markdown]
# Nine of ten weights go, those of smallest magnitude in each layer (half of them in the last one),
# and the others are trained on.

# %%
SPARSITY = {"layers.0": 0.92, "layers.1": 0.9, "layers.2": 0.5}
pruned = copy.deepcopy(dense)
weights = {name: pruned.get_submodule(name).weight for name in SPARSITY}
masks = {
    name: weight.abs() > weight.abs().flatten().quantile(SPARSITY[name])
    for name, weight in weights.items()
}


def apply_masks():
    """Set pruned weights back to 0."""
    with torch.no_grad():
        for name, weight in weights.items():
            weight.mul_(masks[name])


apply_masks()
at_once = accuracy(pruned)
train(pruned, batches, None, Recipe(epochs, lr=0.05), after_step=apply_masks)
print(f"pruned: {at_once:.2%} at once, {accuracy(pruned):.2%} after training on")

# %% [markdown]
# ## 1. Where do centroids go?
#
# The nonzero weights of the first layer, and 16 centroids before and after k-means.

# %%
first = weights["layers.0"].detach()
nonzero = first[first != 0]
figure, grid = plt.subplots(3, 1, figsize=(8, 6), sharex=True)
for axes, method in zip(grid, ("linear", "density", "forgy")):
    start = init_centroids(nonzero, 16, method)
    centroids, labels = kmeans_1d(nonzero, 16, method)
    error = float(((centroids[labels] - nonzero) ** 2).mean() ** 0.5)
    sizes = torch.bincount(labels, minlength=len(centroids))
    axes.hist(nonzero.numpy(), bins=120, color="lightgrey")
    top = axes.get_ylim()[1]
    axes.plot(start, torch.full_like(start, 0.9 * top), "v", color="tab:orange", label="start")
    axes.plot(centroids, torch.full_like(centroids, 0.6 * top), "o", label="after k-means")
    axes.set_title(
        f"{method}: root mean square error {error:.4f}, clusters of {sizes.min()} to {sizes.max()}",
        fontsize=9,
    )
    axes.legend(fontsize=8)
figure.tight_layout()

# %% [markdown]
# **Question 1 (4 points).** Describe the histogram and explain its hole in the middle. How do the
# three starts differ, and what is left of the difference after k-means? Which one has the smallest
# error, and why does the paper prefer the one that it does?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s3-q1", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# Two humps, one for each sign, with long thin tails: magnitude pruning has cut out everything
# around zero, and training on has blurred the edges of the hole a little.
#
# Density and forgy put their centroids into the humps, where most weights are, and hardly any into
# the tails; linear spaces them evenly, so some of its clusters hold a handful of weights and one
# in the hole may be empty at first. Lloyd's algorithm moves centroids only a little at a time, so
# the difference shrinks but stays: it ends in different local minima.
#
# The errors after k-means are close to each other, and which is smallest depends on the tails. A
# mean over all weights is the wrong judge, however: the few large weights move the outputs most,
# and linear is the start that represents them well. That is the paper's reason, and its
# experiment (figure 6) agrees.
# ### END SOLUTION

# %% [markdown]
# ## 2. How many bits?


# %%
def share(network, bits, method=None):
    """A copy with all three layers clustered; `method` is the start of plain k-means."""
    shared = copy.deepcopy(network)
    with torch.no_grad():
        for name in SPARSITY:
            weight = shared.get_submodule(name).weight
            kept = weight != 0
            if method is None:
                weight.copy_(decode_clusters(*cluster_nonzero(weight, kept, bits), weight.shape))
            else:
                centroids, labels = kmeans_1d(weight[kept], 2**bits, method)
                weight[kept] = centroids[labels]
    return shared


BITS = (1, 2, 3, 4, 5, 6)
curves = {
    method: [accuracy(share(pruned, bits, method)) for bits in BITS]
    for method in ("linear", "density", "forgy")
}

# %% [markdown]
# **Question 2 (5 points).** Write `fine_tune(network, bits, steps, lr)`: it clusters the three layers
# of a copy of `network` with `cluster_nonzero`, then trains the codebooks for `steps` batches with
# `codebook_step`, labels fixed, and returns the copy. Pruned weights must stay exactly 0 (the cell
# checks it). Biases are left alone. Say in a comment why the learning rate has to be so small.


# %% nbgrader={"grade": true, "grade_id": "s3-q2", "locked": false, "points": 5, "schema_version": 3, "solution": true}
def fine_tune(network, bits, steps=60, lr=2e-4):
    """A shared copy of `network` whose codebooks were trained; biases are as they were."""
    ### BEGIN SOLUTION
    # The gradient of a centroid is a sum over all of its weights, hundreds or thousands of them:
    # a step that is right for a single weight would be far too long for it.
    tuned = copy.deepcopy(network)
    layers = {name: tuned.get_submodule(name).weight for name in SPARSITY}
    shared = {name: cluster_nonzero(w.detach(), w != 0, bits) for name, w in layers.items()}
    endless = itertools.chain.from_iterable(itertools.repeat(batches))
    for images, targets in itertools.islice(endless, steps):
        with torch.no_grad():
            for name, weight in layers.items():
                weight.copy_(decode_clusters(*shared[name], weight.shape))
        tuned.zero_grad()
        F.cross_entropy(tuned(images), targets).backward()
        for name, weight in layers.items():
            centroids, labels = shared[name]
            gradient = weight.grad * (labels != 0)  # label 0 is that of the pruned weights
            shared[name] = codebook_step(centroids, labels, gradient, lr), labels
    with torch.no_grad():
        for name, weight in layers.items():
            weight.copy_(decode_clusters(*shared[name], weight.shape))
    return tuned
    ### END SOLUTION


tuned = {bits: fine_tune(pruned, bits) for bits in BITS}
for bits, network in tuned.items():
    for name, weight in weights.items():
        values = network.get_submodule(name).weight
        assert bool((values[weight == 0] == 0).all()), "pruned weights must stay 0"
        assert len(values.unique()) <= 2**bits + 1, "labels must stay as they are"

figure, axes = plt.subplots(figsize=(6, 3.5))
for method, line in curves.items():
    axes.plot(BITS, [100 * share for share in line], ".--", label=f"k-means, {method}")
axes.plot(BITS, [100 * accuracy(tuned[bits]) for bits in BITS], "o-", label="fine-tuned")
axes.axhline(100 * accuracy(pruned), color="grey", linestyle=":", label="pruned, not shared")
axes.set(xlabel="bits of a label", ylabel="validation accuracy (%)")
axes.legend(fontsize=8)
axes.grid(alpha=0.3)

# %%
for name, weight in weights.items():
    n = int(weight.count_nonzero())
    ratios = {bits: round(compression_ratio(n, 2**bits), 1) for bits in (3, 4, 5, 8)}
    print(f"{name}: {n:6,} nonzeros, ratio of sharing alone by bits: {ratios}")

# %% [markdown]
# **Question 3 (4 points).** From how many bits on is sharing free, without and with fine-tuning?
# Compare with the standard error of these accuracies. Why is the ratio of the last layer so much
# below 32 / bits, and what would you do about it?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s3-q3", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# From 3 or 4 bits on, the accuracy is that of the pruned network within a standard error
# (sqrt(p (1 - p) / n), about 0.2 points for 6,000 MNIST images and a full point for 360 digits),
# so the curves beyond cannot be told apart. With 1 bit the start matters a lot, and
# fine-tuning recovers most of what is lost: two values a layer, one for each sign, are almost a
# binary network.
#
# The last layer has only some hundred nonzeros, so its codebook of 2^bits floats costs as much as
# its labels or more. Give it fewer bits, or share one codebook between layers, or store centroids
# in 16 bits. With 8 bits its ratio is 1.3: sharing hardly pays at all.
# ### END SOLUTION

# %% [markdown]
# ## 3. Positions and Huffman's code
#
# The first layer's relative indices for several widths: bits for each nonzero with numbers of fixed
# width, and with Huffman's code (without its table).

# %%
mask = first != 0
print("width   entries   fillers   fixed bits   Huffman bits   entropy     (bits a nonzero)")
for width in range(2, 10):
    gaps = relative_index_encode(mask, width).tolist()
    counts = Counter(gaps)
    code = huffman_code(counts)
    coded = sum(counts[gap] * len(code[gap]) for gap in counts)
    n = int(mask.sum())
    print(
        f"{width:5} {len(gaps):9,} {len(gaps) - n:9,} {width * len(gaps) / n:12.2f}"
        f" {coded / n:14.2f} {entropy(counts) * len(gaps) / n:9.2f}"
    )
density = n / mask.numel()
ideal = entropy({"kept": n, "pruned": mask.numel() - n}) / density
print(f"one bit an element: {1 / density:.2f}; if every element were kept by chance: {ideal:.2f}")

centroids, labels = cluster_nonzero(first, mask, 5)
symbols = labels[mask].tolist()
print(
    f"labels: 5 bits fixed, {entropy(Counter(symbols)):.2f} bits of entropy,"
    f" {8 * len(huffman_encode(symbols)) / n:.2f} in a file with its table"
)

# %% [markdown]
# **Question 4 (3 points).** Why is there a best width with fixed numbers, and why do wider numbers
# cost Huffman's code nothing? The code needs fewer bits than "kept by chance" allows: how is that
# possible?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s3-q4", "locked": false, "points": 3, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# Narrow numbers need many fillers, wide ones spend bits on gaps that never occur; the best width
# is a little above log2 of the mean gap. Huffman's code gives frequent gaps short words whatever
# the width, and gaps that do not occur get no word, so a wide number only means fewer fillers.
# What it does cost is a longer table, which this count leaves out.
#
# The bound holds for independent elements of equal probability. Here they are not: pixels at the
# border carry nothing, so their columns are empty, and kept weights sit close together in the
# middle of the image. Short gaps are more frequent than by chance, and so are very long ones; the
# gaps' code sees that, a code for single elements would not.
# ### END SOLUTION

# %% [markdown]
# ## 4. The whole file

# %%
state = tuned[5].state_dict()
report = stage_report(state, 0.0, 5)
figure, axes = plt.subplots(figsize=(6, 3))
bars = axes.bar(list(report), [size / 1000 for size in report.values()])
axes.bar_label(
    bars, [f"{size / 1000:.1f} kB\n{report['dense'] / size:.1f}x" for size in report.values()]
)
axes.set(ylabel="kB", yscale="log")
axes.margins(y=0.3)

# %%
points = {}
for bits in (2, 3, 5):
    points[f"{bits} bits"] = []
    for sparsity in (0.0, 0.93, 0.95, 0.97):
        packed = compress(tuned[bits].state_dict(), sparsity, bits)
        points[f"{bits} bits"].append((len(packed), accuracy(pruned, decompress(packed))))
points["pruned and shared, not trained on"] = [
    (len(packed), accuracy(pruned, decompress(packed)))
    for sparsity in (0.5, 0.7, 0.8, 0.9)
    for packed in [compress(dense.state_dict(), sparsity, 5)]
]
plot_accuracy_against_bytes(points, baseline=(report["dense"], accuracy(dense)))

# %% [markdown]
# **Question 5 (4 points).** Which stage saves most, and which least? What in this file is neither
# position nor label, and how large a part of it (estimate)? Which point of the last plot would you hand
# in, and what do you have to do before you may write "no loss of accuracy" beside it?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s3-q5", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# Pruning saves most (about tenfold), sharing another factor of three, Huffman's code some 20 to
# 30 %: labels and gaps are uneven, but not very.
#
# The 410 biases are kept as floats, 1.6 kB; three codebooks of 32 floats take 0.4 kB; code tables,
# names and shapes some hundred bytes. That is about a tenth of the MNIST file, but about a third
# of the smaller one for the digits, and it grows in importance as the rest shrinks: next I
# would store the biases in 16 bits.
#
# I would take the smallest file whose accuracy is within a standard error of the dense network's,
# here one with 3 bits. The validation images chose it among many, so it is too good by luck. For
# the claim I measure the file, read back, on the test images, once, beside the dense network on
# the same images, with more than one seed, because the difference is smaller than the scatter.
# ### END SOLUTION
