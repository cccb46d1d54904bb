"""The final project: an ONNX file is measured, costed, run and ranked, never believed."""
