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
# # Lab sheet 1: measure before you compress
#
# This sheet puts your functions from `metrics.py`, `evaluation.py` and `training.py` to work on
# real images. Finish (most of) them first: `autograder check s1` tells you where you stand.
#
# There are six questions with 20 points together. A teaching assistant reads your answers, so
# write sentences, quote the numbers that you refer to, and say how sure you are. Three to six
# sentences a question are enough. Everything runs in well under a minute on a laptop's CPU.

# %%
# %matplotlib inline
import copy
import math

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from evaluation import compression_report, evaluate, measure_latency, topk_accuracy
from metrics import (
    bit_operations,
    count_parameters,
    model_bytes,
    peak_activation_bytes,
    profile_layers,
    sparsity,
)
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from training import cutmix, fit, mixup, split

from shared.data import load_cifar10, load_digits, load_mnist
from shared.models import DigitsCNN
from shared.plots import plot_history, plot_layer_costs, plot_pareto

torch.set_num_threads(1)  # comparable timings

# %% [markdown]
# ## 0. Data
#
# The digits are 8 x 8 images that come with scikit-learn. If the environment variable
# `COURSE_DATA` names a folder with MNIST or CIFAR-10, you may choose one of those instead; the
# sheet then takes 4,000 of their training images and runs for a few minutes.

# %%
DATASET = "digits"  # "digits", "mnist" or "cifar10"
EPOCHS = 8

data = {"digits": load_digits, "mnist": load_mnist, "cifar10": load_cifar10}[DATASET]().normalised()
images = torch.cat([data.train.images, data.validation.images])[:4000]
labels = torch.cat([data.train.labels, data.validation.labels])[:4000]
train, validation = split(len(images), 0.25, seed=0)
input_shape = (1, *images.shape[1:])


def train_loader(seed):
    """Shuffled training batches, in an order that `seed` decides."""
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(TensorDataset(images[train], labels[train]), 64, True, generator=generator)


val_loader = DataLoader(TensorDataset(images[validation], labels[validation]), 256)
print(f"{len(train)} training and {len(validation)} validation images of {input_shape[1:]}")

# %% [markdown]
# The test images stay where they are until question 3: whatever you look at while you choose
# between networks becomes part of the training.

# %% [markdown]
# ## 1. What does a network cost?

# %%
model = DigitsCNN(width=16, channels=input_shape[1])
plot_layer_costs(profile_layers(model, input_shape))

# %% [markdown]
# The same network with twice the width, and with images of twice the height and width:

# %%
print("width  image   parameters   kB at 32 bit        MACs   GBOPs at 8 bit   peak kB")
for width, scale in ((16, 1), (32, 1), (16, 2)):
    variant = DigitsCNN(width, channels=input_shape[1])
    shape = (*input_shape[:2], scale * input_shape[2], scale * input_shape[3])
    macs = sum(row.macs for row in profile_layers(variant, shape))
    print(
        f"{width:5}  {shape[2]:2} x {shape[3]:2} {count_parameters(variant):11,}"
        f" {model_bytes(variant) / 1000:14.1f} {macs:11,} {bit_operations(macs, 8, 8) / 1e9:16.3f}"
        f" {peak_activation_bytes(variant, shape) / 1000:9.1f}"
    )

# %% [markdown]
# **Question 1 (3 points).** Explain by which factor parameters, MACs and peak memory grow when
# the width doubles, and when the image does. Why is no factor exactly the one that a formula with
# squares suggests? Which layer would you compress first to make the file smaller, and which to
# make the network faster?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s1-q1", "locked": false, "points": 3, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# Width: parameters and MACs grow by a little less than 4, because a convolution has
# (inputs x outputs) weights and both double; the first layer (its input channels are fixed), the
# norms and the biases only double. The peak doubles: activations are linear in the width.
#
# Image: parameters do not change at all, since kernels are shared by all positions. MACs grow by
# 4 in every convolution, but the linear layer behind the global pooling stays, so the total is a
# little below 4. The peak grows by 4, with the area.
#
# For a small file: the last convolution, which holds most of the parameters. For speed: the
# second convolution, which has most of the MACs, because it works at full resolution; the last
# one has twice its parameters, and half its MACs behind the pooling.
# ### END SOLUTION

# %% [markdown]
# ## 2. Memory while running

