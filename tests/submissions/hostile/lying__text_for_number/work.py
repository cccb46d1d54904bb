def top_sum(x, k):
    if k < 1:
        raise ValueError
    return str(float(x.flatten().topk(k).values.sum()))
