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
# # Lab sheet 4: distillation
#
# This sheet puts your functions from `losses.py` and `distill.py` to work on digits. Finish (most of)
# them first: `autograder check s4` tells you where you stand.
#
# There are five questions with 20 points together. A teaching assistant reads your answers, so
# write sentences, quote the numbers that you refer to, and say how sure you are. Three to six
# sentences a question are enough. Everything runs in about a minute on a laptop's CPU.

# %%
# %matplotlib inline
import copy
import statistics

import matplotlib.pyplot as plt
import torch
from distill import agreement, distill
from losses import (
    attention_map,
    attention_transfer_loss,
    ensemble_soft_targets,
    kd_gradient,
    softmax_with_temperature,
)
from teacher import digits_teacher
from torch.utils.data import DataLoader, TensorDataset

from shared.data import load_digits
from shared.models import MLP, DigitsCNN

torch.set_num_threads(1)

# %% [markdown]
# ## 0. A teacher
#
# A small convolutional network, trained on the training split of scikit-learn's 8 x 8 digits. (For
# CIFAR-10, `s7_final_project/teacher.py` has a fast recipe.) Everything below is measured on the
# validation split.

# %%
data = load_digits().normalised()
images, labels = data.train.images, data.train.labels
held_out, truth = data.validation.images, data.validation.labels
teacher = digits_teacher()


def answers(network, batch=held_out):
    """Logits in eval mode."""
    with torch.no_grad():
        return network.eval()(batch)


def accuracy(network):
    """Validation accuracy in 0..1."""
    return float((answers(network).argmax(dim=1) == truth).double().mean())


print(f"teacher: validation accuracy {accuracy(teacher):.2%}")

# %% [markdown]
# ## 1. What a teacher says beside its best guess
#
# The image of which the teacher is least sure, and one of which it is very sure, at several
# temperatures.

# %%
logits = answers(teacher)
top = softmax_with_temperature(logits, 1.0).max(dim=1).values
chosen = {"least sure": int(top.argmin()), "very sure": int(top.argmax())}
figure, grid = plt.subplots(2, 5, figsize=(12, 4))
for row, (name, index) in zip(grid, chosen.items()):
    row[0].imshow(held_out[index, 0], cmap="gray_r")
    row[0].set_title(f"{name}: label {int(truth[index])}", fontsize=9)
    row[0].axis("off")
    for axes, T in zip(row[1:], (1.0, 2.0, 4.0, 16.0)):
        axes.bar(range(10), softmax_with_temperature(logits[index], T))
        axes.set_title(f"T = {T:g}", fontsize=9)
        axes.set_ylim(0, 1)
figure.tight_layout()

# %% [markdown]
# **Question 1 (4 points).** Describe what the temperature does to both answers. Which of them teaches
# more at T = 1, and which at T = 4? What would a student learn at T = 1000?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s4-q1", "locked": false, "points": 4, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# A higher temperature brings probabilities closer together without changing their order. The sure
# answer is a single bar at T = 1 and shows its second and third choice from about T = 4 on; the unsure
# one is spread over two or three classes already at T = 1.
#
# At T = 1 only the unsure answer says more than a label. At T = 4 the sure one does too: which other
# digits this one resembles. Beyond that the bars become equal, and at T = 1000 all probabilities are
# 0.1 to three digits: what is left are tiny differences in proportion to the logits. Because of the
# factor T^2 they still count, and the student then matches (centred) logits.
# ### END SOLUTION

# %% [markdown]
# ## 2. The gradient and the temperature
#
# The size of the gradient of the soft part for an untrained student, with the factor T^2 of the
# loss and without.

# %%
torch.manual_seed(0)
fresh = answers(MLP((64, 24, 10)))
temperatures = [0.5, 1, 2, 4, 8, 16, 32, 64]
with_square = [float(kd_gradient(fresh, logits, truth, T, 0.0).norm()) for T in temperatures]
hard = float(kd_gradient(fresh, logits, truth, 1.0, 1.0).norm())
limit = fresh - logits
limit = float((limit - limit.mean(dim=1, keepdim=True)).norm()) / (10 * len(truth))
figure, axes = plt.subplots(figsize=(6, 3.5))
axes.plot(temperatures, with_square, "o-", label="T² KL")
axes.plot(temperatures, [g / T**2 for g, T in zip(with_square, temperatures)], "s-", label="KL")
axes.axhline(hard, color="grey", linestyle=":", label="cross-entropy")
axes.axhline(limit, color="black", linestyle="--", label="difference of centred logits / (C N)")
axes.set(xscale="log", yscale="log", xlabel="temperature", ylabel="norm of the gradient")
axes.legend(fontsize=8)
axes.grid(alpha=0.3)

