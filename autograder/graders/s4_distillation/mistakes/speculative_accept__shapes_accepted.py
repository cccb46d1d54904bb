"""Probabilities that do not fit the draft are cut to the shorter one.

Source: own.
"""

import torch


def speculative_accept(draft_tokens, draft_probs, target_probs, generator):

    def draw(weights):
        weights = weights if weights.sum() > 0 else torch.ones_like(weights)
        return int(torch.multinomial(weights, 1, generator=generator))

    tokens = []
    for token, q, p in zip(draft_tokens, draft_probs, target_probs):
        chance = torch.rand((), generator=generator, dtype=torch.float64)
        if chance * q[token] < p[token]:
            tokens.append(int(token))
            continue
        weights = (p - q).clamp(min=0)
        return [*tokens, draw(weights)], len(tokens)
    return [*tokens, draw(target_probs[-1])], len(tokens)
