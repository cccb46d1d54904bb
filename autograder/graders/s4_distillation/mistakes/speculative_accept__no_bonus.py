"""If all tokens are accepted, no bonus token is drawn.

Source: own.
"""

import torch

from shared.checks import check_shape


def speculative_accept(draft_tokens, draft_probs, target_probs, generator):
    check_shape("target_probs", target_probs, len(draft_tokens) + 1, "V")
    check_shape("draft_probs", draft_probs, len(draft_tokens), target_probs.shape[1])

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
    return tokens, len(tokens)