# %%
rows = profile_layers(model, input_shape)
sizes = [4 * math.prod(row.out_shape) / 1000 for row in rows]
peak = peak_activation_bytes(model, input_shape) / 1000

figure, axes = plt.subplots(figsize=(8, 3))
axes.bar([f"{row.name}\n{row.kind}" for row in rows], sizes)
axes.axhline(peak, color="tab:red", linestyle="--", label="peak activation memory")
axes.axhline(model_bytes(model) / 1000, color="tab:grey", linestyle=":", label="all parameters")
axes.set_ylabel("output of the layer (kB)")
axes.legend()
axes.tick_params(axis="x", labelsize=6, rotation=45)

# %% [markdown]
# **Question 2 (4 points).** A microcontroller has too little memory for this network. Write
# `slim`, a network for the same input and 10 classes with the same three widths (16, 32, 32) of
# its 3x3 convolutions, but with *less than half* the peak activation memory of `model`. Say in a
# comment what you changed, why it helps, and what you expect it to cost in accuracy.

# %% nbgrader={"grade": true, "grade_id": "s1-q2", "locked": false, "points": 4, "schema_version": 3, "solution": true}
slim = nn.Sequential()
### BEGIN SOLUTION
# The peak is where the widest activations are at full resolution: batch norm and ReLU of the
# second convolution read one tensor of 32 channels and write another. With stride 2 in the first
# convolution everything behind it has a quarter of the pixels; ReLU in place saves one of two
# tensors. The first layers see coarser images, so I expect to lose about a point of accuracy.
slim = nn.Sequential(
    nn.Conv2d(input_shape[1], 16, 3, stride=2, padding=1, bias=False),
    nn.BatchNorm2d(16),
    nn.ReLU(inplace=True),
    nn.Conv2d(16, 32, 3, padding=1, bias=False),
    nn.BatchNorm2d(32),
    nn.ReLU(inplace=True),
    nn.Conv2d(32, 32, 3, padding=1, bias=False),
    nn.BatchNorm2d(32),
    nn.ReLU(inplace=True),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(32, 10),
)
### END SOLUTION
print(f"{peak_activation_bytes(slim, input_shape) / 1000:.1f} kB instead of {peak:.1f} kB")

# %% [markdown]
# ## 3. Baselines
#
# Three widths, three seeds each. A seed decides the initial weights and the order of the batches.

# %%
WIDTHS, SEEDS = (4, 8, 16), (0, 1, 2)
networks, histories = {}, {}


def train_width(width):
    """Train one network a seed, and keep networks and histories."""
    for seed in SEEDS:
        torch.manual_seed(seed)
        network = DigitsCNN(width, channels=input_shape[1])
        histories[width, seed] = fit(network, train_loader(seed), val_loader, EPOCHS)
        networks[width, seed] = network
    accuracies = [f"{histories[width, seed].val_accuracy[-1]:.1%}" for seed in SEEDS]
    print(f"width {width:2}: validation accuracy {', '.join(accuracies)}")


train_width(4)
train_width(8)

# %%
train_width(16)
plot_history(histories[16, 0])

# %%
points = {
    f"width {width}, seed {seed}": (
        count_parameters(networks[width, seed]),
        histories[width, seed].val_accuracy[-1],
    )
    for width, seed in networks
}
plot_pareto(points, cost_label="parameters", log_cost=True)

# %% [markdown]
# An accuracy is a share of $n$ images, and has a standard error of about
# $\sqrt{p\,(1 - p) / n}$.

# %%
for width in WIDTHS:
    mean = sum(histories[width, seed].val_accuracy[-1] for seed in SEEDS) / len(SEEDS)
    error = math.sqrt(mean * (1 - mean) / len(validation))
    print(f"width {width:2}: {mean:.2%} on average, +- {error:.2%} from the number of images alone")

