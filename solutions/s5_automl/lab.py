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
# # Lab sheet 5: automatic choice of architecture and hyperparameters
#
# This sheet puts your functions from `search_space.py`, `search.py`, `policies.py` and
# `factorization.py` to work. Finish (most of) them first: `autograder check s5` tells you where you
# stand.
#
# There are five questions with 20 points together. A teaching assistant reads your answers, so
# write sentences, quote the numbers that you refer to, and say how sure you are. Three to six
# sentences a question are enough. Everything runs in two or three minutes on a laptop's CPU.

# %%
# %matplotlib inline
import copy
import tempfile
import warnings
from pathlib import Path

import compression_study as compression
import matplotlib.pyplot as plt
import optuna
import torch
from factorization import low_rank_conv, rank_for_energy
from policies import (
    AccuracyPredictor,
    allocate_bits,
    hypervolume,
    recalibrate_batchnorm,
)
from search import evolutionary_search, random_search
from search_space import SearchSpace

from shared.data import TensorBatches, load_digits
from shared.evaluation import evaluate, pareto_front
from shared.models import ResNet
from shared.profiling import profile_layers
from shared.training import Recipe, train

torch.set_num_threads(1)
optuna.logging.set_verbosity(optuna.logging.WARNING)

# %% [markdown]
# ## 1. Sparsity and bits for each layer: a search space
#
# `compression_study.py` has a small trained network for the digits (four layers), prunes and quantises
# each layer by its own sparsity and bits, measures anew what batch norm needs, and counts right answers.
# One evaluation takes some hundredths of a second, so here searching is cheap.

# %%
LAYERS = len(compression.layers(compression.trained_network()))
space = SearchSpace(
    {
        "sparsity": [list(compression.SPARSITIES)] * LAYERS,
        "bits": [list(compression.BITS)] * LAYERS,
    }
)
history = []


def measured(arch):
    """Accuracies and size of one setting, as the searches want them."""
    found = compression.measure(list(zip(arch["sparsity"], arch["bits"])))
    entry = {
        "accuracy": found.accuracy,
        "test_accuracy": found.test_accuracy,
        "bytes": found.size,
    }
    history.append((arch, entry))
    return entry


LIMITS = {"bytes": compression.LIMIT}
BUDGET = 60
curves = {}
for name, search in (("random", random_search), ("evolution", evolutionary_search)):
    curves[name] = []
    for seed in range(2):
        start = len(history)
        search(space, measured, LIMITS, BUDGET, seed)
        best, line = 0.0, []
        for _, entry in history[start:]:
            if entry["bytes"] <= compression.LIMIT:
                best = max(best, entry["accuracy"])
            line.append(best)
        curves[name].append(line)

figure, axes = plt.subplots(figsize=(6, 3.5))
for color, (name, lines) in zip(("grey", "tab:blue"), curves.items()):
    for number, line in enumerate(lines):
        axes.plot(line, color=color, label=name if number == 0 else None)
axes.set(
    xlabel="evaluations",
    ylabel="best validation accuracy",
    title=f"at most {LIMITS['bytes']:,} bytes",
)
axes.legend()
axes.grid(alpha=0.3)

# %% [markdown]
# **Question 1 (4 points).** How many settings are there, and which share of those that random search tried
# was feasible? Compare the two methods at 20, 40 and 60 evaluations. How many more runs would you want
# before you say which is better, and why is one run each no answer?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s5-q1", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# (8 * 6)^4, about five million. Only a part of what random search draws keeps the limit (count it in
# `history`), so most of its budget is spent on settings that cannot win; evolution learns from the
# excess in which direction the limit lies and spends nearly everything on feasible ones. It is ahead from
# about 30 evaluations on, once the first population is complete.
#
# The best of 60 draws is a random number with a large spread: two runs of the same method differ about
# as much as the two methods. On the tabulated networks of the graders the regret of random search has a
# standard deviation of two thirds of its mean, so some twenty runs are needed to tell a factor of two.
# ### END SOLUTION

# %% [markdown]
# ## 2. Optuna: a study that survives
#
# The study is kept in an SQLite file. The cell opens it twice, as if the notebook had been killed after
# 30 trials: what was done is not lost.

