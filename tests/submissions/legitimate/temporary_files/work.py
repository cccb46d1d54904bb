import json
import tempfile
from pathlib import Path

import numpy as np
import torch


def normalise(x):
    torch.save(x, "x.pt")
    x = torch.load("x.pt")
    np.save("x.npy", x.numpy())
    Path("notes").mkdir()
    Path("notes/a.json").write_text(json.dumps({"mean": float(x.mean())}))
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile() as file:
        Path(folder, "y").write_bytes(b"y")
        file.write(b"z")
    return (x - x.mean()) / x.std(unbiased=False)