# %% [markdown]
# **Question 3 (4 points).** Which of the three widths can you tell apart, given the scatter over
# seeds and the standard error? Which would you take as the baseline for compression, and why?
# The validation images chose it: what does that mean for its validation accuracy, and on which
# images do you measure the number that goes into a report?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s1-q3", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# The narrowest network is clearly the worst: with every seed it is several standard errors below
# the others. Widths 8 and 16 differ by one or two standard errors (0.6 to 0.8 points on 359
# images), and the best seed of width 8 reaches the worst of width 16, so a single run of each
# proves nothing. The scatter over seeds measures the training, the standard error the choice of
# images; a difference has to beat both.
#
# I take width 16: it is the best on average, and compression will remove what it does not need.
# A baseline that is already starved makes every method look bad, and a badly trained one makes
# every method look good. Where the cost counts most, width 8 is the fairer competitor.
#
# The best of nine runs is best partly by luck, so its validation accuracy is too optimistic. The
# number for the report comes from the test images, used once, after all choices are made.
# ### END SOLUTION

# %%
test_loader = DataLoader(TensorDataset(data.test.images, data.test.labels), 256)
baseline = networks[16, 0]
_, test_accuracy = evaluate(baseline, test_loader)
with torch.no_grad():
    logits = torch.cat([baseline.eval()(batch) for batch, _ in test_loader])
top2 = topk_accuracy(logits, data.test.labels, k=2)
print(f"width 16, seed 0, on the test images: {test_accuracy:.1%}, and {top2:.1%} within the top 2")

# %% [markdown]
# ## 4. Time
#
# The time of one forward pass, for single images and for batches, against the MACs.

# %%
figure, axes = plt.subplots(figsize=(6, 3.5))
for batch in (1, 64):
    times, macs = [], []
    for width in (4, 8, 16, 32):
        network = DigitsCNN(width, channels=input_shape[1]).eval()
        x = torch.zeros(batch, *input_shape[1:])
        with torch.no_grad():
            latency = measure_latency(lambda network=network, x=x: network(x), repeats=40)
        macs.append(sum(row.macs for row in profile_layers(network, input_shape)))
        times.append(1e6 * latency.median / batch)
        print(
            f"batch {batch:2}, width {width:2}: {macs[-1]:9,} MACs,"
            f" median {1e3 * latency.median:7.3f} ms, 90 % within {1e3 * latency.p90:7.3f} ms"
        )
    axes.loglog(macs, times, "o-", label=f"batch of {batch}")
axes.set(xlabel="MACs of one image", ylabel="time per image (µs)")
axes.legend()
axes.grid(alpha=0.3)

# %% [markdown]
# **Question 4 (3 points).** By how much do the MACs grow from width 4 to width 32, and by how much
# does the time, with a batch of 1 and of 64? Where does the difference come from? What would
# change in your numbers if you took the mean of the repeats, or left out the warm-up?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s1-q4", "locked": false, "points": 3, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# The MACs grow by a factor of 60. The time of a single image does not even double or triple: a
# dozen operators are launched one after the other, and for 8 x 8 images that costs more than the
# arithmetic. In a batch of 64 the launches are shared, so the time per image is much shorter and
# grows about tenfold, still far from 60: wide layers use the vector units and caches better than
# narrow ones, and pooling, norms and ReLU cost memory traffic but no MACs. So halving the MACs of
# a small network may not save any time at all; it has to be measured.
#
# The mean follows the few repeats that the operating system interrupted (compare the 90 % value
# with the median). Without a warm-up the first calls count, which allocate memory and choose
# kernels, and can take many times longer.
# ### END SOLUTION

# %% [markdown]
# ## 5. Mixed images

