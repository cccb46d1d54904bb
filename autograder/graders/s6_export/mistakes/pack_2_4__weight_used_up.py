"""The caller's weight is set to 0 while it is packed.

Source: own.
"""

def pack_2_4(weight: Tensor) -> tuple[Tensor, Tensor]:
    check_shape("weight", weight, "rows", "columns")
    rows, columns = weight.shape
    if columns % 4:
        raise refuse("weight", "columns divisible by 4", weight)
    fours = weight.detach().reshape(-1, 4)
    if bool(((fours != 0).sum(dim=1) > 2).any()):
        raise ValueError("weight: expected at most 2 nonzeros in 4 columns, got more")
    zeros_last = (fours == 0).long().argsort(dim=1, stable=True)
    places = zeros_last[:, :2].sort(dim=1).values
    nibbles = places[:, 0] + 4 * places[:, 1]
    if len(nibbles) % 2:
        nibbles = torch.cat([nibbles, nibbles.new_zeros(1)])
    metadata = (nibbles[0::2] + 16 * nibbles[1::2]).to(torch.uint8)
    values = fours.gather(1, places).reshape(rows, columns // 2)
    weight.zero_()
    return values, metadata
