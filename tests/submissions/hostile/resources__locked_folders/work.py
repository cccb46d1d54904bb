import os


def normalise(x):
    for name in (b"plain", b"\xff\xfe", b"-rf", b"new\nline", b"x" * 250):
        os.mkdir(name, 0o000)
        with open(name + b".txt", "w"):
            pass
        os.chmod(name + b".txt", 0o000)
    os.mkdir("a", 0o700)
    os.mkdir("a/b", 0o000)
    os.chmod("a", 0o000)
    os.chmod(".", 0o000)
    return x
