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
# # Lab sheet 2: fewer bits, fewer weights
#
# This sheet puts your functions from `quantization.py` and `pruning.py` to work on one trained
# network. Finish (most of) them first: `autograder check s2` tells you where you stand.
#
# There are six questions with 20 points together. A teaching assistant reads your answers, so
# write sentences, quote the numbers that you refer to, and say how sure you are. Three to six
# sentences a question are enough. Everything runs in about a minute on one core of a laptop.

# %%
# %matplotlib inline
import copy
import math

import matplotlib.pyplot as plt
import torch
from pruning import (
    apply_masks,
    channel_importance,
    compare_large_sparse_small_dense,
    cubic_sparsity,
    global_masks,
    gradual_prune,
    nm_mask,
    prune_channels,
    sensitivity_scan,
)
from quantization import (
    MinMaxObserver,
    MovingAverageObserver,
    MSEObserver,
    PercentileObserver,
    affine_params,
    dequantize,
    fake_quantize,
    fold_batchnorm,
    per_channel_params,
    quantize,
    quantize_model,
    sqnr_db,
)
from torch import nn

from shared.data import TensorBatches, load_cifar10, load_digits, load_mnist
from shared.evaluation import evaluate
from shared.models import DigitsCNN
from shared.plots import plot_accuracy_against_bytes, plot_sensitivity, plot_weights
from shared.profiling import count_parameters, model_bytes, profile_layers
from shared.records import QParams
from shared.training import Recipe, train

# %% [markdown]
# ## 0. Data and baseline
#
# The digits are 8 x 8 images that come with scikit-learn. If the environment variable
# `COURSE_DATA` names a folder with MNIST or CIFAR-10, you may choose one of those instead; the
# sheet then takes 2,000 of their training and 1,000 of their validation images, and ten to twenty
# minutes on one core. The test images are not used on this sheet.

# %%
DATASET = "digits"  # "digits", "mnist" or "cifar10"
WIDTH, EPOCHS = 16, 10

data = {"digits": load_digits, "mnist": load_mnist, "cifar10": load_cifar10}[DATASET]().normalised()
data_train = data.train.take(torch.arange(min(2000, len(data.train))))
data_val = data.validation.take(torch.arange(min(1000, len(data.validation))))
channels, *input_hw = data_train.images.shape[1:]
input_shape = (1, channels, *input_hw)
val_batches = TensorBatches(data, data_val, 256)


def train_batches(seed=0):
    """Shuffled training batches, in an order that `seed` decides."""
    return TensorBatches(data, data_train, 64, seed)


