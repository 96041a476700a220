"""Write trained weights as an ONNX file: python src/export.py models/RUN --onnx model.onnx."""

from chainer_cifar_command import script

if __name__ == '__main__':
    script('export')
