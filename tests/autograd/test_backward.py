"""The backward loop: what arrives where, in which order, and what is freed."""

import gc
import time
import weakref

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq.errors import GraphError, ShapeError
from tinygrad_seq.ops.primitive import Primitive


def leaf(*shape: int, device: str = "cpu") -> tg.Tensor:
    return tg.randn(*shape, dtype=np.float64, device=device, requires_grad=True)


def values(t: tg.Tensor | None) -> np.ndarray:
    assert t is not None
    return t.numpy()


def test_product_rule_by_hand(device):
    a, b = leaf(3, device=device), leaf(3, device=device)
    (a * b + a).sum().backward()
    np.testing.assert_allclose(values(a.grad), values(b) + 1)
    np.testing.assert_allclose(values(b.grad), values(a))


def test_a_tensor_used_many_times_gets_the_sum(device):
    x = leaf(4, device=device)
    y = x * x  # used three times, itself from x twice
    (y + y * y + y).sum().backward()
    x_ = values(x)
    np.testing.assert_allclose(values(x.grad), 4 * x_ + 4 * x_**3)


def test_diamond_is_entered_once_per_side():
    x = leaf(())
    left, right = tg.tanh(x), tg.exp(x)
    (left * right).backward()
    x_ = values(x)
    np.testing.assert_allclose(values(x.grad), np.exp(x_) * (1 - np.tanh(x_) ** 2 + np.tanh(x_)))


def test_broadcast_is_summed_back(device):
    row, column, scalar = leaf(4, device=device), leaf(3, 1, device=device), leaf(device=device)
    (row * column * scalar).sum().backward()
    np.testing.assert_allclose(values(row.grad), values(scalar) * values(column).sum() * np.ones(4))
    assert values(column.grad).shape == (3, 1)
    np.testing.assert_allclose(values(scalar.grad), values(row).sum() * values(column).sum())


def test_gradients_take_the_dtype_of_their_input():
    single = tg.randn(3, dtype=np.float32, requires_grad=True)
    double = leaf(3)
    (single * double).sum().backward()
    assert single.grad is not None
    assert single.grad.dtype == np.float32
    assert double.grad is not None
    assert double.grad.dtype == np.float64


def test_backward_accumulates_and_leaves_do_not_share_arrays():
    a, b = leaf(3), leaf(3)
    (a + b).sum().backward()  # add hands the very same array to both
    assert a.grad is not None
    a.grad.mul_(2)
    np.testing.assert_array_equal(values(b.grad), np.ones(3))
    held = a.grad
    (a + b).sum().backward()
    assert a.grad is held  # added to in place
    np.testing.assert_array_equal(values(a.grad), 3 * np.ones(3))


