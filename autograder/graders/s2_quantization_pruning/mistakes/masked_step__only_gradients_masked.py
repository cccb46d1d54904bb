"""Only gradients are masked, so momentum moves pruned weights.

Source: curriculum list.
"""


def masked_step(optimizer, model, masks):
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        if name not in parameters:
            raise ValueError(f"masks must name parameters, got {name}")
        if mask.shape != parameters[name].shape:
            raise ValueError(f"mask of {name} must have its shape, got {tuple(mask.shape)}")
    for name, mask in masks.items():
        if parameters[name].grad is not None:
            parameters[name].grad = parameters[name].grad.masked_fill(~mask, 0)
    optimizer.step()
