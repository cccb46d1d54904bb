import sys


class Anything:
    __name__ = property(lambda self: 1 / 0)

    def __getattr__(self, name):
        return lambda *args, **kwargs: Anything()


sys.modules[__name__] = Anything()