def test_a_second_backward_raises_unless_retained():
    x = leaf(3)
    y = tg.tanh(x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(values(x.grad), 2 * (1 - np.tanh(values(x)) ** 2))
    with pytest.raises(GraphError, match="sum: backward a second time"):
        y.backward()


def test_saved_arrays_are_freed_as_backward_proceeds():
    x = leaf(3)
    hidden = tg.exp(x)
    array = weakref.ref(hidden.data)
    y = (hidden * 2).sum()
    del hidden
    assert array() is not None  # exp saves its output
    y.backward()
    assert array() is None


def test_only_what_a_rule_names_is_kept_alive():
    x = leaf(3)
    before_tanh = x * 2.0
    array = weakref.ref(before_tanh.data)
    y = tg.tanh(before_tanh)  # its rule wants the output, not the input
    del before_tanh
    assert array() is None
    y.sum().backward()


def test_a_dropped_graph_needs_no_garbage_collector():
    x = leaf(3)
    gc.disable()
    try:
        y = tg.tanh(tg.exp(x) * x)
        array = weakref.ref(y.data)
        del y
        assert array() is None
    finally:
        gc.enable()


def chain(n: int) -> tuple[tg.Tensor, float]:
    h = x = tg.tensor(np.array(0.5), requires_grad=True)
    started = time.process_time()
    for _ in range(n):
        h = h * 1.00001
    h.backward()
    spent = time.process_time() - started
    del h
    return x, spent


def test_a_graph_100000_ops_deep():
    x, _ = chain(100_000)
    np.testing.assert_allclose(values(x.grad), 1.00001**100_000, rtol=1e-9)


def test_time_is_linear_in_depth():
    per_op = [min(chain(n)[1] for _ in range(3)) / n for n in (2_000, 40_000)]
    assert per_op[1] < 4 * per_op[0]  # quadratic would be 20 times


def test_freeing_an_unused_deep_graph_does_not_recurse():
    h = tg.exp(leaf(()))
    array = weakref.ref(h.data)
    for _ in range(100_000):
        h = h * 1.0
    assert array() is not None  # kept by exp's node, at the far end
    del h
    assert array() is None


def test_outputs_that_nobody_used_count_as_zero(device):
    x = leaf(6, device=device)
    first, *_ = tg.split(x, 3)
    (first * 2).sum().backward()
    np.testing.assert_array_equal(values(x.grad), [2, 2, 0, 0, 0, 0])


def test_backward_wants_a_scalar_or_a_gradient():
    x = leaf(3)
    with pytest.raises(ShapeError, match=r"backward: expected a gradient, or a scalar output"):
        (x * 2).backward()
    with pytest.raises(ShapeError, match=r"a gradient of shape \(3,\), got \(2,\)"):
        (x * 2).backward(np.ones(2))
    (x * 2).backward(np.arange(3.0))
    np.testing.assert_array_equal(values(x.grad), [0, 2, 4])


def test_backward_from_a_constant_raises():
    with pytest.raises(GraphError, match="does not require grad"):
        tg.ones(3).sum().backward()


def test_a_rule_with_a_wrong_shape_is_named():
    op = Primitive(lambda x: x * 2, name="double").vjp(x=lambda g: g[1:])
    y = op(leaf(3)).sum()
    with pytest.raises(ShapeError, match=r"double: .* shape \(2,\) for an input of shape \(3,\)"):
        y.backward()


# ---------------------------------------------------------------------- hooks and retained grads


def test_hooks_see_the_complete_gradient_and_may_replace_it():
    x = leaf(3)
    y = x * 2.0
    seen = []
    remove = y.register_hook(lambda g: seen.append(g.numpy().copy()))
    x.register_hook(lambda g: g * 10)
    (y + y).sum().backward()
    np.testing.assert_array_equal(seen, [[2, 2, 2]])
    np.testing.assert_array_equal(values(x.grad), [40, 40, 40])
    remove()
    (x * 2.0).sum().backward()
    assert len(seen) == 1


def test_retain_grad_keeps_the_gradient_of_an_inner_tensor():
    x = leaf(3)
    y = x * 2.0
    assert y.grad is None
    y.retain_grad()
    (y * y).sum().backward(retain_graph=True)
    np.testing.assert_allclose(values(y.grad), 4 * values(x))
    tg.grad((y * y).sum(), x)  # tg.grad leaves every .grad alone
    np.testing.assert_allclose(values(y.grad), 4 * values(x))


def test_hooks_and_retain_grad_need_a_place_on_the_tape():
    for call in (tg.ones(3).retain_grad, lambda: tg.ones(3).register_hook(print)):
        with pytest.raises(GraphError, match="does not require grad"):
            call()


# ---------------------------------------------------------------------- changed in place


def test_changing_what_a_rule_needs_raises():
    x, c = leaf(3), tg.ones(3, dtype=np.float64)
    y = (x * c).sum()
    c.fill_(5)
    with pytest.raises(GraphError, match="mul: b was changed in place"):
        y.backward()


def test_changing_what_no_rule_needs_is_fine():
    x, c = leaf(3), tg.ones(3, dtype=np.float64)
    y = (x + c).sum()
    c.fill_(5)
    y.backward()
    np.testing.assert_array_equal(values(x.grad), np.ones(3))


@pytest.mark.parametrize(
    "view", [lambda t: t[1:], lambda t: t.reshape(2, 2).T, lambda t: t.detach(), lambda t: t[None]]
)
def test_changing_a_view_changes_the_array(view, device):
    c = tg.ones(4, dtype=np.float64, device=device)
    x = leaf(4, device=device)
    y = (x * c).sum()
    view(c).mul_(3)
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()


def test_a_parameter_changed_between_forward_and_backward_raises():
    x, w = leaf(3), leaf(3)
    y = (x * w).sum()
    with tg.no_grad():
        w.add_(1.0)
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()


def test_changes_before_the_forward_do_not_matter():
    x, w = leaf(3), leaf(3)
    with tg.no_grad():
        w.add_(1.0)
    (x * w).sum().backward()
    np.testing.assert_allclose(values(x.grad), values(w))


def test_stamps_go_with_their_arrays():
    from tinygrad_seq.autograd import changes

    t = tg.ones(3)
    before = len(changes._stamps)
    t.fill_(2)
    assert len(changes._stamps) == before + 1
    del t
    assert len(changes._stamps) == before


def test_a_tensor_that_requires_grad_is_not_changed_while_the_tape_records():
    x = leaf(3)
    for change in (lambda: x.fill_(1), lambda: x.add_(1.0), lambda: x.__setitem__(0, 1.0)):
        with pytest.raises(GraphError, match="cannot be changed in place while the tape records"):
            change()
    with tg.no_grad():
        x[0] = 7.0
    assert x.numpy()[0] == 7
