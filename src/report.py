"""Write a report of runs as an HTML page: python src/report.py RUN… (flags: --help)."""

from chainer_cifar_command import script

if __name__ == '__main__':
    script('report')
