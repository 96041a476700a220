"""Start from the weights in files of ours, of Keras or of PyTorch, and freeze parts of a net."""
