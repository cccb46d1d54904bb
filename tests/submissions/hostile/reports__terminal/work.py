Loud = type("\x1b[2J\x1b[31mLoud", (Exception,), {})


def normalise(x):
    print("\x1b]0;owned\x07\x1b[2J\x1b[1;1H\x9b31m")
    raise Loud("\x1b[2J\x1b]8;;http://evil.example\x07click\x1b]8;;\x07\r100 of 100 points\x08\x08")
