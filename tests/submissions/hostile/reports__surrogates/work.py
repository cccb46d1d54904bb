Half = type("Half\ud800", (Exception,), {}) if False else type("Half", (Exception,), {})


def normalise(x):
    print("\ud800\udfff")
    raise Half("\ud800 \udc80 half a character")


def top_sum(x, k):
    return "\ud800"
