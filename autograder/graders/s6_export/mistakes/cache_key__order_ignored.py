"""The order of the batches does not count.

Source: own.
"""

def cache_key(model_bytes: bytes, batches: Sequence[Array]) -> str:
    digest = hashlib.sha256(f"{len(model_bytes)} {len(batches)} ".encode() + model_bytes)
    for batch in sorted(batches, key=lambda each: each.tobytes()):
        digest.update(f"{batch.dtype.str} {batch.shape} ".encode())
        digest.update(np.ascontiguousarray(batch).tobytes())
    return digest.hexdigest()
