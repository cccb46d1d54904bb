"""How images are cut into batches does not count.

Source: own.
"""

def cache_key(model_bytes: bytes, batches: Sequence[Array]) -> str:
    digest = hashlib.sha256(f"{len(model_bytes)} ".encode() + model_bytes)
    for batch in [np.concatenate(batches)] if batches else []:
        digest.update(f"{batch.dtype.str} {batch.shape} ".encode())
        digest.update(np.ascontiguousarray(batch).tobytes())
    return digest.hexdigest()
