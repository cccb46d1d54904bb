"""The modes of the submodules are restored only if the export succeeds.

Source: curriculum list.
"""

import io


def export_onnx(model, sample, dynamic_batch=True, opset=21):
    check_int("opset", opset, *OPSETS)
    modes = {module: module.training for module in model.modules()}
    axes = {"input": {0: "N"}, "output": {0: "N"}} if dynamic_batch else None
    file = io.BytesIO()
    model.eval()
    if True:
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
    if True:
        for module, mode in modes.items():
            module.training = mode
    exported = onnx.load_model_from_string(file.getvalue())
    raise_opset(exported, opset)
    return write_model(exported)
