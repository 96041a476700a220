"""Show a net as a web page: python src/serve.py models/RUN (flags: --help)."""

from chainer_cifar_command import script

if __name__ == '__main__':
    script('serve')
