"""Session 4, training: composed from losses.py, hand-made contexts, Adam, other formulas."""

import contextlib
import copy
import math

import torch
import torch.nn.functional as F


@contextlib.contextmanager
def asked(network):
    """In eval mode; afterwards every module has its own mode."""
    flags = {name: module.training for name, module in network.named_modules()}
    for module in network.modules():
        module.training = False
    try:
        yield network
    finally:
        for name, module in network.named_modules():
            module.training = flags[name]


def distill_step(student, teacher, batch, optimizer, T, alpha):
    from losses import kd_loss

    images, targets = batch
    with asked(teacher), torch.inference_mode():
        answers = teacher(images)
    answers = answers.clone()
    logits = student(images)
    loss = kd_loss(logits, answers, targets, T, alpha)
    optimizer.zero_grad(set_to_none=False)
    loss.backward()
    optimizer.step()
    return loss.detach()


def distill(student, teacher, loader, epochs, T, alpha, lr):
    """Each image's answer is asked for once."""
    if not T > 0 or not 0 <= alpha <= 1:
        raise ValueError(f"T = {T}, alpha = {alpha}")
    answers = {}
    optimizer = torch.optim.Adam(student.parameters(), lr=lr)
    for _ in range(epochs):
        for images, targets in loader:
            keys = [image.numpy().tobytes() for image in images]
            new = [place for place, key in enumerate(keys) if key not in answers]
            if new:
                with asked(teacher), torch.no_grad():
                    found = teacher(images[new])
                answers.update({keys[place]: row for place, row in zip(new, found)})
            log_p = (torch.stack([answers[key] for key in keys]) / T).log_softmax(1)
            logits = student(images)
            entropy = -(log_p.exp() * log_p).sum(1).mean()
            soft = F.cross_entropy(logits / T, log_p.exp()) - entropy
            optimizer.zero_grad()
            (alpha * F.cross_entropy(logits, targets) + (1 - alpha) * T**2 * soft).backward()
            optimizer.step()
    return student


def temperature_schedule(epoch, epochs, start=8.0, end=1.0):
    left = max(epochs - 1 - epoch, 0)
    return end + (start - end) * left / max(epochs - 1, 1)


def agreement(student_logits, teacher_logits):
    if student_logits.size() != teacher_logits.size():
        raise ValueError(f"{student_logits.size()} against {teacher_logits.size()}")
    return student_logits.topk(1).indices.eq(teacher_logits.topk(1).indices).float().mean()


def dkd_loss(student_logits, teacher_logits, targets, T, alpha, beta):
    """KL is TCKD + (1 - p_t) NCKD: what is left of it is TCKD."""
    if not T > 0:
        raise ValueError(f"temperature {T}")
    if student_logits.shape != teacher_logits.shape or targets.shape != student_logits.shape[:1]:
        raise ValueError(f"{student_logits.shape}, {teacher_logits.shape}, {targets.shape}")
    masked = torch.zeros_like(student_logits).scatter(1, targets[:, None], -1e30)
    log_p, log_q = (teacher_logits / T).log_softmax(1), (student_logits / T).log_softmax(1)
    rest_p = (teacher_logits / T + masked).log_softmax(1)
    rest_q = (student_logits / T + masked).log_softmax(1)
    weights = rest_p.exp()
    nckd = torch.where(weights > 0, weights * (rest_p - rest_q), torch.zeros_like(weights)).sum(1)
    others = (teacher_logits / T + masked).logsumexp(1) - (teacher_logits / T).logsumexp(1)
    kl = (log_p.exp() * (log_p - log_q)).sum(1)
    tckd = kl - others.exp() * nckd
    return T * T * (alpha * tckd + beta * nckd).mean()


def speculative_accept(draft_tokens, draft_probs, target_probs, generator):
    k = len(draft_tokens)
    if list(draft_probs.shape) != [k, target_probs.shape[-1]] or len(target_probs) != k + 1:
        raise ValueError(f"{k} tokens, {list(draft_probs.shape)}, {list(target_probs.shape)}")

    def exponential_race(weights):
        """The first of independent exponential clocks, each as fast as its weight."""
        clocks = torch.empty(len(weights), dtype=torch.float64).exponential_(generator=generator)
        return int((clocks / weights.double()).argmin())

    kept = list(draft_tokens)
    for place, token in enumerate(draft_tokens):
        ratio = math.exp(min(0.0, math.log(max(float(target_probs[place, token]), 1e-300)) - math.log(max(float(draft_probs[place, token]), 1e-300))))
        if torch.rand((), generator=generator, dtype=torch.float64).item() >= ratio:
            rest = F.relu(target_probs[place] - draft_probs[place])
            return [*kept[:place], exponential_race(rest)], place
    return [*kept, exponential_race(target_probs[k])], k


def distill_without_data(teacher, generator, student, steps, batch_size, T, seed):
    """The generator also matches what the teacher's batch norm remembers of its data."""
    if not T > 0:
        raise ValueError(f"temperature {T}")
    student = copy.deepcopy(student)
    draws = torch.Generator().manual_seed(seed)
    learn = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9)
    imagine = torch.optim.Adam(generator.parameters(), lr=0.01)
    distances = []

    def remember(layer, inputs, _):
        (x,) = inputs
        dims = [d for d in range(x.dim()) if d != 1]
        mean = (x.mean(dims) - layer.running_mean).norm()
        distances.append(mean + (x.var(dims) - layer.running_var).norm())

    trainable = [parameter.requires_grad for parameter in teacher.parameters()]
    norms = [m for m in teacher.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    hooks = [norm.register_forward_hook(remember) for norm in norms]
    with asked(teacher):
        for parameter in teacher.parameters():
            parameter.requires_grad_(False)
        for _ in range(steps):
            distances.clear()
            images = generator(torch.randn(batch_size, generator.latent_dim, generator=draws))
            answers = teacher(images)
            mean = answers.softmax(1).mean(0)
            loss = F.cross_entropy(answers, answers.argmax(1)) + 5 * (mean * mean.log()).sum() + sum(distances)
            log_p = (answers / T).log_softmax(1)
            loss = loss - (T**2 * (log_p.exp() * (log_p - (student(images) / T).log_softmax(1))).sum(1).mean()).clamp(max=20)
            imagine.zero_grad()
            loss.backward()
            imagine.step()
            p = (answers.detach() / T).softmax(1)
            learn.zero_grad()
            (T**2 * F.cross_entropy(student(images.detach()) / T, p)).backward()
            learn.step()
    for hook in hooks:
        hook.remove()
    for parameter, flag in zip(teacher.parameters(), trainable):
        parameter.requires_grad_(flag)
    return student
