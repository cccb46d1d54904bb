class Proxy:
    def __getattr__(self, name):
        return Proxy()

    def __call__(self, *args, **kwargs):
        return Proxy()

    def __bool__(self):
        return True

    def __iter__(self):
        return iter([Proxy()] * 3)

    def __len__(self):
        return 4


def network(inputs, outputs):
    return Proxy()


def top_sum(x, k):
    return Proxy()