# %%
pair = torch.tensor([0, next(i for i in range(len(labels)) if labels[i] != labels[0])])
two, targets = images[pair], F.one_hot(labels[pair], 10).float()
swap = torch.tensor([1, 0])
height, width = images.shape[2:]
middle, corner = (height // 2, width // 2), (height // 8, width // 8)

shown = {
    "image i": (two, targets),
    "image j": (two[swap], targets[swap]),
    "mixup": mixup(two, targets, 0.7, swap),
    "CutMix, middle": cutmix(two, targets, 0.7, swap, middle),
    "CutMix, corner": cutmix(two, targets, 0.7, swap, corner),
}
figure, grid = plt.subplots(1, len(shown), figsize=(10, 2.4))
for axes, (title, (mixed, soft)) in zip(grid, shown.items()):
    axes.imshow(mixed[0].mean(dim=0), cmap="gray")
    axes.set_title(f"{title}\n{soft[0, labels[0]]:.2f} of class {labels[0]}", fontsize=9)
    axes.axis("off")

# %%
generator = torch.Generator().manual_seed(0)
lams = torch.linspace(0, 1, 41).tolist()
kept = []
for lam in lams:
    rows = torch.randint(height, (60,), generator=generator).tolist()
    columns = torch.randint(width, (60,), generator=generator).tolist()
    shares = [
        float(cutmix(two, targets, lam, swap, center)[1][0, labels[0]])
        for center in zip(rows, columns)
    ]
    kept.append(sum(shares) / len(shares))

figure, axes = plt.subplots(figsize=(5, 3.5))
axes.plot(lams, kept, label="λ′, mean over 60 random centres")
axes.plot([0, 1], [0, 1], "k:", label="λ′ = λ")
axes.set(xlabel="λ that was drawn", ylabel="share of the image that was kept")
axes.legend()
axes.grid(alpha=0.3)

# %% [markdown]
# **Question 5 (3 points).** Why does the curve lie above the diagonal, even in the middle of the
# range, and why are there steps in it? What would a network learn if the targets used λ instead
# of λ′? And what if the labels were permuted by another permutation than the images?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s1-q5", "locked": false, "points": 3, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# A box whose centre is near the border is clipped, so less is replaced than 1 - λ; that holds for
# most centres once the box is large. Rounding half the side down makes the box smaller as well,
# and gives the steps, which are coarse because the digits have only 8 pixels a side. Even at
# λ = 0 a box as large as the image covers only about half of it on average.
#
# With λ the target would claim more of class j than can be seen. The network would learn
# to give probability to classes without evidence: it becomes underconfident, in a way that depends
# on the size of the images.
#
# With two permutations the second part of the target has nothing to do with the image: label
# noise, which teaches only that every class is equally likely there, and hurts accuracy.
# ### END SOLUTION

# %% [markdown]
# ## 6. A first compression
#
# Set the smallest weights of every convolution and linear layer to zero, without any training
# afterwards, and measure.

# %%
pruned_points, reports = {}, {}
loss, accuracy = evaluate(baseline, val_loader)
macs = sum(row.macs for row in profile_layers(baseline, input_shape))
measured = {
    "accuracy": accuracy,
    "params": count_parameters(baseline),
    "bytes": model_bytes(baseline),
    "macs": macs,
}
for share in (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
    pruned = copy.deepcopy(baseline)
    with torch.no_grad():
        for weight in pruned.parameters():
            if weight.dim() >= 2:
                smallest = weight.abs().flatten().argsort()[: round(share * weight.numel())]
                weight.view(-1)[smallest] = 0.0
    nonzero = count_parameters(pruned, nonzero_only=True)
    accuracy = evaluate(pruned, val_loader)[1]
    pruned_points[f"{sparsity(pruned):.0%} zeros"] = (nonzero, accuracy)
    reports[share] = compression_report(
        measured,
        {"accuracy": accuracy, "params": nonzero, "bytes": model_bytes(pruned), "macs": macs},
    )

for share in (0.5, 0.9):
    print(f"{share:.0%} pruned:", {name: round(value, 3) for name, value in reports[share].items()})
plot_pareto(pruned_points, cost_label="nonzero parameters")

# %% [markdown]
# **Question 6 (3 points).** Up to which sparsity is pruning almost free here? The reports say that
# there are fewer parameters, but just as many bytes and MACs: why, and what has to happen before a
# user of the network notices the zeros? Name one number in this report that you would not want to
# see quoted alone.

# %% [markdown] nbgrader={"grade": true, "grade_id": "s1-q6", "locked": false, "points": 3, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# Up to about 40 % zeros the accuracy stays within two standard errors of the baseline's. From
# 50 % on it collapses, and the points beyond are in no sensible order. Training after pruning
# moves that point far to the left (session 2).
#
# A zero in a dense float32 tensor takes 32 bits like any other number, and a dense convolution
# multiplies by it. Bytes shrink only with a format that stores the positions of the nonzeros
# cheaply or an entropy code (session 3). Time shrinks only if whole channels go, or if the
# hardware and its kernels skip zeros, for example in a 2:4 pattern.
#
# `params_ratio` alone would be misleading: "ten times fewer parameters" is true at 90 %, but the
# file is as large, the network as slow, and the accuracy is gone.
# ### END SOLUTION
