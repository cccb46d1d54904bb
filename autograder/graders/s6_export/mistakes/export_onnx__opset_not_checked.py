"""An opset outside 18..25 is exported instead of refused.

Source: own.
"""

import io


def export_onnx(model, sample, dynamic_batch=True, opset=21):
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
                opset_version=max(7, min(int(opset), 23)),
                dynamic_axes=axes,
                dynamo=False,
            )
    finally:
        for module, mode in modes.items():
            module.training = mode
    exported = onnx.load_model_from_string(file.getvalue())
    raise_opset(exported, opset)
    return write_model(exported)
