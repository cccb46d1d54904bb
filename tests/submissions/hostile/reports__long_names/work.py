Long = type("L" * 1_000_000, (Exception,), {})
code = compile("def f():\n    raise Long\n", "<" + "f" * 100_000 + ">.py", "exec")
exec(code)


def normalise(x):
    f()
