"""Cutting tensors off from their history in place.

``detach()`` gives another tensor; what was computed from the first still leads back. Here the place
on the tape itself becomes a dead end, and lets go of what it kept for its derivative.
"""

from __future__ import annotations

from tinygrad_seq.autograd.modes import modes
from tinygrad_seq.autograd.tape import Node, Output, Place, WideNode
from tinygrad_seq.autograd.tensor import Tensor
from tinygrad_seq.ops.plan import Plan
from tinygrad_seq.ops.primitive import Primitive

#: how a node that was cut off is differentiated: a gradient arrives and nothing comes of it
_NOWHERE = Plan(
    Primitive(lambda: None, name="unchained"), (), (), lambda: (), lambda g, saved: ()
)  # fmt: skip


def unchain(tensor: Tensor) -> None:
    """Make a tensor a constant in place: gradients go no further back than here.

    They no longer do from what was computed from it before, either. A leaf, having no history, is
    left as it is. ``gradcheck`` holds the tensor constant from here on, as it does with
    ``detach()``; what was computed from it before still follows the inputs there.
    """
    place = tensor._node
    if not tensor.is_leaf and place is not None:
        _cut(place)
        _hold(tensor)


def unchain_backward(tensor: Tensor) -> None:
    """Cut off a tensor and all the history behind it, and free what that history kept.

    Whatever else was computed from any of the places behind can no longer be differentiated beyond
    them; leaves keep their ``.grad``. The tensor itself becomes a constant.
    """
    if tensor.is_leaf:
        return
    stack = [tensor._node]
    while stack:
        place = stack.pop()
        if isinstance(place, Output):
            stack.append(place.parent)
        elif isinstance(place, Node):
            stack += place.inputs
            _cut(place)
    _hold(tensor)


def _cut(place: Place) -> None:
    """Make a place a dead end."""
    if isinstance(place, Output):  # the other outputs of its op stay connected
        place.parent, place.index = _dead_end(place), 0
    elif isinstance(place, Node):
        place.plan, place.inputs, place.saved = _NOWHERE, (), ()


def _dead_end(output: Output) -> WideNode:
    """A node of one output, this one's shape, that leads nowhere."""
    node = WideNode(output, _NOWHERE, (), ())
    node.outs = [(output.shape, output.dtype)]
    return node


def _hold(tensor: Tensor) -> None:
    tensor._node = None
    if modes.detach_replay is not None:
        tensor.data = modes.detach_replay(tensor).data
