"""What the strategies draw is what their docstrings say."""

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

import tinygrad_seq as tg
from tinygrad_seq import nn, ops
from tinygrad_seq.errors import ArgumentError
from tinygrad_seq.gradcheck import strategies as some
from tinygrad_seq.ops.primitive import Primitive
from tinygrad_seq.ops.sample import Sample

FEW = settings(max_examples=25)


@FEW
@given(some.tensors(avoid=(-1.0, 0.0), margin=0.2), some.tensors((3,), low=0.1, high=2.0))
def test_values_stay_off_what_is_avoided_and_in_their_range(x, positive):
    values = x.numpy()
    assert (np.abs(values) >= 0.2).all()
    assert (np.abs(values + 1.0) >= 0.2).all()
    assert (positive.numpy() >= 0.1).all()
    assert (positive.numpy() < 2.0).all()


def test_without_avoid_they_come_near():
    near = lambda x: bool((np.abs(x.numpy()) < 0.2).any())
    assert near(find(some.tensors((4,)), near))


def test_a_range_that_is_all_avoided_is_refused():
    with pytest.raises(ArgumentError, match=r"at least 0.6 from \[0.5\]"):
        find(some.arrays((3,), low=0.0, high=1.0, avoid=0.5, margin=0.6), lambda x: True)


@FEW
@given(some.inputs(("n", "k"), ("k", 2), st.sampled_from([0, -1]), "kept", device=some.devices(),
                   dtype=some.dtypes(), max_side=3))  # fmt: skip
def test_inputs_fit_each_other(drawn):
    a, b, axis, kept = drawn
    assert a.shape[1] == b.shape[0] <= 3
    assert b.shape[1] == 2
    assert axis in (0, -1)
    assert kept == "kept"
    assert a.device == b.device
    assert a.dtype == b.dtype
    assert (a @ b).sum(axis=axis).ndim == 1


@pytest.mark.parametrize(
    "wanted",
    [
        lambda a: a.device.type == "strict",
        lambda a: a.dtype == np.float32,
        lambda a: a.shape == (4, 4),
        lambda a: a.device.type == "cpu" and a.ndim == 2 and not a.data.flags.c_contiguous,
    ],
)
def test_inputs_vary(wanted):
    device, dtype = some.devices(), some.dtypes()
    find(some.inputs(("n", "k"), device=device, dtype=dtype), lambda drawn: wanted(drawn[0]))


@FEW
@given(some.sequences(features=3, device=some.devices()))
def test_sequences_are_padded_with_zeros(drawn):
    x, lengths = drawn
    steps, batch, width = x.shape
    assert (width, batch) == (3, len(lengths))
    assert max(lengths) == steps
    assert min(lengths) >= 1
    host = x.to("cpu").numpy()
    for b, length in enumerate(lengths):
        assert (host[length:, b] == 0).all()
        assert (host[:length, b] != 0).all()


@FEW
@given(some.sequences(batch_first=True, dtype=np.float32, layouts=("contiguous",)))
def test_sequences_may_have_the_batch_first(drawn):
    assert drawn.x.shape[0] == len(drawn.lengths)
    assert drawn.x.shape[1] == max(drawn.lengths)
    assert drawn.x.dtype == np.float32


@settings(max_examples=10)
@given(some.sequences(max_steps=4, max_batch=2, features=2))
def test_a_layer_is_right_on_any_sequences(drawn):
    layer = nn.GRU(2, 2, dtype=np.float64)
    assert tg.gradcheck(lambda x: layer(x, None, drawn.lengths), drawn.x, fast=True)


@FEW
@given(some.samples(ops.registry["where"], device=some.devices()))
def test_samples_are_what_an_op_declares(call):
    shapes = {tuple(x.shape for x in call.inputs)}
    declared = ops.registry["where"].samples
    assert shapes <= {tuple(a for a in s.args if isinstance(a, tuple)) for s in declared}
    assert tg.gradcheck(call.fn, call.inputs)


def test_samples_need_something_to_check():
    with pytest.raises(ArgumentError, match="that declares samples"):
        find(some.samples(Primitive(lambda x: x, name="bare")), lambda call: True)
    no_rule = Primitive(lambda x: x > 0, name="positive", samples=[Sample((2,))])
    with pytest.raises(ArgumentError, match="that can be differentiated"):
        find(some.samples(no_rule), lambda call: True)
    with pytest.raises(ArgumentError, match="max_steps"):
        find(some.sequences(max_steps=0), lambda drawn: True)


def test_they_find_an_op_that_is_wrong_on_rare_shapes():
    def scale(x, w):
        return x * w

    # Right, unless the second operand was broadcast along the last axis.
    rule = lambda g, x, w_shape: g * x if w_shape[-1:] != (1,) else 2 * g * x
    wrong = Primitive(scale, name="wrong").vjp(x=lambda g, w: g * w, w=rule)

    def fails(drawn):
        return not tg.gradcheck(wrong, drawn, raise_exception=False)

    x, w = find(some.inputs(("n", "k"), ("m",)).filter(_fits), fails)
    assert w.shape == (1,)
    assert x.size == 1  # the smallest that shows it


def _fits(drawn):
    x, w = drawn
    return w.shape[0] in (1, x.shape[1])
