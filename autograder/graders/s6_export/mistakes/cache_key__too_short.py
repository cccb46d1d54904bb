"""The key has 16 digits: two files may share one.

Source: own.
"""

def cache_key(model_bytes: bytes, batches: Sequence[Array]) -> str:
    digest = hashlib.sha256(f"{len(model_bytes)} {len(batches)} ".encode() + model_bytes)
    for batch in batches:
        digest.update(f"{batch.dtype.str} {batch.shape} ".encode())
        digest.update(np.ascontiguousarray(batch).tobytes())
    return digest.hexdigest()[:16]
