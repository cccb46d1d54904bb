import shared.models
import shared.records
import shared.registry


def normalise(x):
    shared.registry.REGISTRY.clear()
    shared.records.RECORDS.clear()
    shared.models.MLP = None
    shared.quail = "@ESCAPED@"
    return x


def encode(x):
    if hasattr(shared, "quail") or not shared.registry.REGISTRY:
        print("@ESCAPED@")
    return b""
