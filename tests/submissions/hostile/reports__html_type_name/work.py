Evil = type("<b onmouseover=alert(1)>", (), {})
Failing = type("<svg/onload=alert('kind')>", (Exception,), {})


def normalise(x):
    return Evil()


def top_sum(x, k):
    raise Failing("' onfocus=alert(1) autofocus='")
