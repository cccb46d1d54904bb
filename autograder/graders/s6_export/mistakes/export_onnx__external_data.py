"""Weights are saved in a second file beside the model, which the bytes do not hold.

Source: curriculum list.
"""

import io
from pathlib import Path


def export_onnx(model, sample, dynamic_batch=True, opset=21):
    check_int("opset", opset, *OPSETS)
    modes = {module: module.training for module in model.modules()}
    axes = {"input": {0: "N"}, "output": {0: "N"}} if dynamic_batch else None
    file = io.BytesIO()
    try:
        model.eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                (sample,),
                file,
                input_names=["input"],
                output_names=["output"],
                opset_version=min(opset, 23),
                dynamic_axes=axes,
                dynamo=False,
            )
    finally:
        for module, mode in modes.items():
            module.training = mode
    exported = onnx.load_model_from_string(file.getvalue())
    raise_opset(exported, opset)
    options = {"save_as_external_data": True, "size_threshold": 0, "location": "weights.data"}
    onnx.save_model(exported, "model.onnx", **options)
    return Path("model.onnx").read_bytes()
