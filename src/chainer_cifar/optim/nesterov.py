"""SGD with Nesterov's momentum, by the rule of PyTorch and Keras."""

from typing import Any

import chainer
from chainer import optimizer
from chainer.backends import cuda


class NesterovRule(optimizer.UpdateRule):
    """Update one parameter: v = momentum v + g;  p -= lr (g + momentum v)."""

    is_elementwise = True
    cpu_kernel = 'nesterov'  # name of chainer_onednn's kernel for this rule, if that is in use
    _kernel: Any = None  # CuPy's, compiled once

    def init_state(self, param: chainer.Parameter) -> None:
        with chainer.using_device(param.device):
            self.state['v'] = param.device.xp.zeros_like(param.data)

    def update_core_cpu(self, param: chainer.Parameter) -> None:
        if param.grad is None:
            return
        v, momentum = self.state['v'], self.hyperparam.momentum
        v *= momentum
        v += param.grad
        step = v * momentum
        step += param.grad
        step *= self.hyperparam.lr
        param.data -= step

    def update_core_gpu(self, param: chainer.Parameter) -> None:
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
    """Nesterov's accelerated gradient as PyTorch computes it, and Keras if lr is constant.

    `chainer.optimizers.NesterovAG` has another rule: with momentum 0.9 a single gradient of 1 moves
    a parameter by 2.71, 0.729, … times lr there, and by 1.9, 0.81, … times lr here.

    Args:
        lr: Learning rate.
        momentum: Share of the velocity that remains in each step.
    """

    lr = optimizer.HyperparameterProxy('lr')
    momentum = optimizer.HyperparameterProxy('momentum')

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__()
        self.hyperparam.lr = lr
        self.hyperparam.momentum = momentum

    def create_update_rule(self) -> NesterovRule:
        return NesterovRule(self.hyperparam)
