"""Momentum SGD of Nesterov's kind, by the rule of PyTorch and Keras."""

import chainer
from chainer import optimizer
from chainer.backends import cuda


class NesterovRule(optimizer.UpdateRule):
    """v = momentum v + g;  p -= lr (g + momentum v), of one parameter."""

    is_elementwise = True
    cpu_kernel = 'nesterov'  # chainer_onednn's of this rule, where it is in use
    _kernel = None

    def init_state(self, param):
        with chainer.using_device(param.device):
            self.state['v'] = param.device.xp.zeros_like(param.data)

    def update_core_cpu(self, param):
        if param.grad is None:
            return
        v, momentum = self.state['v'], self.hyperparam.momentum
        v *= momentum
        v += param.grad
        step = v * momentum
        step += param.grad
        step *= self.hyperparam.lr
        param.data -= step

    def update_core_gpu(self, param):
        if param.grad is None:
            return
        if NesterovRule._kernel is None:
            NesterovRule._kernel = cuda.elementwise(
                'T grad, T lr, T momentum',
                'T param, T v',
                'v = momentum * v + grad; param -= lr * (grad + momentum * v);',
                'nesterov',
            )
        self._kernel(
            param.grad, self.hyperparam.lr, self.hyperparam.momentum, param.data, self.state['v']
        )


class Nesterov(optimizer.GradientMethod):
    """Nesterov's accelerated gradient as PyTorch computes it (Keras: the same at a constant lr).

    `chainer.optimizers.NesterovAG` is another rule: a single gradient of 1 at momentum 0.9 moves a
    parameter by 2.71, 0.729, … times lr there, and by 1.9, 0.81, … here.

    Args:
        lr: Learning rate.
        momentum: What remains of the velocity in each step.
    """

    lr = optimizer.HyperparameterProxy('lr')
    momentum = optimizer.HyperparameterProxy('momentum')

    def __init__(self, lr=0.01, momentum=0.9):
        super().__init__()
        self.hyperparam.lr = lr
        self.hyperparam.momentum = momentum

    def create_update_rule(self):
        return NesterovRule(self.hyperparam)
