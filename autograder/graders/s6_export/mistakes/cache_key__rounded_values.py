"""Values are rounded to three digits before they count.

Source: own.
"""

def cache_key(model_bytes: bytes, batches: Sequence[Array]) -> str:
    digest = hashlib.sha256(f"{len(model_bytes)} {len(batches)} ".encode() + model_bytes)
    for batch in batches:
        digest.update(f"{batch.dtype.str} {batch.shape} ".encode())
        digest.update(np.ascontiguousarray(batch.round(3)).tobytes())
    return digest.hexdigest()
