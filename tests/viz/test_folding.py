"""Time steps that repeat each other are found, and nothing else is."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.models import Seq2Seq
from tinygrad_seq.viz.folding import Folding


def leaf(*shape):
    return tg.randn(*shape, dtype=np.float64).requires_grad_()


def ops_of(folding):
    """The ops of each loop's steps by name."""
    return [
        [[None if op is None else folding.nodes[op].op for op in step] for step in steps]
        for steps in folding.loops
    ]


def folded(loss, **options):
    return Folding(tg.graph(loss).nodes, **options)


def rnn(steps, x=None, h=None, each=lambda h: None):
    """h_t = tanh(W h_{t−1} + x_t + b)."""
    W, b = leaf(3, 3), leaf(3)
    x = tg.ones((steps, 2, 3), dtype=np.float64) if x is None else x
    h = tg.zeros((2, 3), dtype=np.float64) if h is None else h
    for t in range(steps):
        h = tg.tanh(h @ W + x[t] + b)
        each(h)
    return h


STEP = ["matmul", "add", "add", "tanh"]


@pytest.mark.parametrize("steps", [3, 4, 50])
def test_a_loop_over_a_cell_is_one_step(steps):
    assert ops_of(folded(rnn(steps).sum())) == [[STEP] * steps]


def test_two_steps_are_not_folded_and_none_if_not_wanted():
    assert folded(rnn(2).sum()).loops == []
    assert folded(rnn(9).sum(), fold=False).loops == []


def test_a_first_state_that_needs_a_gradient():
    assert ops_of(folded(rnn(5, h=leaf(2, 3)).sum())) == [[STEP] * 5]


def test_inputs_that_are_taken_from_a_leaf():
    (steps,) = ops_of(folded(rnn(5, x=leaf(5, 2, 3)).sum()))
    assert len(steps) == 5
    assert all(sorted(step) == sorted([*STEP, "basic_getitem"]) for step in steps)


@pytest.mark.parametrize("cell", [nn.RNNCell, nn.GRUCell, nn.LSTMCell])
@pytest.mark.parametrize("start", ["none", "first", "zero"])
def test_a_read_out_and_a_sum_of_losses_belong_to_the_step(cell, start):
    net, head = cell(2, 3), nn.Linear(3, 4)
    state, total = None, None if start == "none" else 0.0
    for _ in range(6):
        state = net(tg.randn(2, 2), state)
        h = state[0] if isinstance(state, tuple) else state
        loss = tg.cross_entropy(head(h), tg.tensor(np.array([0, 1])))
        total = loss if total is None else total + loss
    folding = folded(total)
    (steps,) = folding.loops
    assert len(steps) == 6
    assert len(folding.roles) == sum(n.kind == "op" for n in folding.nodes)
    assert None not in steps[1]


def test_what_surrounds_a_loop_is_left_out():
    W = leaf(3, 3)
    h = tg.tanh(tg.exp(leaf(2, 3)) @ W)
    h = rnn(5, h=h)
    folding = folded(tg.sin(h * h).sum())
    assert ops_of(folding) == [[STEP] * 5]
    rest = [n.op for i, n in enumerate(folding.nodes) if n.op and i not in folding.roles]
    assert rest == ["exp", "matmul", "tanh", "mul", "sin", "sum"]


def test_layers_with_weights_of_their_own_are_loops_of_their_own():
    hs = []
    rnn(5, each=hs.append)
    top = rnn(5, x=hs)
    assert ops_of(folded(top.sum())) == [[STEP] * 5, [STEP] * 5]


def test_a_deep_net_is_no_loop():
    x = leaf(2, 3)
    for _ in range(6):
        x = tg.tanh(x @ leaf(3, 3) + leaf(3))
    assert folded(x.sum()).loops == []


def test_steps_wired_otherwise_are_no_loop():
    """The same ops each time, but the fourth reaches back to the very first state."""
    W = leaf(3, 3)
    states = [leaf(2, 3)]
    for t in range(6):
        states.append(tg.tanh(states[0 if t == 3 else -1] @ W))
    loops = ops_of(folded(states[-1].sum() + states[3].sum()))
    assert loops == [[["matmul", "tanh"]] * 3, [["matmul", "tanh"]] * 3]


def test_a_state_from_two_steps_before():
    W, old, h = leaf(3, 3), tg.ones((2, 3), dtype=np.float64), leaf(2, 3)
    for _ in range(6):
        old, h = h, tg.tanh(h @ W) + old
    (steps,) = ops_of(folded(h.sum()))
    assert len(steps) == 6


def test_a_later_loop_may_read_an_earlier_one():
    hs = []
    rnn(5, each=hs.append)
    V = leaf(3, 2)
    total = 0.0
    for h in hs:
        total = total + ((h @ V) ** 2).sum()
    loops = ops_of(folded(total))
    assert [len(steps) for steps in loops] == [5, 5]
    assert sorted(loops[1][1]) == sorted(["matmul", "pow", "sum", "add"])


def test_what_is_fed_back_is_missing_in_one_step():
    W, V, U = leaf(3, 3), leaf(3, 3), leaf(3, 3)
    h, y = leaf(2, 3), None
    for _ in range(6):
        x = h if y is None else h + tg.exp(y @ V)
        h = tg.tanh(x @ W)
        y = tg.sin(h @ U)
    folding = folded(y.sum())
    (steps,) = ops_of(folding)
    assert len(steps) == 6
    assert len(folding.roles) == 6 * 4 + 5 * 3
    assert [None in step for step in steps[1:-1]] == [False] * 4


def test_a_decoder_with_attention_has_as_many_steps_as_it_says():
    model = Seq2Seq(9, 8, 4, hidden=5, kind="gru", attention="additive", input_feeding=True)
    source, target = tg.ones((7, 3), dtype=np.int64), tg.ones((6, 3), dtype=np.int64)
    (steps,) = ops_of(folded(model.loss(source, target)))
    assert len(steps) == 6


def test_every_op_has_one_role_and_no_step_is_out_of_order():
    folding = folded(rnn(30, x=leaf(30, 2, 3)).sum())
    for loop, steps in enumerate(folding.loops):
        numbers = [op for step in steps for op in step if op is not None]
        assert numbers == sorted(set(numbers))
        for r, step in enumerate(steps):
            for a, op in enumerate(step):
                assert op is None or folding.roles[op] == (loop, a, r)


def test_ten_thousand_steps():
    w, h = leaf(2), leaf(2)
    for _ in range(10_000):
        h = tg.tanh(h * w)
    (steps,) = folded(h.sum()).loops
    assert (len(steps), len(steps[0])) == (10_000, 2)


def test_no_ops_at_all():
    assert folded(leaf(2)).loops == []
