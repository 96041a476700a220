"""Initial weights from files: of ours, of Keras, of PyTorch; and links that do not train."""
