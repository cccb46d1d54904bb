ValueError = type("ValueError", (Exception,), {})


def top_sum(x, k):
    raise ValueError("k counts elements of x")
