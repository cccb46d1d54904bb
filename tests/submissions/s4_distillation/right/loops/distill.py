"""Session 4, training, with plain loops; stands alone."""

import torch


def _log_probabilities(row, T=1.0):
    scaled = row / T
    shifted = scaled - scaled.max().detach()
    return shifted - shifted.exp().sum().log()


def _settings(T, alpha):
    if not 0 < T < float("inf"):
        raise ValueError(f"T must be positive, got {T!r}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in 0..1, got {alpha!r}")


def _ask(teacher, images):
    modules = list(teacher.modules())
    modes = [module.training for module in modules]
    try:
        teacher.eval()
        with torch.no_grad():
            return teacher(images)
    finally:
        for module, mode in zip(modules, modes):
            module.training = mode


def _loss(logits, answers, targets, T, alpha):
    log_p = answers / T - (answers / T).logsumexp(dim=1, keepdim=True)
    log_q = logits / T - (logits / T).logsumexp(dim=1, keepdim=True)
    logs = logits - logits.logsumexp(dim=1, keepdim=True)
    hard = -logs[torch.arange(len(targets)), targets].mean()
    soft = (log_p.exp() * (log_p - log_q)).sum(dim=1).mean()
    return alpha * hard + (1 - alpha) * T * T * soft


def distill_step(student, teacher, batch, optimizer, T, alpha):
    _settings(T, alpha)
    images, targets = batch
    answers = _ask(teacher, images)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None
    loss = _loss(student(images), answers, targets, T, alpha)
    loss.backward()
    optimizer.step()
    return float(loss)


def distill(student, teacher, loader, epochs, T, alpha, lr):
    _settings(T, alpha)
    velocity = [torch.zeros_like(parameter) for parameter in student.parameters()]
    student.train()
    for _ in range(epochs):
        for images, targets in loader:
            answers = _ask(teacher, images)
            loss = _loss(student(images), answers, targets, T, alpha)
            gradients = torch.autograd.grad(loss, list(student.parameters()))
            with torch.no_grad():
                for v, g, parameter in zip(velocity, gradients, student.parameters()):
                    v.mul_(0.9).add_(g)
                    parameter.sub_(lr * v)
    return student


def temperature_schedule(epoch, epochs, start=8.0, end=1.0):
    if epochs == 1:
        return end
    share = min(epoch, epochs - 1) / (epochs - 1)
    return start * (1 - share) + end * share


def agreement(student_logits, teacher_logits):
    if student_logits.shape != teacher_logits.shape:
        raise ValueError("the logits have different shapes")
    hits = 0
    for ours, theirs in zip(student_logits, teacher_logits):
        if int(ours.argmax()) == int(theirs.argmax()):
            hits += 1
    return hits / len(student_logits)


def dkd_loss(student_logits, teacher_logits, targets, T, alpha, beta):
    if not T > 0:
        raise ValueError(f"T must be positive, got {T!r}")
    if student_logits.shape != teacher_logits.shape or len(targets) != len(student_logits):
        raise ValueError("logits and targets do not fit")
    total = 0.0
    for ours, theirs, target in zip(student_logits, teacher_logits, targets.tolist()):
        parts = []
        for row in (theirs.detach(), ours):
            scaled = row / T
            rest = torch.cat([scaled[:target], scaled[target + 1 :]])
            everything = scaled.logsumexp(0)
            both = torch.stack([scaled[target] - everything, rest.logsumexp(0) - everything])
            parts.append((both, rest - rest.logsumexp(0)))
        (p, p_rest), (q, q_rest) = parts
        total = total + alpha * (p.exp() * (p - q)).sum()
        total = total + beta * (p_rest.exp() * (p_rest - q_rest)).sum()
    return T * T * total / len(student_logits)


def _pick(weights, generator):
    point = float(torch.rand(1, generator=generator, dtype=torch.float64)) * float(weights.double().sum())
    reached, last = 0.0, 0
    for index, weight in enumerate(weights.double().tolist()):
        if weight > 0:
            reached, last = reached + weight, index
            if point < reached:
                return index
    return last


def speculative_accept(draft_tokens, draft_probs, target_probs, generator):
    k = len(draft_tokens)
    if draft_probs.dim() != 2 or target_probs.dim() != 2 or draft_probs.shape[1] != target_probs.shape[1]:
        raise ValueError("the vocabularies differ")
    if draft_probs.shape[0] != k or target_probs.shape[0] != k + 1:
        raise ValueError("one row for each token, and one more of the target, are needed")
    tokens = []
    for i, token in enumerate(draft_tokens):
        p, q = float(target_probs[i][token]), float(draft_probs[i][token])
        ratio = 1.0 if p >= q else p / q
        if float(torch.rand(1, generator=generator)) < ratio:
            tokens.append(token)
        else:
            residual = (target_probs[i] - draft_probs[i]).clamp(min=0.0)
            tokens.append(_pick(residual, generator))
            return tokens, i
    tokens.append(_pick(target_probs[k], generator))
    return tokens, k


def distill_without_data(teacher, generator, student, steps, batch_size, T, seed):
    _settings(T, 0.0)
    draws = torch.Generator().manual_seed(seed)
    modes = [(module, module.training) for module in teacher.modules()]
    teacher.eval()
    ours, its = list(student.parameters()), list(generator.parameters())
    learn, imagine = torch.optim.SGD(ours, lr=0.05, momentum=0.9), torch.optim.Adam(its, lr=0.01)
    none = torch.zeros(batch_size, dtype=torch.int64)
    for _ in range(steps):
        images = generator(torch.randn(batch_size, generator.latent_dim, generator=draws))
        answers = teacher(images)
        sure = answers.logsumexp(dim=1).sub(answers.max(dim=1).values).mean()
        mean = answers.softmax(dim=1).mean(dim=0)
        doubt = _loss(student(images), answers, none, T, 0.0)
        loss = sure + 5 * (mean * (mean + 1e-9).log()).sum() - doubt.clamp(max=20)
        imagine.zero_grad()
        for parameter, gradient in zip(its, torch.autograd.grad(loss, its, allow_unused=True)):
            parameter.grad = gradient
        imagine.step()
        images, answers = images.detach(), _ask(teacher, images.detach())
        learn.zero_grad()
        loss = _loss(student(images), answers, none, T, 0.0)
        for parameter, gradient in zip(ours, torch.autograd.grad(loss, ours)):
            parameter.grad = gradient
        learn.step()
    for module, training in modes:
        module.training = training
    return student