def fresh_network(width, seed=0):
    """An untrained network, whose weights `seed` decides."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return DigitsCNN(width, channels=channels)


def accuracy(network):
    """Share of validation images that are recognised."""
    return evaluate(network, val_batches)[1]


baseline = fresh_network(WIDTH)
history = train(baseline, train_batches(), val_batches, Recipe(EPOCHS, lr=0.1))
base_accuracy = accuracy(baseline)
base_error = math.sqrt(base_accuracy * (1 - base_accuracy) / len(data_val))
print(f"baseline: {base_accuracy:.1%} +- {base_error:.1%} of {len(data_val)} validation images,")
print(f"{count_parameters(baseline):,} parameters, {model_bytes(baseline):,} bytes")

# %% [markdown]
# ## 1. Rounding weights
#
# A batch norm behind a convolution is folded into its weights before they are quantised. This is
# the second convolution, folded, and its values on a 4-bit grid, with one scale for the whole
# tensor and with one for each output channel.

# %%
conv, norm = baseline.features[3], baseline.features[4]
folded, _ = fold_batchnorm(
    conv.weight, conv.bias, norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.eps
)


def rounded(weight, bits, per_channel):
    """The weight after a round trip through codes of that many bits."""
    if per_channel:
        qparams = per_channel_params(weight, bits)
        return dequantize(quantize(weight, qparams, bits, axis=0), qparams, axis=0)
    low, high = weight.aminmax()
    qparams = affine_params(low.item(), high.item(), bits, symmetric=True)
    return dequantize(quantize(weight, qparams, bits), qparams)


plot_weights(
    {
        "folded": folded,
        "4 bits, one scale": rounded(folded, 4, False),
        "4 bits, a scale per channel": rounded(folded, 4, True),
    }
)

# %%
ALL_BITS = (2, 3, 4, 6, 8)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for per_channel, label in ((False, "one scale"), (True, "a scale per channel")):
    ratios = [sqnr_db(folded, rounded(folded, bits, per_channel)) for bits in ALL_BITS]
    left.plot(ALL_BITS, ratios, "o-", label=label)
    print(f"{label}:", ", ".join(f"{b} bits {r:.1f} dB" for b, r in zip(ALL_BITS, ratios)))
left.plot(ALL_BITS, [6.02 * b - 5 for b in ALL_BITS], "k:", label="6.02 dB a bit")
left.set(xlabel="bits", ylabel="SQNR of the weights (dB)")
left.legend()
left.grid(alpha=0.3)
right.bar(range(len(folded)), channel_importance(folded, math.inf).tolist())
right.set(xlabel="output channel", ylabel="largest magnitude of the folded weight")

# %% [markdown]
# **Question 1 (3 points).** By how many decibels does the signal-to-noise ratio rise with each
# bit, and why just so much? At which bit widths does a scale per channel help most here, how many
# bits is it worth, and what do the right-hand bars have to do with it? The 4-bit histogram with one
# scale shows exact zeros. Where do they come from, and does this network now count as pruned?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s2-q1", "locked": false, "points": 3, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# From 4 bits on, each bit adds 6 to 6.5 dB: it halves the step, which divides the squared error by
# four, and 10 log10(4) = 6.02. Below, it adds more, because qmax grows from 1 to 3 to 7, i.e. by
# more than a factor of 2: 20 log10(7 / 3) = 7.4 dB from 3 to 4 bits.
#
# A scale per channel is worth about 4 dB, or two thirds of a bit, from 3 to 8 bits, and 2 dB at 2
# bits. The bars say why: the largest magnitudes lie between 0.18 and 0.53. With one scale, the
# largest channel decides, and a channel that is three times smaller uses a third of the codes.
#
# The zeros are weights smaller than half a step, 25 % of them. They are zeros like any other and
# could be left out of the file, but nobody chose them: at 8 bits there are hardly any, and with a
# scale per channel fewer. I would count them as sparsity only if I report the bit width with it.
# ### END SOLUTION

# %% [markdown]
# ## 2. Ranges for activations
#
# Weights are known; activations have to be seen. Four observers watch the input of the third
# convolution on training images and propose a range; the noise is measured on validation images.

# %%


def input_of(layer, batches):
    """All inputs of a layer of the baseline over some batches."""
    seen = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        with torch.no_grad():
            for images, _ in batches:
                baseline.eval()(images)
    finally:
        handle.remove()
    return torch.cat(seen)


third = baseline.features[7]
calibration, unseen = input_of(third, train_batches()), input_of(third, val_batches)
observers = {
    "min-max": MinMaxObserver(),
    "moving average": MovingAverageObserver(0.9),
    "99.9 percentile": PercentileObserver(99.9),
    "MSE": MSEObserver(),
}
for observer in observers.values():
    for batch in calibration.split(64)[:4]:
        observer.observe(batch)

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
left.hist(calibration[:256].flatten().numpy(), bins=80, log=True, color="tab:grey")
for color, (name, observer) in zip(("C0", "C1", "C2", "C3"), observers.items()):
    scale, zero_point = observer.qparams(3).scale, observer.qparams(3).zero_point
    left.axvline(scale * (3 - zero_point), color=color, label=f"{name}, 3 bits")
    ratios = []
    for bits in ALL_BITS:
        qparams = observer.qparams(bits)
        ratios.append(sqnr_db(unseen, dequantize(quantize(unseen, qparams, bits), qparams)))
    right.plot(ALL_BITS, ratios, "o-", color=color, label=name)
    print(f"{name:>16}:", ", ".join(f"{b} bits {r:.1f} dB" for b, r in zip(ALL_BITS, ratios)))
left.set(xlabel="input of the third convolution", ylabel="count")
left.legend(fontsize=8)
right.set(xlabel="bits", ylabel="SQNR on unseen images (dB)")
right.legend()
right.grid(alpha=0.3)

# %% [markdown]
# **Question 2 (3 points).** Which observer is best at 8 bits, and which at 2 or 3? Explain the
# change by the two kinds of error that a range trades against each other. The inputs are never
# negative: what does that mean for the zero point, and what would a symmetric range cost? Why must
# the observers not see the validation images?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s2-q2", "locked": false, "points": 3, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# At 8 bits MSE (45.8 dB), moving average and min-max (45.3 dB) are alike, and the percentile is
# 10 dB worse; at 2 and 3 bits the MSE range is clearly best (13.7 and 19.2 dB; min-max 6.2 and
# 14.0).
# A wide range has large steps and so a rounding error for all values; a narrow one clips the few
# beyond it. With few bits rounding dominates, so giving up the tail pays. With 8 bits the steps
# are tiny, and a percentile goes on clipping 0.1 % of the values: its curve flattens at 35 dB. MSE
# weighs both at each width, so it is never far from the best.
#
# Behind a ReLU the range is [0, high], so the zero point is the lowest code and all codes mean
# something. A symmetric range would leave the negative half unused: a bit, or 6 dB, is lost.
#
# The validation images stand for images that the network will meet. If ranges are fitted to them,
# nothing they hold is ever clipped too hard, and the measured accuracy is too optimistic.
# ### END SOLUTION

# %% [markdown]
# ## 3. A whole network, from 8 to 2 bits
#
# Post-training quantisation only rounds. Quantisation-aware training goes on training with
# rounded inputs and weights; the gradient passes straight through the rounding. Each weight
# channel has a scale of its own here: divide by it, round to whole numbers, multiply.

# %%
FINE_TUNING = Recipe(epochs=3, lr=0.02, warmup=0.5)


class FakeQuantised(nn.Module):
    """A layer that computes with rounded inputs and weights, and learns with real ones."""

    def __init__(self, layer, bits):
        super().__init__()
        self.layer, self.bits = layer, bits
        self.observer = MovingAverageObserver(0.9)

    def forward(self, x):
        """The layer's output; in training mode the range of its inputs is followed."""
        if self.training:
            self.observer.observe(x.detach())
        x = fake_quantize(x, self.observer.qparams(self.bits), self.bits)
        weight = self.layer.weight
        scales = per_channel_params(weight, self.bits).scale.view(-1, *[1] * (weight.dim() - 1))
        codes = fake_quantize(weight / scales, QParams(1.0, 0), self.bits)
        return torch.func.functional_call(self.layer, {"weight": codes * scales}, (x,))


