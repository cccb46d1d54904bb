"""Dtypes of the batches do not count.

Source: own.
"""

def cache_key(model_bytes: bytes, batches: Sequence[Array]) -> str:
    digest = hashlib.sha256(f"{len(model_bytes)} {len(batches)} ".encode() + model_bytes)
    for batch in batches:
        digest.update(f"{batch.shape} ".encode())
        digest.update(np.ascontiguousarray(batch, batch.dtype).tobytes())
    return digest.hexdigest()
