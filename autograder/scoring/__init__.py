"""The final project: an ONNX file is measured, costed, run and ranked; nothing in it is believed."""
