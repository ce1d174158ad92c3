"""Second and higher derivatives: through the same rules, and through compositions."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq.ops.primitive import Primitive


def leaf(*shape: int) -> tg.Tensor:
    return tg.randn(*shape, dtype=np.float64, requires_grad=True)


def test_derivatives_of_a_power_up_to_the_fourth():
    x = tg.tensor(np.array(1.7), requires_grad=True)
    y, expected = x**5, []
    got = []
    for order in range(1, 5):
        (y,) = tg.grad(y, [x], create_graph=True)
        got.append(y.item())
        expected.append(np.prod([5 - k for k in range(order)]) * 1.7 ** (5 - order))
    np.testing.assert_allclose(got, expected, rtol=1e-13)


def test_third_derivative_of_tanh():
    x = tg.tensor(np.array(0.3), requires_grad=True)
    y = tg.tanh(x)
    for _ in range(3):
        (y,) = tg.grad(y, [x], create_graph=True)
    t = np.tanh(0.3)
    np.testing.assert_allclose(y.item(), -2 * (1 - t**2) * (1 - 3 * t**2), rtol=1e-12)


def test_create_graph_gradient_penalty(torch):
    """‖∇‖² penalties are the usual use; PyTorch is the oracle."""
    x, w = np.random.default_rng(0).standard_normal((2, 4, 4))
    ours = [tg.tensor(v, requires_grad=True) for v in (x, w)]
    theirs = [torch.tensor(v, requires_grad=True) for v in (x, w)]
    (g,) = tg.grad(tg.tanh(ours[0] @ ours[1]).sum(), [ours[0]], create_graph=True)
    (g * g).sum().backward()
    (h,) = torch.autograd.grad(
        torch.tanh(theirs[0] @ theirs[1]).sum(), [theirs[0]], create_graph=True
    )
    (h * h).sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-10)


def test_backward_with_create_graph_leaves_differentiable_gradients():
    x = leaf(3)
    (x**3).sum().backward(create_graph=True)
    assert x.grad is not None
    assert x.grad.requires_grad
    np.testing.assert_allclose(tg.grad(x.grad.sum(), x).numpy(), 6 * x.numpy())


def fused(rule_factor: float = 1.0) -> Primitive:
    """a·b² as a fused op whose own rule is right to first order only."""
    op = Primitive(
        lambda a, b: (a * b * b, 2 * a * b), name="ab2", residuals=("slope",),
        composition=lambda a, b: a * b * b,
    )  # fmt: skip
    # What the rule returns is no function of Tensors a and b: differentiated again it would give 0.
    op.vjp_all(lambda g, b, slope: (g * b * b, g * slope * rule_factor))
    return op


def test_a_fused_op_uses_its_rule_once_and_its_composition_beyond():
    a, b = leaf(3), leaf(3)
    first = tg.grad(fused()(a, b).sum(), b)
    np.testing.assert_allclose(first.numpy(), 2 * a.numpy() * b.numpy())
    doubled = tg.grad(fused(2.0)(a, b).sum(), b)  # so the rule it is
    np.testing.assert_allclose(doubled.numpy(), 4 * a.numpy() * b.numpy())
    (slope,) = tg.grad(fused(2.0)(a, b).sum(), [b], create_graph=True)  # and here it is not
    np.testing.assert_allclose(slope.numpy(), 2 * a.numpy() * b.numpy())
    np.testing.assert_allclose(tg.grad(slope.sum(), b).numpy(), 2 * a.numpy())


def test_a_composition_stops_at_the_ops_inputs_even_if_one_was_made_from_another():
    a = leaf(3)
    b = tg.exp(a)  # ∂L/∂a of the op alone must not run on through b
    out = fused()(a, b).sum()
    (g,) = tg.grad(out, [a], create_graph=True)
    a_ = a.numpy()
    np.testing.assert_allclose(g.numpy(), np.exp(2 * a_) * (1 + 2 * a_), rtol=1e-12)
    np.testing.assert_allclose(tg.grad(g.sum(), a).numpy(), np.exp(2 * a_) * (4 + 4 * a_))


def test_several_outputs_differentiate_twice():
    x = leaf(4)
    left, right = tg.split(x, 2)
    (g,) = tg.grad((left**3 * right).sum(), [x], create_graph=True)
    got = tg.grad(g.sum(), x).numpy()
    l, r = x.numpy()[:2], x.numpy()[2:]
    np.testing.assert_allclose(got, np.concatenate([6 * l * r + 3 * l**2, 3 * l**2]))


# ---------------------------------------------------------------------- functions of functions


def test_jacobian_of_a_linear_map_is_the_matrix(device):
    w = tg.randn(3, 4, dtype=np.float64, device=device)
    x = tg.randn(4, dtype=np.float64, device=device)
    np.testing.assert_allclose(tg.jacobian(lambda x: w @ x, x).numpy(), w.numpy())


def test_jacobian_of_several_inputs_and_of_none():
    x, y = leaf(2), leaf(3)
    by_x, by_y = tg.jacobian(lambda x, y: tg.outer(x, y), (x, y))
    assert by_x.shape == (2, 3, 2)
    assert by_y.shape == (2, 3, 3)
    np.testing.assert_allclose(by_x.numpy()[1, :, 1], y.numpy())
    assert not tg.jacobian(lambda x: tg.ones(2), x).numpy().any()


def test_jacobian_can_be_differentiated_in_its_turn():
    x = leaf(3)
    slopes = tg.jacobian(lambda x: x**3, x, create_graph=True)  # diag(3x²)
    np.testing.assert_allclose(tg.grad(slopes.sum(), x).numpy(), 6 * x.numpy())


def test_jvp_and_vjp_are_transposes(device):
    x, u = tg.randn(2, 4, dtype=np.float64, device=device)
    v = tg.randn(3, dtype=np.float64, device=device)
    w = tg.randn(3, 4, dtype=np.float64, device=device)

    def f(x):
        return tg.tanh(w @ x)

    out, ju = tg.jvp(f, x, u)
    _, vj = tg.vjp(f, x, v)
    np.testing.assert_allclose((v * ju).sum().item(), (vj * u).sum().item(), rtol=1e-12)
    eps = 1e-6
    numeric = (f(x + u * eps).numpy() - f(x - u * eps).numpy()) / (2 * eps)
    np.testing.assert_allclose(ju.numpy(), numeric, atol=1e-8)
    np.testing.assert_array_equal(out.numpy(), f(x).numpy())


def test_hessian_is_symmetric_and_hvp_is_its_product():
    x, v = tg.randn(2, 3, dtype=np.float64)

    def f(x):
        return (tg.exp(x) * x.sum()).sum()

    h = tg.hessian(f, x).numpy()
    e = np.exp(x.numpy())
    expected = np.diag(e * x.numpy().sum()) + e[:, None] + e[None, :]
    np.testing.assert_allclose(h, expected, rtol=1e-12)
    np.testing.assert_allclose(tg.hvp(f, x, v)[1].numpy(), h @ v.numpy(), rtol=1e-12)


def test_linear_functions_have_zero_second_derivatives():
    x = leaf(3)
    assert not tg.hessian(lambda x: (2 * x).sum(), x).numpy().any()
    assert not tg.hvp(lambda x: (2 * x).sum(), x, tg.ones(3, dtype=np.float64))[1].numpy().any()


def test_grad_leaves_dot_grad_alone_and_prunes():
    x, y = leaf(3), leaf(3)
    inner = x * y
    (g,) = tg.grad((inner * inner).sum(), [inner])
    np.testing.assert_allclose(g.numpy(), 2 * inner.numpy())
    assert x.grad is None
    assert y.grad is None


def test_grad_of_what_is_not_used():
    x, y = leaf(3), leaf(3)
    with pytest.raises(tg.errors.GraphError, match="do not depend on input 1"):
        tg.grad(x.sum(), [x, y])
    got = tg.grad(x.sum(), [x, y], allow_unused=True)
    assert got[1] is None
    assert got[0] is not None


def test_grad_weights_several_outputs():
    x = leaf(3)
    got = tg.grad([x * 2, x * 3], x, [np.ones(3), np.full(3, 10.0)])
    np.testing.assert_array_equal(got.numpy(), [32, 32, 32])


@pytest.mark.parametrize(
    ("w", "h1", "inputs", "expected"),
    [
        (3, 0, (0, 0), 0.0211438),
        (3, 0.5, (-1, -1), 6.1184),
        (3, 0, (-0.5, -0.5), 9),
        (0.2, 0, (-0.5, -0.5), 0.04),
    ],
)
def test_the_toy_chain(w, h1, inputs, expected):
    """∂h₃/∂h₁ of h_t = tanh(w·h_{t−1} + 2·x_t + 1): w²(1 − h₂²)(1 − h₃²)."""

    def chain(h):
        for x in inputs:
            h = tg.tanh(w * h + 2 * x + 1)
        return h

    digits = len(str(expected).partition(".")[2])
    start = tg.tensor(np.array(float(h1)), requires_grad=True)
    by_tape = tg.grad(chain(start), start).item()
    by_jacobian = tg.jacobian(chain, start).item()
    eps = 1e-6
    by_difference = (chain(start + eps).item() - chain(start - eps).item()) / (2 * eps)
    for got in (by_tape, by_jacobian, by_difference):
        assert round(got, digits) == expected
