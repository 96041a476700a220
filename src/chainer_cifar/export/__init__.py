"""Trained nets as ONNX files, which other programs run: writing, checking and reading them."""
