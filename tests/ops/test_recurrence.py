"""RNN, LSTM and GRU over a sequence: fused equals composed equals PyTorch equals the textbook."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_seq as tg
from tinygrad_seq import ops
from tinygrad_seq.errors import ArgumentError, DeviceError, DTypeError, ShapeError
from tinygrad_seq.kernels import reference_kernels
from tinygrad_seq.ops.primitive import registry

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
STATES = {"rnn": 1, "lstm": 2, "gru": 1}
size = st.integers(1, 5)


def draw(name, seed=0, T=5, B=2, I=3, H=4, bias=True, dtype=np.float64, scale=0.7):
    """Host arrays for a recurrent op, in the order of its parameters."""
    rng = np.random.default_rng(seed)
    n = GATES[name] * H
    shapes = [(T, B, I), *[(B, H)] * STATES[name], (n, I), (n, H)]
    shapes += [(n,), (n,)] if bias else []
    return [(scale * rng.standard_normal(s)).astype(dtype) for s in shapes]


def leaves(arrays, device="cpu"):
    return [tg.tensor(a.copy(), device=device, requires_grad=True) for a in arrays]


def weighted(outs, seed=1):
    """A scalar that every output element enters with a weight of its own."""
    rng = np.random.default_rng(seed)
    total = 0
    for out in outs:
        weight = rng.standard_normal(out.shape).astype(out.dtype)
        total = total + (out * tg.tensor(weight, device=out.device)).sum()
    return total


def run(fn, arrays, device="cpu", **params):
    """→ outputs and gradients, on the host."""
    tensors = leaves(arrays, device)
    outs = fn(*tensors, **params)
    weighted(outs).backward()
    return [t.detach().numpy() for t in (*outs, *(t.grad for t in tensors))]


def same(got, expected, tol=1e-12):
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        # Rounding in one step grows on the way back through forty: it is small against the largest.
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol * max(1, abs(b).max()))


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sizes", [(5, 2, 3, 4), (1, 1, 1, 1), (40, 3, 2, 5)])
def test_fused_equals_composition_equals_reference(name, dtype, bias, sizes, device):
    op = registry[name]
    arrays = draw(name, 0, *sizes, bias=bias, dtype=dtype)
    tol = 1e-12 if dtype == np.float64 else 2e-5
    expected = run(op.composition, arrays)
    same(run(op, arrays, device), expected, tol)
    same(run(op.composition, arrays, device), expected, tol)
    with reference_kernels():
        same(run(op, arrays, device), expected, tol)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "sigmoid"])
def test_rnn_nonlinearities(nonlinearity, device):
    arrays = draw("rnn")
    expected = run(ops.rnn.composition, arrays, nonlinearity=nonlinearity)
    same(run(ops.rnn, arrays, device, nonlinearity=nonlinearity), expected)


@pytest.mark.parametrize(
    ("name", "used"), [(name, i) for name in GATES for i in range(len(registry[name].outputs))]
)
def test_one_output_that_somebody_used(name, used, device):
    """A gradient that reaches one output only is right too."""
    op, arrays = registry[name], draw(name)
    one = [lambda *a, f=f: [f(*a)[used]] for f in (op, op.composition)]
    expected = run(one[1], arrays)
    same(run(one[0], arrays, device), expected)
    with reference_kernels():
        same(run(one[0], arrays, device), expected)


@pytest.mark.parametrize("name", GATES)
def test_inputs_that_need_no_gradient(name):
    op, arrays = registry[name], draw(name)
    every = run(op, arrays)[-len(arrays) :]
    for wanted in range(len(arrays)):
        tensors = [tg.tensor(a, requires_grad=i == wanted) for i, a in enumerate(arrays)]
        weighted(op(*tensors)).backward()
        same([tensors[wanted].grad.numpy()], [every[wanted]])
        assert all(t.grad is None for i, t in enumerate(tensors) if i != wanted)


@pytest.mark.parametrize("name", GATES)
def test_a_state_may_be_reset_in_place_but_not_the_output(name):
    """The last states are copies; the output is what backward needs."""
    arrays = draw(name)
    expected = run(lambda *args: registry[name](*args)[:1], arrays)[1:]
    tensors = leaves(arrays)
    output, *rest = registry[name](*tensors)
    with tg.no_grad():
        for state in rest[: STATES[name]]:
            state.fill_(0)
    weighted([output]).backward()
    same([t.grad.numpy() for t in tensors], expected)
    for needed in (0, *range(1 + STATES[name], len(rest) + 1)):  # the output, cells and gates
        outs = registry[name](*tensors)
        with tg.no_grad():
            outs[needed].fill_(0)
        with pytest.raises(tg.errors.GraphError, match="changed in place"):
            outs[0].sum().backward()


# ---------------------------------------------------------------------- the oracle


def torch_layer(torch, name, arrays, nonlinearity):
    """The layer of PyTorch with these weights. → outputs and gradients, in our order."""
    count = 1 + STATES[name]
    (x, *states), given = arrays[:count], arrays[count:]
    kind = getattr(torch.nn, name.upper())
    extra = {"nonlinearity": nonlinearity} if name == "rnn" else {}
    hidden = given[1].shape[1]
    layer = kind(x.shape[2], hidden, bias=len(given) > 2, **extra).to(torch.float64)
    with torch.no_grad():
        for parameter, value in zip(layer.parameters(), given, strict=True):
            parameter.copy_(torch.tensor(value))
    x, *states = (torch.tensor(a, requires_grad=True) for a in (x, *states))
    inside = [s[None] for s in states]
    output, last = layer(x, tuple(inside) if name == "lstm" else inside[0])
    outs = [output, *(s[0] for s in (last if name == "lstm" else [last]))]
    rng = np.random.default_rng(1)
    sum((o * torch.tensor(rng.standard_normal(tuple(o.shape)))).sum() for o in outs).backward()
    grads = [v.grad for v in (x, *states, *layer.parameters())]
    return [v.detach().numpy() for v in (*outs, *grads)]


@pytest.mark.oracle
@pytest.mark.parametrize("name", GATES)
@given(T=st.integers(1, 8), B=size, I=size, H=size, bias=st.booleans(),
       nonlinearity=st.sampled_from(["tanh", "relu"]), seed=st.integers(0, 2**32 - 1))  # fmt: skip
def test_equals_pytorch(name, T, B, I, H, bias, nonlinearity, seed):
    torch = pytest.importorskip("torch")
    arrays = draw(name, seed, T, B, I, H, bias)
    params = {"nonlinearity": nonlinearity} if name == "rnn" else {}

    def ours(*args):  # PyTorch gives no cells and no gates
        return registry[name](*args, **params)[: 1 + STATES[name]]

    same(run(ours, arrays), torch_layer(torch, name, arrays, nonlinearity), 1e-10)


# ---------------------------------------------------------------------- higher derivatives


@pytest.mark.parametrize("name", GATES)
def test_second_derivative_against_differences_of_the_first(name, device):
    """The derivative of v·∇L along u, by the composition and by central differences."""
    op, arrays = registry[name], draw(name, T=3)
    rng = np.random.default_rng(2)
    vs, us = ([rng.standard_normal(a.shape) for a in arrays] for _ in range(2))

    def slope(arrays, create_graph):
        tensors = leaves(arrays, device)
        grads = tg.grad(weighted(op(*tensors)).square(), tensors, create_graph=create_graph)
        pairs = zip(grads, vs, strict=True)
        return tensors, sum((g * tg.tensor(v, device=device)).sum() for g, v in pairs)

    tensors, value = slope(arrays, True)
    seconds = tg.grad(value, tensors)
    along = sum((g.numpy() * u).sum() for g, u in zip(seconds, us, strict=True))
    step = 1e-5
    ahead, behind = (
        slope([a + sign * step * u for a, u in zip(arrays, us, strict=True)], False)[1].item()
        for sign in (1, -1)
    )
    assert along == pytest.approx((ahead - behind) / (2 * step), rel=1e-7)


# ---------------------------------------------------------------------- what the books say


def test_rnn_bptt_by_hand(device):
    """The recurrences of backpropagation through time, written out for one stream of vectors."""
    x, h0, W, U, b, _ = arrays = draw("rnn", B=1)
    arrays[-1][:] = 0
    T, H = x.shape[0], len(b)
    hs = {-1: h0[0]}
    for t in range(T):
        hs[t] = np.tanh(W @ x[t, 0] + U @ hs[t - 1] + b)
    dys = np.random.default_rng(3).standard_normal((T, H))  # ∂L/∂h_t from outside
    dW, dU, db, dh_next = np.zeros_like(W), np.zeros_like(U), np.zeros_like(b), np.zeros(H)
    for t in range(T - 1, -1, -1):
        da = (1 - hs[t] ** 2) * (dys[t] + dh_next)
        dW += np.outer(da, x[t, 0])
        dU += np.outer(da, hs[t - 1])
        db += da
        dh_next = U.T @ da

    tensors = leaves(arrays, device)
    output, _ = ops.rnn(*tensors)
    (output * tg.tensor(dys[:, None], device=device)).sum().backward()
    same([output.detach().numpy()[:, 0]], [np.stack([hs[t] for t in range(T)])])
    _, g_h0, g_W, g_U, g_b, _ = (t.grad.numpy() for t in tensors)
    same([g_W, g_U, g_b, g_h0[0]], [dW, dU, db, dh_next])


@pytest.mark.parametrize("name", GATES)
def test_one_matrix_of_the_concatenated_form(name):
    """[W_ih W_hh] times [x; h] is W_ih x + W_hh h: columns 1–3 belong to x, 4–5 to h."""
    x, *states, w_ih, w_hh, b_ih, b_hh = draw(name, I=3, H=2)
    W = np.concatenate([w_ih, w_hh], axis=1)
    assert W.shape == (2 * GATES[name], 5)
    h, c = states[0], states[-1]
    for x_t in x:
        a = np.concatenate([x_t, h], axis=1) @ W.T + b_ih + b_hh
        if name == "gru":  # what h adds to n is multiplied by r on its own
            r, z = (1 / (1 + np.exp(-a[:, k : k + 2])) for k in (0, 2))
            n = np.tanh(a[:, 4:] + (r - 1) * (h @ w_hh[4:].T + b_hh[4:]))
            h = (1 - z) * n + z * h
        elif name == "rnn":
            h = np.tanh(a)
        else:
            i, f, o = (1 / (1 + np.exp(-a[:, k : k + 2])) for k in (0, 2, 6))
            c = f * c + i * np.tanh(a[:, 4:6])
            h = o * np.tanh(c)
    output, *last = registry[name](x, *states, w_ih, w_hh, b_ih, b_hh)[: 1 + STATES[name]]
    same([output[-1], *last], [h, h, *([c] if name == "lstm" else [])])


@pytest.mark.parametrize("name", GATES)
def test_tied_gradient_is_the_sum_over_untied_copies(name):
    x, *states, w_ih, w_hh, b_ih, b_hh = draw(name)
    tied = leaves([w_ih, w_hh, b_ih, b_hh])
    output, *_ = registry[name](x, *states, *tied)
    output.sum().backward()
    copies = [leaves([w_ih, w_hh, b_ih, b_hh]) for _ in x]
    total, carried = 0, states
    for x_t, weights in zip(x, copies, strict=True):
        out, *carried = registry[name](x_t[None], *carried, *weights)[: 1 + STATES[name]]
        total = total + out.sum()
    total.backward()
    for i, weight in enumerate(tied):
        same([weight.grad.numpy()], [sum(c[i].grad.numpy() for c in copies)])


def lstm_with_gates(i, f, steps=50, H=3):
    """Weights of zero, so that the biases alone set i and f in every step."""
    logit = {0.0: -1e4, 1.0: 1e4}
    b = np.zeros((4, H))
    b[0], b[1] = (np.log(g / (1 - g)) if g not in logit else logit[g] for g in (i, f))
    zeros = np.zeros((steps, 1, 2)), np.zeros((1, H))
    c0 = tg.tensor(np.random.default_rng(0).standard_normal((1, H)), requires_grad=True)
    weights = np.zeros((4 * H, 2)), np.zeros((4 * H, H)), b.reshape(-1)
    return c0, ops.lstm(*zeros, c0, *weights)[2]


def test_cell_state_is_a_highway():
    """∂c_T/∂c_0 = Π f_t: exactly 1 with f = 1 and i = 0, and f^T in between."""
    c0, c_n = lstm_with_gates(i=0.0, f=1.0)
    c_n.sum().backward()
    np.testing.assert_array_equal(c_n.numpy(), c0.numpy())
    np.testing.assert_array_equal(c0.grad.numpy(), np.ones((1, 3)))
    c0, c_n = lstm_with_gates(i=0.5, f=0.9)
    c_n.sum().backward()
    np.testing.assert_allclose(c0.grad.numpy(), np.full((1, 3), 0.9**50), rtol=1e-12)


def test_direct_path_is_the_product_of_the_forget_gates():
    """With W_hh = 0 nothing but the cell leads back, whatever the inputs make of the gates."""
    x, h0, c0, w_ih, w_hh, b_ih, b_hh = draw("lstm", T=7)
    c0 = tg.tensor(c0, requires_grad=True)
    ops.lstm(x, h0, c0, w_ih, 0 * w_hh, b_ih, b_hh)[2].sum().backward()
    a_f = (x @ w_ih.T + b_ih + b_hh)[:, :, 4:8]
    np.testing.assert_allclose(c0.grad.numpy(), np.prod(1 / (1 + np.exp(-a_f)), 0), rtol=1e-12)


# ---------------------------------------------------------------------- the options


@pytest.mark.parametrize("name", GATES)
def test_hold_0_changes_nothing_and_hold_1_everything(name):
    arrays = draw(name)
    states = arrays[1 : 1 + STATES[name]]
    plain = run(registry[name], arrays)
    holds = {"hold": np.zeros((1, 1, 1))} | (
        {"hold_c": np.zeros((1, 1, 1))} if name == "lstm" else {}
    )
    same(run(registry[name], arrays, **holds), plain)
    holds = {key: hold + 1 for key, hold in holds.items()}
    output, *last = registry[name](*arrays, **holds)[: 1 + STATES[name]]
    for h in output:
        np.testing.assert_array_equal(h, states[0])
    same(last, states, 0)


@pytest.mark.parametrize("name", GATES)
def test_a_row_that_is_held_from_some_step_on_ends_there(name):
    """Per row and step: the same as a shorter sequence."""
    arrays = draw(name, T=6, B=2)
    hold = np.zeros((6, 2, 1))
    hold[4:, 1] = 1
    holds = {"hold": hold} | ({"hold_c": hold} if name == "lstm" else {})
    held = registry[name](*arrays, **holds)[1 : 1 + STATES[name]]
    short = registry[name](arrays[0][:4], *arrays[1:])[1 : 1 + STATES[name]]
    whole = registry[name](*arrays)[1 : 1 + STATES[name]]
    same([v[1] for v in held], [v[1] for v in short])
    same([v[0] for v in held], [v[0] for v in whole])


@pytest.mark.parametrize("name", GATES)
def test_dropping_a_unit_is_clearing_its_column_of_w_hh(name):
    x, *states, w_ih, w_hh, b_ih, b_hh = draw(name, B=1)
    drop = np.array([[0.0, 2.0, 1.0, 0.5]])
    dropped = registry[name](x, *states, w_ih, w_hh, b_ih, b_hh, drop=drop)
    same(dropped, registry[name](x, *states, w_ih, w_hh * drop, b_ih, b_hh))


@pytest.mark.parametrize("name", GATES)
def test_layer_norm_does_not_see_the_scale_of_the_weights(name):
    """Nor a shift of all rows alike, which is what LN takes out (Ba et al. 2016, table 1)."""
    x, *states, w_ih, w_hh, b_ih, b_hh = draw(name)
    n = len(w_ih)
    gains = {"gain_ih": np.linspace(0.5, 2, n), "gain_hh": np.linspace(2, 1, n), "eps": 0.0}
    plain = registry[name](x, *states, w_ih, w_hh, b_ih, b_hh, **gains)
    shift = np.random.default_rng(1).standard_normal(w_ih.shape[1])
    other = registry[name](x, *states, 3 * w_ih + shift, 0.2 * w_hh, b_ih, b_hh, **gains)
    same(other, plain, 1e-10)
    assert not np.allclose(registry[name](x, *states, w_ih, w_hh, b_ih, b_hh)[0], plain[0])


def test_layer_norm_of_the_cell_by_hand():
    arrays = draw("lstm", T=1)
    gain, shift = np.array([1.0, 2.0, 0.5, 1.5]), np.array([0.1, 0.0, -0.2, 0.3])
    output, _, _, cells, gates = ops.lstm(*arrays, gain_c=gain, b_c=shift, eps=1e-3)
    _, _, _, o = np.split(gates[0], 4, axis=1)
    c = cells[0]
    c_hat = (c - c.mean(1, keepdims=True)) / np.sqrt(c.var(1, keepdims=True) + 1e-3)
    same([output[0]], [o * np.tanh(gain * c_hat + shift)])


def test_peepholes_by_hand():
    """p_i and p_f look at the cell before, p_o at the new one (Gers and Schmidhuber 2000)."""
    x, h, c, w_ih, w_hh, b_ih, b_hh = arrays = draw("lstm")
    p_i, p_f, p_o = np.random.default_rng(5).standard_normal((3, 4))
    outs = ops.lstm(*arrays, peephole=np.concatenate([p_i, p_o, p_f]))
    for x_t in x:
        a = np.split(x_t @ w_ih.T + b_ih + h @ w_hh.T + b_hh, 4, axis=1)
        i, f = (1 / (1 + np.exp(-(a_k + p * c))) for a_k, p in zip(a[:2], (p_i, p_f), strict=True))
        c = f * c + i * np.tanh(a[2])
        h = np.tanh(c) / (1 + np.exp(-(a[3] + p_o * c)))
    same(outs[1:3], [h, c])


@pytest.mark.oracle
def test_projection_equals_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    shapes = [(5, 2, 3), (2, 2), (2, 4), (16, 3), (16, 2), (16,), (16,), (2, 4)]
    arrays = [rng.standard_normal(shape) for shape in shapes]
    outs = run(lambda *args: ops.lstm(*args)[:3], arrays)
    layer = torch.nn.LSTM(3, 4, proj_size=2).to(torch.float64)
    with torch.no_grad():
        for parameter, value in zip(layer.parameters(), arrays[3:], strict=True):
            parameter.copy_(torch.tensor(value))
    x, h0, c0 = (torch.tensor(a, requires_grad=True) for a in arrays[:3])
    output, (h_n, c_n) = layer(x, (h0[None], c0[None]))
    theirs = [output, h_n[0], c_n[0]]
    rng = np.random.default_rng(1)
    sum((o * torch.tensor(rng.standard_normal(tuple(o.shape)))).sum() for o in theirs).backward()
    grads = [v.grad for v in (x, h0, c0, *layer.parameters())]
    same(outs, [v.detach().numpy() for v in (*theirs, *grads)], 1e-10)


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_conventions(reset_after):
    """Negating z's weights and biases turns what z keeps into what it takes."""
    arrays = draw("gru")
    turned = [a.copy() for a in arrays]
    for a in turned[-4:]:
        a[4:8] *= -1
    output, h_n, gates = ops.gru(*arrays, reset_after=reset_after, update="keep")
    other = ops.gru(*turned, reset_after=reset_after, update="take")
    same(other[:2], [output, h_n])
    same([other[2][..., 4:8]], [1 - gates[..., 4:8]])


