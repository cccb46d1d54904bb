"""What crosses between judge and worker: frames of one JSON header and raw buffers.

`frames` moves bytes, `values` turns Python values into headers and buffers, `modules` does the
same for trees of `torch.nn` layers. Nothing is ever pickled. Either side treats what it reads as
hostile: every size is checked before anything is allocated.
"""
