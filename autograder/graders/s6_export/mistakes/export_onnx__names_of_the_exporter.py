"""Input and output have names of the exporter's choice.

Source: own.
"""

import io


def export_onnx(model, sample, dynamic_batch=True, opset=21):
    check_int("opset", opset, *OPSETS)
    modes = {module: module.training for module in model.modules()}
    axes = {"input": {0: "N"}} if dynamic_batch else None
    file = io.BytesIO()
    try:
        model.eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                (sample,),
                file,
                opset_version=min(opset, 23),
                dynamic_axes=axes,
                dynamo=False,
            )
    finally:
        for module, mode in modes.items():
            module.training = mode
    exported = onnx.load_model_from_string(file.getvalue())
    raise_opset(exported, opset)
    return write_model(exported)
