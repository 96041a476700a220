"""Do the ReLU that follows a function together with it, in one pass over the memory.

In ``F.relu(bn(x))`` the normalization is called before anything is known of the ReLU. So it
guesses: it computes ``relu(h)`` and returns ``h`` as a `Foreseen` variable. A ReLU that comes next
takes the result that is waiting. Anybody else who looks at ``h`` sees an ordinary array, which is
computed at that moment, and at this place in the net nothing is guessed any more.
"""

import copy

import chainer
from chainer.functions.activation.relu import ReLU

from chainer_onednn.replace import replaces


class Guess:
    """An output ``h`` that has not been computed, and ``relu(h)``, which has.

    Args:
        rectified (numpy.ndarray): ``relu(h)``.
        compute (callable): Returns ``h``, from arrays that nobody changes before the backward pass.
        place (dict): Where in the net this is; see `place_of`.
    """

    def __init__(self, rectified, compute, place):
        self.rectified = rectified
        self.compute = compute
        self._place = place
        self.relus = 0  # how many took the result
        self.looked_at = False  # did anybody want h itself?
        self.relu_looks = False  # is a ReLU looking just now?
        self.unmasked = False  # does a gradient that was not yet masked come back?

    def wrong(self):
        self.looked_at = True
        self._place['guess'] = False

    def only_relu(self, node):
        """Was one ReLU the only use of ``h`` (of this node), now and for ever?"""
        return self.relus == 1 and not self.looked_at and is_unseen(node)


def place_of(x, parameter):
    """Notes on one place in a net, kept with the parameter that is used there.

    Args:
        x: What the function is applied to. An array that comes from outside of the graph may be
            a buffer with other contents soon; one from within is nobody's to change before the
            backward pass.
        parameter: If it is a chainer.Parameter, the notes are kept with it.

    Returns:
        dict or None: None where nothing should be guessed.
    """
    if (
        not isinstance(parameter, chainer.Parameter)
        or getattr(x, 'creator_node', None) is None
        or not chainer.config.enable_backprop
        or is_watched()
    ):
        return None
    place = parameter.__dict__.setdefault('_chainer_onednn', {'guess': True})
    return place if place['guess'] else None


def foresee(variable, guess):
    """Make a function's new output variable, which holds ``relu(h)``, stand for ``h``."""
    variable.__dict__['_guess'] = guess
    variable.__class__ = Foreseen


class Foreseen(chainer.Variable):
    """A variable that computes its array when somebody looks at it, which usually nobody does."""

    @property
    def _data(self):  # all of chainer.Variable reads the array through this list
        guess = self.__dict__['_guess']
        if guess.relu_looks:
            return [guess.rectified]
        guess.wrong()
        self._data = [guess.compute()]
        return self._data

    @_data.setter
    def _data(self, value):
        del self.__dict__['_guess']
        self.__class__ = chainer.Variable
        self._data = value

    @property
    def shape(self):
        return self.__dict__['_guess'].rectified.shape

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def size(self):
        return self.__dict__['_guess'].rectified.size

    @property
    def dtype(self):
        return self.__dict__['_guess'].rectified.dtype

    def __len__(self):
        return self.shape[0]

    def __copy__(self):
        self._data  # noqa: B018 - a copy of the attributes would hold relu(h)
        return copy.copy(self)


@replaces(ReLU, 'apply')
def apply_relu(original, self, inputs):
    (x,) = inputs
    if type(x) is not Foreseen or type(self) is not ReLU or is_watched():
        return original(self, inputs)
    guess = self._guess = x.__dict__['_guess']
    guess.relu_looks = True
    try:
        outputs = original(self, inputs)
    finally:
        guess.relu_looks = False
    guess.relus += 1
    return outputs


@replaces(ReLU, 'backward')
def relu_backward(original, self, indexes, grad_outputs):
    guess = getattr(self, '_guess', None)
    if guess is None or not guess.only_relu(self.inputs[0]):
        return original(self, indexes, grad_outputs)
    # The function behind masks the gradient itself, together with its own work.
    guess.unmasked = True
    return grad_outputs


@replaces(chainer.variable.VariableNode, 'get_variable')
def get_variable(original, self):
    # Who walks the graph may ask for the gradient of any node of it.
    self._chainer_onednn_asked = True
    return original(self)


def is_unseen(node):
    """During a backward pass: is the gradient of this node nobody's business but its creator's?"""
    return (
        node.get_variable_or_none() is None
        and not getattr(node, '_chainer_onednn_asked', False)
        and not node.creator_node.local_function_hooks
        and not chainer.config.enable_backprop  # a graph for second derivatives would be made
        and not is_watched()
    )


def is_watched():
    """Would somebody see the arrays between functions?"""
    return chainer.is_debug() or bool(chainer.get_function_hooks())