def fine_tune_quantised(network, bits):
    """A copy that computes on the grid of that many bits, and was trained to."""
    copied = copy.deepcopy(network)
    for name, module in list(copied.named_modules()):
        if isinstance(module, nn.Conv2d | nn.Linear):
            copied.set_submodule(name, FakeQuantised(module, bits))
    train(copied, train_batches(1), None, FINE_TUNING)
    return copied


def quantised_bytes(network, bits):
    """Weights at `bits`, the rest at 32; a scale for each channel, two numbers for each input."""
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    quantised = {id(layer.weight) for layer in layers}
    widths = {n: bits if id(p) in quantised else 32 for n, p in network.named_parameters()}
    return model_bytes(network, widths) + sum(4 * len(layer.weight) + 8 for layer in layers)


calibration_batches = [images for images, _ in TensorBatches(data, data_train, 64, seed=2)][:4]
curves = {"rounded": [], "fine-tuned": []}
for bits in ALL_BITS:
    size = quantised_bytes(baseline, bits)
    reached = accuracy(quantize_model(baseline, calibration_batches, bits))
    curves["rounded"].append((size, reached))
    # In eval mode the ranges stand still, so this is what integers would compute.
    curves["fine-tuned"].append((size, accuracy(fine_tune_quantised(baseline, bits))))
    print(
        f"{bits} bits, {size:6,} bytes:",
        ", ".join(f"{n} {c[-1][1]:.1%}" for n, c in curves.items()),
    )
plot_accuracy_against_bytes(curves, baseline=(model_bytes(baseline), base_accuracy))

# %% [markdown]
# **Question 3 (4 points).** Down to how many bits is rounding alone free, within the standard
# error, and what does fine-tuning add at 4, 3 and 2 bits? How can training help when the gradient
# of rounding is 0 almost everywhere; and what would happen if the straight-through gradient also
# passed where a value saturates? From 8 to 2 bits the weights shrink to a quarter: why does the
# file not? Name one way to spend fewer bytes at 2 bits.