# %%
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "study.db"
compression.run(compression.open_study(path), 30)
study = compression.open_study(path)
compression.run(study, 80)
chosen = compression.best_settings(study)
uniform, uniform_measured = compression.best_uniform()
per_layer = compression.measure(chosen)
print("per layer:", chosen, per_layer)
print("uniform:  ", uniform, uniform_measured)
assert per_layer.size <= compression.LIMIT

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Optuna calls its plots experimental
    optuna.visualization.matplotlib.plot_optimization_history(study)
    optuna.visualization.matplotlib.plot_param_importances(study)
    optuna.visualization.matplotlib.plot_slice(study, params=["layer 3 bits", "layer 3 sparsity"])

# %% [markdown]
# **Question 2 (4 points).** Does the choice for each layer beat the uniform one at equal size, on validation
# and on test images, and is the difference above the standard error of 360 images? Which layers get most bits,
# and do Optuna's importances agree? Why must the test accuracy not be what the study maximises?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s5-q2", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# The best uniform setting below 5,000 bytes is 3 bits with half of the weights pruned, at 93 % of the
# validation images. The study reaches 97 to 99 % with the same bytes: a difference of several points against a
# standard error of sqrt(0.95 * 0.05 / 360), about 1.1 points. On test images it is about as large.
#
# The first layer has 144 weights and costs next to nothing, so it keeps 5 to 8 bits; the large third layer
# carries nearly all bytes, and its settings decide the size. The importances put its sparsity first, because
# beyond 70 % the network breaks down.
#
# The best of 80 trials is too good by luck. If test images choose, they are validation images by another name,
# and nothing is left to tell how good the choice is on new ones.
# ### END SOLUTION

# %% [markdown]
# ## 3. Predict, allocate, compare fronts
#
# Everything that was measured so far trains a predictor. And the losses of one layer at a time go to
# `allocate_bits`.

# %%
codes = [space.encode(arch) for arch, _ in history]
accuracies = [entry["accuracy"] for _, entry in history]
half = len(codes) // 2
predictor = AccuracyPredictor()
predictor.fit(codes[:half], accuracies[:half])
predicted = predictor.predict(codes[half:])
figure, axes = plt.subplots(figsize=(4, 4))
axes.plot(accuracies[half:], predicted, ".")
axes.set(xlabel="validation accuracy", ylabel="predicted")
axes.grid(alpha=0.3)

# %%
names = [f"layer {number}" for number in range(1, LAYERS + 1)]
widths = [2, 3, 4, 5, 6, 8]
sizes = dict(
    zip(names, (m.weight.numel() for m in compression.layers(compression.trained_network())))
)
sensitivity = {}
for place, name in enumerate(names):
    sensitivity[name] = {}
    for width in widths:
        settings = [(0.0, 8)] * LAYERS
        settings[place] = (0.0, width)
        sensitivity[name][width] = 1 - compression.measure(settings).accuracy
allocated, same = [], []
for mean in (2.5, 3, 3.5, 4, 5):
    bits = allocate_bits(sensitivity, sizes, int(mean * sum(sizes.values())))
    found = compression.measure([(0.0, bits[name]) for name in names])
    allocated.append((found.size, found.accuracy))
for width in widths:
    found = compression.measure([(0.0, width)] * LAYERS)
    same.append((found.size, found.accuracy))
searched = [(entry["bytes"], entry["accuracy"]) for _, entry in history]
figure, axes = plt.subplots(figsize=(6, 3.5))
reference = (15_000, 0.0)
for label, points in (("search", searched), ("allocate_bits", allocated), ("same bits", same)):
    front = sorted(points[index] for index in pareto_front(points))
    area = hypervolume(points, reference) / reference[0]
    axes.plot(*zip(*front), "o-", markersize=3, label=f"{label}: hypervolume {area:.3f}")
axes.set(xlabel="bytes", ylabel="validation accuracy", ylim=(0.4, 1.01))
axes.legend(fontsize=8)
axes.grid(alpha=0.3)

# %% [markdown]
# **Question 3 (4 points).** Is the predictor good enough to sort out candidates before they are measured, and
# what would you check first? `allocate_bits` is exactly optimal, for which objective? Where does that objective
# differ from the accuracy of the whole network, and does the plot show it?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s5-q3", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# The order is mostly right (the cloud rises), which is what counts: of 100 candidates one would measure the ten
# best predicted. First I would check Kendall's tau on settings that are like those it will be asked about: it was
# trained on random ones and on evolution's, which crowd around one place.
#
# `allocate_bits` minimises the sum of the losses that each layer causes alone, with all others at 8 bits. Errors of
# several layers need not add up: at 2.5 bits many layers are coarse at once and the loss is larger than the sum. There
# its points fall below the search's front; from 4 bits on all are at the ceiling and nobody can tell.
# ### END SOLUTION