def test_gru_that_resets_before_the_product():
    """Cho et al. 2014, equations 5 to 8, with z the share of the old state."""
    x, h, w_ih, w_hh, b_ih, b_hh = arrays = draw("gru")
    for x_t in x:
        u, v = x_t @ w_ih.T + b_ih, h @ w_hh[:8].T + b_hh[:8]
        r, z = (1 / (1 + np.exp(-(u[:, k : k + 4] + v[:, k : k + 4]))) for k in (0, 4))
        n = np.tanh(u[:, 8:] + (r * h) @ w_hh[8:].T + b_hh[8:])
        h = z * h + (1 - z) * n
    same([ops.gru(*arrays, reset_after=False)[1]], [h])


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize("name", GATES)
def test_bad_input_is_refused(name):
    """What cannot be said with the shapes of a declared bad sample."""
    op, arrays = registry[name], draw(name)
    mixed = [arrays[0].astype(np.float32), *arrays[1:]]
    with pytest.raises(DTypeError, match=rf"{name}: .*one floating dtype, got float32, float64"):
        op(*leaves(mixed))
    with pytest.raises(DTypeError, match=f"{name}: .*one floating dtype, got int64"):
        op(*(np.ones(a.shape, np.int64) for a in arrays))
    away = [tg.tensor(arrays[0], device="strict"), *leaves(arrays[1:])]
    with pytest.raises(DeviceError, match=f"{name}: .*on one device, got cpu, strict:0"):
        op(*away)
    with pytest.raises(DTypeError, match=f"{name}: expected an array for w_ih, got list"):
        op(*arrays[:-4], arrays[-4].tolist(), *arrays[-3:])


@pytest.mark.parametrize("name", GATES)
def test_declared_bad_samples(name):
    op = registry[name]
    assert len(op.bad) >= 10
    for bad in op.bad:
        args, params = bad.draw()
        with pytest.raises(bad.error) as caught:
            op(*args, **params)
        assert str(caught.value).startswith(f"{name}: expected")
        assert bad.match in str(caught.value)


def test_the_wording_of_an_error():
    arrays = [np.zeros(s) for s in ((5, 33), (2, 5), (2, 5), (20, 32), (20, 5))]
    with pytest.raises(ShapeError) as caught:
        ops.lstm(*arrays)
    assert str(caught.value) == "lstm: expected x of shape (T, B, 32), got (5, 33)"
    with pytest.raises(ArgumentError, match="one of tanh, relu, sigmoid, got 'swish'"):
        ops.rnn(*draw("rnn"), nonlinearity="swish")