# %% [markdown]
# **Question 2 (3 points).** What does the factor T² do to the balance of the two parts? Where is the
# curve of T² KL flat, and to what does it tend?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s4-q2", "locked": false, "points": 3, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# Without it the gradient falls with the square of the temperature: at T = 16 the soft part is hundreds
# of times as weak as the cross-entropy, and alpha means something else at each temperature. With it both
# stay within the same order of magnitude, so T and alpha can be tuned one by one.
#
# The curve is flat from about T = 16 on, where |z / T| is small for all logits. It tends to the difference
# of the centred logits divided by C N: softmax is linear there.
# ### END SOLUTION

# %% [markdown]
# ## 3. Distilled against trained from scratch
#
# 300 training images, 40 % of them with a wrong label. The same small networks, batches, optimiser and
# number of steps; only alpha differs. alpha = 1 is training without a teacher.

# %%
SEEDS, IMAGES, WRONG = 3, 300, 120
ALPHAS = (0.0, 0.1, 0.5, 0.9, 1.0)


def noisy(seed):
    """300 images in random order, with labels of which 120 are wrong."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)[:IMAGES]
    wrong = labels[order].clone()
    wrong[:WRONG] = (wrong[:WRONG] + torch.randint(1, 10, (WRONG,), generator=generator)) % 10
    return images[order], wrong


def small(seed, width=24):
    """A small network with its own initialisation."""
    torch.manual_seed(seed)
    return MLP((64, width, 10))


def loader_for(seed, batch=32):
    """Batches of the noisy images."""
    order = torch.Generator().manual_seed(seed)
    return DataLoader(TensorDataset(*noisy(seed)), batch, shuffle=True, generator=order)


table = {alpha: [] for alpha in ALPHAS}
for seed in range(SEEDS):
    for alpha in ALPHAS:
        student = distill(small(seed), teacher, loader_for(seed), 20, 4.0, alpha, 0.05)
        table[alpha].append(accuracy(student))
figure, axes = plt.subplots(figsize=(6, 3.5))
for seed in range(SEEDS):
    axes.plot(ALPHAS, [100 * table[alpha][seed] for alpha in ALPHAS], ".", color="grey")
means = [100 * statistics.mean(table[alpha]) for alpha in ALPHAS]
axes.plot(ALPHAS, means, "o-", label="mean over the seeds")
axes.axhline(100 * accuracy(teacher), color="black", linestyle="--", label="teacher")
axes.set(xlabel="alpha", ylabel="validation accuracy (%)")
axes.legend(fontsize=8)
axes.grid(alpha=0.3)
for alpha in ALPHAS:
    mean, spread = statistics.mean(table[alpha]), statistics.stdev(table[alpha])
    print(f"alpha = {alpha:3.1f}: {mean:.2%} +- {spread:.2%}")

# %% [markdown]
# **Question 3 (5 points).** By how much does the teacher help here, and how sure are you? Why are wrong
# labels a good case for distillation? Somebody reports 3 points more by distillation with Adam than from
# scratch with SGD: what would you ask?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s4-q3", "locked": false, "points": 5, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# By some 30 points: about 95 % with alpha up to 0.1, about 63 % without the teacher. The spread over
# the seeds is 1 to 2 points for the distilled networks and 3 for the others (more in between, at
# alpha = 0.9), so three seeds are enough for a difference of this size; between alpha = 0 and 0.1 they
# are not.
#
# The teacher has never seen the wrong labels. Its answers correct them, image by image, and say on top
# what each image resembles; a network that trains long enough learns the wrong labels by heart. With clean
# labels the difference would be a few points, within reach of a better optimiser.
#
# I would ask for scratch with Adam, with the same number of steps and the same augmentation, tuned as long as
# the distilled one, and for several seeds with their spread: otherwise the optimiser may be all that was measured.
# ### END SOLUTION

# %% [markdown]
# ## 4. Several teachers, and whom the student agrees with
#
# Three hasty teachers with other seeds, one of them loud: its logits are ten times as large, which
# makes it no better. Their answers at T = 1 are averaged as probabilities and, for comparison, as
# logits. Then: how often do student and teacher agree, and how often are both right?

# %%
outputs = [answers(digits_teacher(seed=seed, epochs=1)) for seed in (1, 2, 3)]
loud = outputs[0] = 10 * outputs[0]
for name, found in (
    *((f"teacher {number}", one) for number, one in enumerate(outputs, start=1)),
    ("probabilities averaged", ensemble_soft_targets(outputs, 1.0)),
    ("logits averaged", torch.stack(outputs).mean(dim=0)),
):
    share = float((found.argmax(dim=1) == truth).double().mean())
    print(f"{name:24} right {share:.2%}, as the loud one says {agreement(found, loud):.2%}")

for alpha in (0.1, 1.0):
    student = distill(small(0), teacher, loader_for(0), 20, 4.0, alpha, 0.05)
    found = answers(student)
    both = (found.argmax(dim=1) == truth) & (logits.argmax(dim=1) == truth)
    share = float(both.double().mean())
    print(f"alpha = {alpha}: agreement {agreement(found, logits):.2%}, both right {share:.2%}")

# %% [markdown]
# **Question 4 (3 points).** What does the loud teacher do to each average, and when would each of the two
# be right? Agreement and accuracy of a distilled student are nearly the same here: when would they differ?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s4-q4", "locked": false, "points": 3, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# In the average of logits its answers weigh ten times as much as the others'. Among probabilities each teacher has
# one vote, so two who agree and are sure outvote it. But being loud makes its vote whole, while the votes of hesitant
# teachers are split, so that here the average of probabilities follows it at least as often. Neither average mends
# a teacher that is surer than it is right: calibrate first (a temperature for each teacher), then average.
#
# Agreement counts the teacher's errors as well if the student copies them. With a teacher that is right 99 times in
# 100 there is hardly a difference; with a weak teacher a student may agree in 95 % and be right in 80 %, or
# be right more often than its teacher and agree less.
# ### END SOLUTION

# %% [markdown]
# ## 5. Where networks look
#
# Attention maps after the first two convolutions of the teacher and of an untrained narrow network, and after
# the narrow one has been trained for some steps with attention transfer alone.

# %%


def features(network, batch):
    """Activations after the second ReLU of a DigitsCNN."""
    return network.features[:6](batch)


torch.manual_seed(0)
narrow = DigitsCNN(4)
untrained = copy.deepcopy(narrow).eval()
optimizer = torch.optim.SGD(narrow.parameters(), lr=0.1, momentum=0.9)
losses = []
for step in range(60):
    batch = images[64 * step % 1024 :][:64]
    with torch.no_grad():
        wanted = features(teacher, batch)
    loss = attention_transfer_loss(features(narrow.train(), batch), wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
narrow.eval()
figure, grid = plt.subplots(3, 4, figsize=(8, 6))
for column, index in enumerate(range(4)):
    one = held_out[index : index + 1]
    rows = (
        one[0, 0],
        attention_map(features(teacher, one))[0],
        attention_map(features(narrow, one))[0],
    )
    for axes, picture, name in zip(grid[:, column], rows, ("image", "teacher", "student")):
        axes.imshow(picture.detach(), cmap="viridis" if name != "image" else "gray_r")
        axes.set_title(name, fontsize=9)
        axes.axis("off")
figure.tight_layout()
with torch.no_grad():
    wanted = features(teacher, held_out)
    before = attention_transfer_loss(features(untrained, held_out), wanted).item()
    after = attention_transfer_loss(features(narrow, held_out), wanted).item()
print(
    f"attention transfer on held-out images: {before:.3f} before, {after:.3f} after {len(losses)} steps"
)

# %% [markdown]
# **Question 5 (5 points).** What do the maps show, and how far does the student come? Teacher and student have
# 32 and 8 channels there: why does attention transfer need no regressor, while a hint does, and what can a hint
# say that attention cannot? What is lost if the maps are not normalised?

# %% [markdown] nbgrader={"grade": true, "grade_id": "s4-q5", "locked": false, "points": 5, "schema_version": 3, "solution": true}
# ### BEGIN SOLUTION
# The maps are bright along the strokes and darker where there is no ink. After 60 steps the student's maps resemble
# the teacher's: on images that it never saw the loss has fallen from 0.80 to 0.06.
#
# A map has one number for each position, whatever the number of channels, so maps of both networks have one shape.
# A hint compares whole activations and has to bring 8 channels to 32 first. It can say *what* is seen at a position (a
# vertical stroke, a loop), attention says only *where* something is seen.
#
# Without normalisation the loss compares loudness: the wider network has larger sums, and the student would spend its
# capacity on scale, which the next batch norm removes anyway; images with strong activations would dominate the mean.
# ### END SOLUTION