# %% [markdown]
# ## 4. Factorise ResNet-18
#
# ResNet-18 is trained for a moment on the digits. Then every 3x3 convolution becomes a low-rank one, with a rank that
# holds a share of the energy, and batch norm is measured anew.

# %%
data = load_digits()
torch.manual_seed(0)
network = ResNet((2, 2, 2, 2), (64, 128, 256, 512), channels=1)  # ResNet-18 for one channel
train(network, TensorBatches(data, data.train, 64, seed=0), None, Recipe(2, lr=0.02))
validation = TensorBatches(data, data.validation, 360)
calibration = [x for x, _ in TensorBatches(data, data.train.take(torch.arange(384)), 128)]


def macs(model):
    """Multiply-accumulates for one image."""
    return sum(layer.macs for layer in profile_layers(model, (1, 1, 8, 8)))


def factorised(model, energy):
    """A copy whose 3x3 convolutions with enough channels have the rank that holds `energy`."""
    small = copy.deepcopy(model)
    for name, layer in list(small.named_modules()):
        if isinstance(layer, torch.nn.Conv2d) and min(layer.weight.shape[:2]) >= 64:
            ranks = [
                rank_for_energy(
                    torch.linalg.svdvals(layer.weight.detach().transpose(0, side).flatten(1)),
                    energy,
                )
                for side in (0, 1)
            ]
            replacement = low_rank_conv(layer, max(ranks))
            if sum(p.numel() for p in replacement.parameters()) < layer.weight.numel():
                parent, _, child = name.rpartition(".")
                setattr(small.get_submodule(parent), child, replacement)
    return small


rows = []
for energy in (1.0, 0.95, 0.8, 0.6, 0.4, 0.2, 0.1):
    small = factorised(network, energy) if energy < 1 else copy.deepcopy(network)
    before = evaluate(small, validation)[1]
    recalibrate_batchnorm(small, calibration)
    rows.append((energy, macs(small), before, evaluate(small, validation)[1]))
    print(
        f"energy {energy:4.0%}: {rows[-1][1]:12,} MACs, {before:.1%}, batch norm anew {rows[-1][3]:.1%}"
    )

figure, axes = plt.subplots(figsize=(6, 3.5))
axes.plot([r[1] / 1e6 for r in rows], [r[2] for r in rows], "o--", label="factorised")
axes.plot(
    [r[1] / 1e6 for r in rows], [r[3] for r in rows], "o-", label="and batch norm measured anew"
)
for energy, cost, _, accuracy in rows:
    axes.annotate(f"{energy:.0%}", (cost / 1e6, accuracy), fontsize=7)
axes.set(xlabel="MACs (millions)", ylabel="validation accuracy")
axes.legend(fontsize=8)
axes.grid(alpha=0.3)

# %% [markdown]
# **Question 4 (4 points).** How much can be saved before the accuracy falls, and what does measuring batch norm anew
# change? Why may a factorised layer need *more* MACs than the original, and what does the code do then?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s5-q4", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# Read the numbers off the table: a network that was trained briefly still has nearly random, that is full-rank, kernels,
# so the energy falls slowly and savings come only when a good part of it is given up. The accuracy survives that for a
# while, because what was learnt is in the largest singular vectors, and falls steeply in the end. Statistics that fit the
# factorised network bring back a good part of what is lost, for the price of three forward batches.
#
# Tucker-2 with rank r has r (n + m + 9 r) weights, which for r near n = m is 11/9 of the original. The code keeps the
# original layer when nothing is saved, so at high energies nothing happens at all. Training on after factorising, with
# the energy of a network that was trained to the end, is where the large savings of the papers come from.
# ### END SOLUTION

# %% [markdown]
# ## 5. What was it worth?
#
# **Question 5 (4 points).** You have a network that takes an hour to train, and eight hours. Which method of this session
# would you use for what, and what would you do by hand? What would make you distrust the result?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s5-q5", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# Eight full trainings are nothing for a search. So: choose widths and learning rate by successive halving on short
# trainings (27 configurations, a few minutes each, the last three for the whole hour), if a small test shows that early
# ranks predict late ones. Sparsity and bits are searched after training, where an evaluation costs seconds: hundreds of
# Optuna trials. Bits alone are a case for `allocate_bits`. By hand: the search space, from what is known to matter, and the
# limits.
#
# I would distrust a winner that is ahead by less than the spread of its own seeds, one that was chosen on test images, a
# search that is not compared with random search at the same budget, and costs that were estimated, not measured.
# ### END SOLUTION

# %%
folder.cleanup()
