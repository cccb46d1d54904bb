"""Session 4, training: closed-form gradients, NumPy where nothing is differentiated."""

import copy

import numpy as np
import torch
import torch.nn.functional as F


def array(tensor):
    return tensor.detach().cpu().numpy().astype(np.float64)


def softmax(z):
    z = np.exp(z - z.max(axis=-1, keepdims=True))
    return z / z.sum(axis=-1, keepdims=True)


def log_softmax(z):
    z = z - z.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def check_settings(T, alpha):
    if not np.isfinite(T) or T <= 0:
        raise ValueError(f"T: a positive temperature is needed, got {T}")
    if not (alpha >= 0 and alpha <= 1):
        raise ValueError(f"alpha: a share is needed, got {alpha}")


def loss_and_gradient(logits, answers, targets, T, alpha):
    s, t, y = array(logits), array(answers), targets.numpy()
    rows = np.arange(len(y))
    log_p, log_q = log_softmax(t / T), log_softmax(s / T)
    soft = (np.exp(log_p) * (log_p - log_q)).sum(axis=1).mean()
    hard = -log_softmax(s)[rows, y].mean()
    to_hard = softmax(s)
    to_hard[rows, y] -= 1
    gradient = alpha * to_hard + (1 - alpha) * T * (np.exp(log_q) - np.exp(log_p))
    gradient = torch.from_numpy(gradient / len(y)).to(logits.dtype)
    return alpha * hard + (1 - alpha) * T**2 * soft, gradient


def distill_step(student, teacher, batch, optimizer, T, alpha):
    check_settings(T, alpha)
    images, targets = batch
    wise = copy.deepcopy(teacher).eval()  # the teacher itself is never touched
    with torch.no_grad():
        answers = wise(images)
    student.zero_grad()
    logits = student(images)
    loss, gradient = loss_and_gradient(logits, answers, targets, T, alpha)
    logits.backward(gradient)
    optimizer.step()
    return loss


def distill(student, teacher, loader, epochs, T, alpha, lr):
    """A copy learns, with Nesterov's momentum."""
    check_settings(T, alpha)
    student = copy.deepcopy(student)
    optimizer = torch.optim.SGD(student.parameters(), lr=lr, momentum=0.9, nesterov=True)
    wise = copy.deepcopy(teacher).eval()
    for _ in range(epochs):
        for images, targets in loader:
            optimizer.zero_grad()
            with torch.no_grad():
                answers = wise(images)
            logits = student(images)
            logits.backward(loss_and_gradient(logits, answers, targets, T, alpha)[1])
            optimizer.step()
    return student.eval()


def temperature_schedule(epoch, epochs, start=8.0, end=1.0):
    return float(np.append(np.linspace(start, end, epochs)[:-1], [end] * (epoch + 1))[epoch])


def agreement(student_logits, teacher_logits):
    if tuple(student_logits.shape) != tuple(teacher_logits.shape):
        raise ValueError("logits of one shape are needed")
    ours, theirs = array(student_logits).argmax(axis=1), array(teacher_logits).argmax(axis=1)
    return float(np.mean(ours == theirs))


def dkd_loss(student_logits, teacher_logits, targets, T, alpha, beta):
    if not np.isfinite(T) or T <= 0:
        raise ValueError(f"T: a positive temperature is needed, got {T}")
    if tuple(student_logits.shape) != tuple(teacher_logits.shape):
        raise ValueError("logits of one shape are needed")
    if tuple(targets.shape) != tuple(student_logits.shape[:1]):
        raise ValueError("one target for each row is needed")
    hit = F.one_hot(targets, student_logits.shape[1]).bool()
    losses = []
    for logits in (student_logits / T, teacher_logits.detach() / T):
        n = len(logits)
        target, rest = logits[hit].reshape(n, 1), logits[~hit].reshape(n, -1)
        margin = target - rest.logsumexp(1, keepdim=True)  # log p / (1 - p)
        losses.append((F.logsigmoid(margin), F.logsigmoid(-margin), rest.log_softmax(1)))
    (q, not_q, q_rest), (p, not_p, p_rest) = losses
    tckd = p.exp() * (p - q) + not_p.exp() * (not_p - not_q)
    nckd = (p_rest.exp() * (p_rest - q_rest)).sum(1)
    return T**2 * (alpha * tckd.mean() + beta * nckd.mean())


def speculative_accept(draft_tokens, draft_probs, target_probs, generator):
    q, p, x = array(draft_probs), array(target_probs), np.array(draft_tokens, dtype=np.int64)
    if q.ndim != 2 or p.shape != (len(x) + 1, q.shape[1]) or len(q) != len(x):
        raise ValueError(f"{len(x)} tokens, {q.shape} and {p.shape} do not fit")
    chances = array(torch.rand(len(x) + 1, generator=generator, dtype=torch.float64))
    places = np.arange(len(x))
    rejected = np.flatnonzero(chances[:-1] * q[places, x] >= p[places, x])
    accepted = int(rejected[0]) if len(rejected) else len(x)
    weights = p[accepted] if accepted == len(x) else np.maximum(p[accepted] - q[accepted], 0)
    sums = np.cumsum(weights / weights.sum())
    last = int(np.searchsorted(sums, chances[-1] * sums[-1], side="right"))
    return [*x[:accepted].tolist(), min(last, len(weights) - 1)], accepted


def distill_without_data(teacher, generator, student, steps, batch_size, T, seed):
    check_settings(T, 0.0)
    wise = copy.deepcopy(teacher).eval().requires_grad_(False)
    draws = torch.Generator().manual_seed(seed)
    learn = torch.optim.Adam(student.parameters(), lr=0.01)
    imagine = torch.optim.Adam(generator.parameters(), lr=0.01)

    def distance(logits, answers):
        return T**2 * F.kl_div(
            (logits / T).log_softmax(1), (answers / T).log_softmax(1), reduction="batchmean", log_target=True
        )

    for _ in range(steps):
        images = generator(torch.randn(batch_size, generator.latent_dim, generator=draws))
        answers = wise(images)
        mean = answers.softmax(1).mean(0)
        balance = (mean * (mean + 1e-9).log()).sum()
        loss = F.cross_entropy(answers, answers.argmax(1)) + 5 * balance
        loss = loss - distance(student(images), answers).clamp(max=20)
        imagine.zero_grad()
        loss.backward()
        imagine.step()
        learn.zero_grad()
        distance(student(images.detach()), answers.detach()).backward()
        learn.step()
    return student
