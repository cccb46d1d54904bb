"""Only the mode of the whole network is restored, and that of every submodule becomes the same.

Source: curriculum list.
"""

import io


def export_onnx(model, sample, dynamic_batch=True, opset=21):
    check_int("opset", opset, *OPSETS)
    mode = model.training
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
        model.train(mode)
    exported = onnx.load_model_from_string(file.getvalue())
    raise_opset(exported, opset)
    return write_model(exported)