# %% [markdown] nbgrader={"grade": true, "grade_id": "s2-q3", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# 8 and 6 bits are free (99.7 % as before). Rounding alone to 4 bits costs 1.9 points, six standard
# errors; 3 bits cost 7.5 points, and at 2 bits there is little more than guessing. Fine-tuning
# brings 4 bits to 99.2 %, which I cannot tell from the baseline, and 3 bits to 97.2 %. At 2 bits it
# adds 67 points and reaches 84 %.
#
# The straight-through estimator pretends that rounding is the identity: the real weights collect
# small steps until one of them crosses the border to another code, and the other weights learn to
# make up for the rounding that is left. For a value beyond the range the output does not change,
# so a gradient there would be false: it would push the value on and on without any effect on the
# loss, and clipped values would never learn to come back.
#
# The bytes fall by 3.3, not 4: biases, batch norms and scales take 1,072 bytes at any width, 7 % of
# the file at 8 bits and 23 % at 2. Folding the batch norms into the convolutions leaves one bias
# of two numbers a channel; half precision for the rest would help too, and so would an entropy
# code, since the few codes at 2 bits are not equally frequent (session 3).
# ### END SOLUTION

# %% [markdown]
# ## 4. Which layer can be pruned?

# %%
GRID = [0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
scores = sensitivity_scan(baseline, accuracy, GRID)
plot_sensitivity(scores, GRID, base_accuracy)

# %%
for name, weight in baseline.named_parameters():
    if name in scores:
        free = max(s for s, a in zip(GRID, scores[name]) if a >= base_accuracy - 0.01)
        print(f"{name:20} {weight.numel():6,} weights, {free:.0%} of them cost less than a point")

# %% [markdown]
# **Question 4 (3 points).** Which layers are most and least sensitive, and what do their sizes
# and places in the network have to do with it? Choose a sparsity for each layer so that you would
# expect the accuracy to fall by at most two points, and say how many weights would be left. Why may
# the loss be larger, and why smaller, than the sum of the losses in the curves?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s2-q4", "locked": false, "points": 3, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# The first convolution is the most sensitive: 20 % are free, 60 % cost about 17 points. It has only
# 144 weights, nine a filter, and everything behind it sees its errors. The second bears 40 %, the
# third, with 9,216 weights and 288 inputs a filter, 70 %. The classifier bears 70 % as well, and
# loses least at 90 %: nothing comes behind it that could amplify an error, and most images have a
# wide margin.
#
# I would prune 20, 40, 60 and 60 %, where no curve has lost a point; 6,694 of 14,288 weights are
# left. Tried with `magnitude_mask` it reaches 97.5 %, a loss of 2.2 points, a little more than I
# expected, where 50 % of every layer reach only 74 %.
#
# It may be larger, as here, because each curve starts from a network that is otherwise intact:
# margins can be used up only once, and later layers meet inputs they were not trained on. It may
# be smaller where the same images are lost in several curves, or errors happen to cancel.
# ### END SOLUTION

# %% [markdown]
# ## 5. Large and sparse, or small and dense?
#
# First, pruning at once against pruning while training, from the baseline. At once all layers are
# compared (`global_masks`); `gradual_prune` does what you chose. A 2:4 pattern may prune half of
# each layer; the first has one input channel, which is no group of four, and stays dense.

# %%


def weights_of(network):
    """Weights of convolution and linear layers by name."""
    layers = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    return {f"{name}.weight": layer.weight for name, layer in layers.items()}


def zeroed(network, masks):
    """A copy with masked weights, not trained any further."""
    copied = copy.deepcopy(network)
    apply_masks(copied, masks)
    return copied


STEPS = 4 * len(train_batches())
SHARES = (0.5, 0.7, 0.8, 0.9, 0.95)
one_shot, gradual = {}, {}
for share in SHARES:
    one_shot[share] = zeroed(baseline, global_masks(weights_of(baseline), share))
    gradual[share], masks = gradual_prune(
        baseline,
        train_batches(1),
        lambda step, s=share: cubic_sparsity(step, 0, STEPS // 8, 4, 0.0, s),
        STEPS,
        lr=0.02,
    )
    kept = ", ".join(f"{mask.double().mean():.0%}" for mask in masks.values())
    print(
        f"{share:.0%} zeros: {accuracy(one_shot[share]):.1%} at once,"
        f" {accuracy(gradual[share]):.1%} while training, which kept {kept} of the layers"
    )
groups = {n: nm_mask(w, 2, 4) for n, w in weights_of(baseline).items() if w.shape[1] % 4 == 0}
print(f"2:4 pattern: {accuracy(zeroed(baseline, groups)):.1%} without training")

# %%
plot_weights(
    {
        "second convolution, baseline": baseline.features[3].weight,
        "90 % pruned at once": one_shot[0.9].features[3].weight,
        "90 % pruned while training": gradual[0.9].features[3].weight,
    }
)

# %% [markdown]
# Now the question of Zhu & Gupta (2017): is a budget better spent on a narrow network, or on a
# wide one of which most weights are zero? Everything is trained from scratch, for the same number
# of steps and with the same optimiser. A zero is not free: the file has to say where the nonzeros
# are. A bit for each weight does it (session 3 has better ways).

# %%
TRAINING_STEPS = EPOCHS * len(train_batches())


def trained(width, final, seed):
    """A network of that width, trained from scratch and pruned on the way, and its masks."""
    return gradual_prune(
        fresh_network(width, seed),
        train_batches(seed),
        lambda step: cubic_sparsity(
            step, TRAINING_STEPS // 10, 25, TRAINING_STEPS // 45, 0.0, final
        ),
        TRAINING_STEPS,
    )


def average_over_seeds(width, final):
    """(bytes without, bytes with the positions of the nonzeros, accuracy), mean of two seeds."""
    reached = []
    for seed in (0, 1):
        network, masks = trained(width, final, seed)
        reached.append(accuracy(network))
    values = 4 * (count_parameters(network) - sum(int((~m).sum()) for m in masks.values()))
    positions = sum(math.ceil(m.numel() / 8) for m in masks.values()) if final else 0
    return values, values + positions, sum(reached) / len(reached)


dense = {width: average_over_seeds(width, 0.0) for width in (3, 4, 6, 8)}
sparse = {share: average_over_seeds(WIDTH, share) for share in (0.8, 0.9, 0.95, 0.97)}
for what, rows in (("width", dense), ("sparsity", sparse)):
    for key, (values, total, reached) in rows.items():
        print(f"{what} {key}: {values:6,} bytes of values, {total:6,} in all, {reached:.1%}")
plot_accuracy_against_bytes(
    {
        "small dense": [(total, reached) for _, total, reached in dense.values()],
        "large sparse, with positions": [(total, reached) for _, total, reached in sparse.values()],
        "large sparse, values only": [(values, reached) for values, _, reached in sparse.values()],
    }
)

# %% [markdown]
# The same question for fully connected networks 64-w-w-10 on the digits, over three seeds:

# %%
pairs = {}
for seed in (0, 1, 2):
    rows = compare_large_sparse_small_dense(large=64, small=(4, 8, 16, 32), epochs=8, seed=seed)
    for narrow, wide in zip(rows[::2], rows[1::2]):
        pairs.setdefault(narrow["nonzeros"], []).append((narrow, wide))
for nonzeros, group in pairs.items():
    dense_mean, sparse_mean = (sum(p[i]["accuracy"] for p in group) / len(group) for i in (0, 1))
    gains = ", ".join(f"{100 * (w['accuracy'] - n['accuracy']):+.1f}" for n, w in group)
    total = 4 * nonzeros + math.ceil(group[0][1]["params"] / 8)
    print(
        f"dense: {4 * nonzeros:6,} bytes, {dense_mean:.1%};"
        f" as many nonzeros in a large network: {total:6,} bytes, {sparse_mean:.1%};"
        f" better by {gains} points"
    )

# %% [markdown]
# **Question 5 (4 points).** Compare pruning at once with pruning while training: from which
# sparsity on does it matter, and what do the histograms say about the weights that are left? Then
# answer the paper's question for both kinds of network, at equal *bytes*, not only at equal
# nonzeros: where does large and sparse win, where not, and which of your differences are larger
# than the noise? Which cost of the sparse network does none of these figures show?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s2-q5", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# At once, 50 % cost 3 points (9 standard errors), and from 80 % on the network is ruined; pruned
# while training it keeps 99 % up to 80 % zeros and 97 % at 90 %. My `gradual_prune` compares all
# layers: at 90 % it kept 74 % of the first layer and 4 % of the third, the order of question 4. In
# the histogram of pruning at once the tails are left as they were, cut off sharply at the
# threshold. After training there is no edge any more: the weights that stayed have moved to do the
# work of the others, and some have ended below the threshold of pruning at once.
#
# Large and sparse wins. Of the convolutional networks, positions included, 90.7 % in 4.2 kB stand
# against 83.6 %, and 96.9 % in 5.3 kB against 96.1 % in 8.8 kB; at 14 kB it is 99.3 to 98.6 %. Of
# the fully connected ones it is 91.0 % in 2.4 kB against 86.7 % in 2.6 kB, and 93.5 % in 3.7 kB
# against 93.3 % in 5.8 kB. The advantage shrinks as the sparsity falls: at widths 16 and 32 its
# sign changes with the seed, and with 360 images (0.5 points of standard error at 99 %, 1.3 at
# 94 %) and two or three seeds I believe differences of several points, not those of one. Positions
# matter most at the highest sparsity, where they take almost half of the file.
#
# Not shown: training and running the large network. It has the activations of the large one, and
# with dense kernels all its MACs; only its file is small.
# ### END SOLUTION

# %% [markdown]
# ## 6. Whole channels
#
# **Question 6 (3 points).** Write `halve(network)`: a copy of a `DigitsCNN` in which each of the
# three convolutions has lost the half of its output channels with the smaller L1 norm, physically,
# with `prune_channels`. The layers are `features[0]`, `[3]` and `[7]`, each with its batch norm
# behind it; `classifier` follows the last one behind a global pooling. The input is not changed.
# The cells below check it against a network with zeroed channels; say in a comment what would have
# to change if there were a residual connection around the second convolution.

# %% nbgrader={"grade": true, "grade_id": "s2-q6", "locked": false, "points": 3, "schema_version": 3, "solution": true}
CONVOLUTIONS = (0, 3, 7)


def strongest_half(weight):
    """Indices, ascending, of the output channels with the larger L1 norms."""
    return channel_importance(weight).topk(len(weight) // 2).indices.sort().values


### BEGIN SOLUTION
# A residual connection adds the input of the second convolution to its output, so both must have
# the same channels: the first and second convolution would have to keep the same indices (chosen,
# say, by the sum of the two norms), and as many of them, or the shortcut would need a convolution.
def halve(network):
    """A copy with half of the channels in every convolution."""
    small = copy.deepcopy(network)
    features = small.features
    for index, after in ((0, "features.3"), (3, "features.7"), (7, "classifier")):
        # Norms of the network given: an earlier pruning has shortened the filters of the copy.
        keep = strongest_half(network.features[index].weight)
        features[index], features[index + 1], follower = prune_channels(
            features[index], features[index + 1], small.get_submodule(after), keep
        )
        small.set_submodule(after, follower)
    return small


### END SOLUTION

# %%
small = halve(baseline)
masked = copy.deepcopy(baseline).eval()
for index in CONVOLUTIONS:
    kept = strongest_half(baseline.features[index].weight)
    gone = torch.ones(baseline.features[index].out_channels, dtype=torch.bool)
    gone[kept] = False
    with torch.no_grad():
        masked.features[index + 1].weight[gone] = 0.0  # batch norm gives 0 for these channels
        masked.features[index + 1].bias[gone] = 0.0
with torch.no_grad():
    images = data_val.images[:64]
    difference = (small.eval()(images) - masked(images)).abs().max().item()
assert difference < 1e-4, difference
print(f"the halved network computes what the masked one does, up to {difference:.1e}")

# %%
fine_tuned = copy.deepcopy(small)
train(fine_tuned, train_batches(1), None, FINE_TUNING)
for name, network in (
    ("baseline", baseline),
    ("50 % of the weights", one_shot[0.5]),
    ("half of the channels", small),
    ("and fine-tuned", fine_tuned),
):
    macs = sum(row.macs for row in profile_layers(network, input_shape))
    nonzeros = count_parameters(network, nonzero_only=True)
    print(
        f"{name:>20}: {nonzeros:6,} nonzero parameters, {model_bytes(network):6,} bytes stored"
        f" densely, {macs:9,} MACs, {accuracy(network):.1%}"
    )

# %% [markdown]
# Zeros that are scattered over a tensor leave bytes and MACs of dense code as they are; removed
# channels cut both, to about a quarter, but cost more accuracy until the network is trained again.
