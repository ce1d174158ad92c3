"""What our recurrent layers can beyond PyTorch's, against loops over steps written here."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn, ops
from tinygrad_seq.backend import default_generator

T, B, I, H = 5, 3, 2, 4


def flat(result):
    """Outputs, states and what was inside, in one list."""
    if result is None:
        return []
    if isinstance(result, (tuple, list)):
        return [part for parts in result for part in flat(parts)]
    return [result]


def normal(*shape, seed=3):
    return np.random.default_rng(seed).standard_normal(shape)


def stirred(layer):
    """The layer with random numbers in all parameters, those that start from 0 or 1 included."""
    for k, parameter in enumerate(layer.parameters()):
        nn.init.uniform_(parameter, -1, 1, generator=tg.Generator(k))
    return layer


# ---------------------------------------------------------------------- the textbook


class Textbook:
    """One layer in one direction, step by step, in PyTorch's tensors and operators."""

    def __init__(self, torch, weights, options, masks):
        self.torch, self.w, self.options = torch, weights, options
        self.masks = masks

    def normed(self, name, u, rows=slice(None)):
        """gain ⊙ (u − mean)/√(var + 1e−5), if the layer normalises."""
        if name not in self.w:
            return u
        centred = u - u.mean(-1, keepdim=True)
        rate = (u.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        return self.w[name][rows] * centred / rate

    def arriving(self, side, v, rows=slice(None)):
        """LN(W v) + b for some rows; ``side`` is ih or hh."""
        u = self.normed(f"gain_{side}", v @ self.w[f"weight_{side}"][rows].T, rows)
        bias = self.w.get(f"bias_{side}")
        return u if bias is None else u + bias[rows]

    def kept(self, name, t, old, new):
        mask = self.masks.get(name)
        return new if mask is None else mask[t] * old + (1 - mask[t]) * new

    def thinned(self, h):
        return h * self.masks.get("drop", 1)

    def rnn(self, x, h):
        phi = getattr(self.torch, self.options.get("nonlinearity", "tanh"))
        made = []
        for t, x_t in enumerate(x):
            new = phi(self.arriving("ih", x_t) + self.arriving("hh", self.thinned(h)))
            h = self.kept("hold", t, h, new)
            made.append(h)
        return [self.torch.stack(made), h]

    def lstm(self, x, h, c):
        torch, made = self.torch, []
        p_i, p_o, p_f = self.w["peephole"].chunk(3) if "peephole" in self.w else (0, 0, 0)
        for t, x_t in enumerate(x):
            a = self.arriving("ih", x_t) + self.arriving("hh", self.thinned(h))
            a_i, a_f, a_g, a_o = a.chunk(4, -1)
            i, f = torch.sigmoid(a_i + p_i * c), torch.sigmoid(a_f + p_f * c)
            g = torch.tanh(a_g)
            new_c = f * c + i * g
            o = torch.sigmoid(a_o + p_o * new_c)
            new_h = o * torch.tanh(self.normed("gain_c", new_c) + self.w.get("bias_c", 0))
            if "weight_hr" in self.w:
                new_h = new_h @ self.w["weight_hr"].T
            h, c = self.kept("hold", t, h, new_h), self.kept("hold_c", t, c, new_c)
            made.append((h, c, torch.cat([i, f, g, o], -1)))
        output, cells, gates = (torch.stack(parts) for parts in zip(*made, strict=True))
        return [output, h, c, cells, gates]

    def gru(self, x, h):
        torch, made = self.torch, []
        first, second = slice(0, 2 * H), slice(2 * H, 3 * H)
        for t, x_t in enumerate(x):
            v = self.thinned(h)
            a = self.arriving("ih", x_t, first) + self.arriving("hh", v, first)
            r, z = torch.sigmoid(a).chunk(2, -1)
            if self.options.get("reset_after", True):
                q = r * self.arriving("hh", v, second)
            else:
                q = self.arriving("hh", r * v, second)
            n = torch.tanh(self.arriving("ih", x_t, second) + q)
            taken = 1 - z if self.options.get("update", "keep") == "keep" else z
            h = self.kept("hold", t, h, taken * n + (1 - taken) * h)
            made.append((h, torch.cat([r, z, n], -1)))
        output, gates = (torch.stack(parts) for parts in zip(*made, strict=True))
        return [output, h, gates]


def masks_of(layer, seed, training):
    """The masks a layer draws for one sequence, in its order: input, drop, hold, hold_c."""
    tg.manual_seed(seed)
    stream, width = default_generator(), getattr(layer, "proj_size", 0) or H
    rates = layer.zoneout if isinstance(layer.zoneout, tuple) else (layer.zoneout,) * 2
    made = {}
    for name, p, shape in (("input", layer.input_dropout, (B, I)),
                           ("drop", layer.recurrent_dropout, (B, width))):  # fmt: skip
        if p and training:
            made[name] = (stream.uniform(shape) >= p) / (1 - p)
    zoned = {"hold": width, "hold_c": H} if isinstance(layer, nn.LSTM) else {"hold": H}
    for p, (name, size) in zip(rates, zoned.items(), strict=False):
        if p:
            shape = (T, B, size)
            made[name] = stream.uniform(shape) < p if training else np.full(shape, p)
    return {name: np.asarray(mask, np.float64) for name, mask in made.items()}


CASES = [
    *((kind, options)
      for kind in ("RNN", "LSTM", "GRU")
      for options in ({}, {"single_bias": True}, {"layer_norm": True},
                      {"layer_norm": True, "bias": False}, {"zoneout": 0.4},
                      {"input_dropout": 0.4}, {"recurrent_dropout": 0.4})),
    ("RNN", {"nonlinearity": "sigmoid"}),
    ("RNN", {"nonlinearity": "relu", "zoneout": 0.3, "recurrent_dropout": 0.3,
             "layer_norm": True}),
    ("LSTM", {"peephole": True}),
    ("LSTM", {"zoneout": (0.2, 0.6)}),
    ("LSTM", {"zoneout": (0.0, 0.5)}),
    ("LSTM", {"zoneout": (0.5, 0.0)}),
    ("LSTM", {"proj_size": 3, "peephole": True, "layer_norm": True, "zoneout": (0.2, 0.6),
              "recurrent_dropout": 0.3, "input_dropout": 0.3}),
    ("GRU", {"reset_after": False}),
    ("GRU", {"update": "take"}),
    ("GRU", {"reset_after": False, "update": "take", "layer_norm": True, "zoneout": 0.3,
             "recurrent_dropout": 0.3, "input_dropout": 0.3}),
]  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize(("kind", "options"), CASES, ids=str)
def test_equals_the_textbook(kind, options, training, torch):
    """Outputs, states, cells and gates, and the gradients of all that has one, to 1e−10."""
    layer = stirred(getattr(nn, kind)(I, H, dtype=np.float64, **options)).train(training)
    width = options.get("proj_size", H)
    arrays = [normal(T, B, I), normal(1, B, width), *([normal(1, B, H)] if kind == "LSTM" else [])]
    masks = {name: torch.tensor(m) for name, m in masks_of(layer, 5, training).items()}

    ours = [tg.tensor(a, requires_grad=True) for a in arrays]
    tg.manual_seed(5)
    state = tuple(ours[1:]) if kind == "LSTM" else ours[1]
    outs = flat(layer(ours[0], state, return_inner=kind != "RNN"))

    names = [n.removesuffix("_l0") for n, _ in layer.named_parameters()]
    weights = [torch.tensor(p.numpy(), requires_grad=True) for p in layer.parameters()]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    book = Textbook(torch, dict(zip(names, weights, strict=True)), options, masks)
    x, *states = theirs
    expected = getattr(book, kind.lower())(x * masks.get("input", 1), *(s[0] for s in states))

    total, wanted = 0, 0
    for k, (a, b) in enumerate(zip(outs, expected, strict=True)):
        np.testing.assert_allclose(a.numpy().reshape(b.shape), b.detach(), rtol=0, atol=1e-10)
        weight = normal(*b.shape, seed=k)
        total = total + (a.reshape(b.shape) * tg.tensor(weight)).sum()
        wanted = wanted + (b * torch.tensor(weight)).sum()
    total.backward()
    wanted.backward()
    for name, a, b in zip(["x", "h0", "c0"][: len(ours)] + names, [*ours, *layer.parameters()],
                          [*theirs, *weights], strict=True):  # fmt: skip
        np.testing.assert_allclose(a.grad.numpy(), b.grad, rtol=0, atol=1e-10, err_msg=name)


# ---------------------------------------------------------------------- noise


KINDS = [nn.RNN, nn.LSTM, nn.GRU]
NOISY = [{"zoneout": 0.4}, {"input_dropout": 0.4}, {"recurrent_dropout": 0.4},
         {"dropout": 0.4, "num_layers": 2}]  # fmt: skip


@pytest.mark.parametrize("options", NOISY, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_drawn_anew_for_every_call_while_training(kind, options, device):
    layer = kind(3, 20, **options, device=device)
    x = tg.ones(4, 2, 3, device=device)
    a, b = (layer(x)[0].detach().numpy() for _ in range(2))
    assert not np.array_equal(a, b)
    layer.eval()
    a, b = (layer(x)[0].detach().numpy() for _ in range(2))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("options", [*NOISY, {"zoneout": 0.3, "input_dropout": 0.2,
                                              "recurrent_dropout": 0.2}], ids=str)  # fmt: skip
@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_draws_the_same_masks_on_every_device(kind, options, device):
    results = []
    for where in ("cpu", device):
        tg.manual_seed(3)
        layer = kind(3, 5, **options, dtype=np.float64, device=where)
        results.append(layer(tg.ones(4, 2, 3, dtype=np.float64, device=where))[0])
    assert results[1].device.type == device
    np.testing.assert_allclose(*(r.detach().numpy() for r in results), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_dropouts_do_nothing_in_evaluation(kind):
    noisy = kind(3, 4, 2, dropout=0.5, input_dropout=0.5, recurrent_dropout=0.5).eval()
    plain = kind(3, 4, 2)
    plain.load_state_dict(noisy.state_dict())
    x = tg.randn(5, 2, 3)
    for a, b in zip(flat(noisy(x)), flat(plain(x)), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


def test_zoneout_keeps_a_share_p_of_the_units_of_every_step():
    layer = nn.LSTM(2, 200, zoneout=(0.25, 0.6), dtype=np.float64)
    start = [tg.randn(1, 10, 200, dtype=np.float64) for _ in range(2)]
    output, _, [inner] = layer(tg.randn(20, 10, 2, dtype=np.float64), start, return_inner=True)
    for p, first, history in zip((0.25, 0.6), start, (output, inner.cells), strict=True):
        values = np.concatenate([first.numpy(), history.detach().numpy()])
        stayed = (values[1:] == values[:-1]).mean(axis=(1, 2))  # of 2000 units in each step
        assert np.abs(stayed - p).max() < 5 * np.sqrt(p * (1 - p) / 2000)


def test_a_variational_mask_holds_for_a_whole_sequence():
    """With W_ih = I, no recurrence and relu, the output is x where the mask lets it through."""
    layer = nn.RNN(50, 50, nonlinearity="relu", bias=False, input_dropout=0.3)
    nn.init.eye_(layer.weight_ih_l0)
    nn.init.zeros_(layer.weight_hh_l0)
    output = layer(tg.ones(8, 40, 50))[0].detach().numpy()
    np.testing.assert_array_equal(output, np.broadcast_to(output[0], output.shape))
    np.testing.assert_allclose(np.unique(output), [0, 1 / 0.7], rtol=1e-6)
    assert (output[0] == 0).mean() == pytest.approx(0.3, abs=0.04)  # of 2000, 4 standard errors
    assert len(np.unique(output[0] == 0, axis=0)) == 40  # each row has a mask of its own


# ---------------------------------------------------------------------- identities


def same(ours, expected, tolerance=1e-12):
    for a, b in zip(flat(ours), flat(expected), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=0, atol=tolerance)


@pytest.mark.parametrize("reset_after", [True, False])
def test_negating_z_turns_one_update_of_the_gru_into_the_other(reset_after):
    options = {"reset_after": reset_after, "num_layers": 2, "dtype": np.float64}
    keep, take = nn.GRU(I, H, **options), nn.GRU(I, H, update="take", **options)
    take.load_state_dict(keep.state_dict())
    with tg.no_grad():
        for parameter in take.parameters():
            parameter[H : 2 * H] = -parameter[H : 2 * H]
    x = tg.tensor(normal(T, B, I))
    same(keep(x), take(x))
    # what they differ in is which of the two z is
    *_, [kept, _] = keep(x, return_inner=True)
    *_, [taken, _] = take(x, return_inner=True)
    z = slice(H, 2 * H)
    np.testing.assert_allclose(
        kept.gates.detach().numpy()[..., z], 1 - taken.gates.detach().numpy()[..., z], rtol=1e-12
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_bias_is_two_of_which_one_is_zero(kind):
    single = kind(I, H, 2, single_bias=True, dtype=np.float64)
    two = kind(I, H, 2, dtype=np.float64)
    absent = {"bias_hh_l0", "bias_hh_l1"}
    assert two.state_dict().keys() - single.state_dict().keys() == absent
    two.load_state_dict(single.state_dict(), strict=False)
    for layer in range(2):
        nn.init.zeros_(getattr(two, f"bias_hh_l{layer}"))
    x = tg.tensor(normal(T, B, I))
    same(single(x), two(x))


def parts(layer, make):
    """Each unit of a stack as a layer of its own, with the stack's parameters."""
    found = []
    for suffix, inputs in layer._units():
        part = make(inputs)
        weights = {n: getattr(layer, n.removesuffix("_l0") + suffix) for n in part.state_dict()}
        part.load_state_dict(weights)
        found.append(part)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_stack_is_its_units_run_one_after_the_other(kind, residual, bidirectional):
    """Bidirectional: forward, and backward on reversed input; with dropout between the layers."""
    options = {"num_layers": 3, "dropout": 0.3, "residual": residual, "dtype": np.float64}
    stack = kind(I, H, bidirectional=bidirectional, **options)
    units = parts(stack, lambda inputs: kind(inputs, H, dtype=np.float64))
    x = tg.tensor(normal(T, B, I))
    tg.manual_seed(8)
    ours = stack(x)
    tg.manual_seed(8)
    ways = 1 + bidirectional
    states = []
    for layer in range(3):
        entering = ops.dropout(x, 0.3) if layer else x
        output, last = units[ways * layer](entering)
        states.append(last)
        if bidirectional:
            back, last = units[ways * layer + 1](ops.flip(entering, 0))
            output = ops.concatenate([output, ops.flip(back, 0)], axis=2)
            states.append(last)
        x = x + output if residual and layer else output
    if kind is nn.LSTM:
        states = [ops.concatenate([*side]) for side in zip(*states, strict=True)]
    else:
        states = [ops.concatenate(states)]
    same(ours, [x, *states])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 2}], ids=str)
def test_a_learned_state_is_that_state_given_to_every_row(kind, options):
    layer = kind(I, H, learned_state=True, dtype=np.float64, **options)
    names = ["initial_h", "initial_c"][: 1 + (kind is nn.LSTM)]
    learned = [getattr(layer, name) for name in names]
    assert all((p.numpy() == 0).all() for p in learned)
    rows = 1 if not options else 2
    assert [p.shape for p in learned] == [(rows, H)] * len(names)
    stirred(layer)
    given = [tg.tensor(np.repeat(p.numpy()[:, None], B, 1), requires_grad=True) for p in learned]
    x = tg.tensor(normal(T, B, I))
    ours = flat(layer(x))
    expected = flat(layer(x, tuple(given) if len(given) == 2 else given[0]))
    same(ours, expected)
    sum((o * o).sum() for o in ours).backward()
    sum((o * o).sum() for o in expected).backward()
    for p, state in zip(learned, given, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), state.grad.numpy().sum(1), rtol=1e-10)
    # a sequence without a batch starts there too
    same(flat(layer(x[:, 1]))[0], ours[0][:, 1])


def test_forget_bias_is_where_the_forget_gate_starts():
    layer = nn.LSTM(I, H, 2, bidirectional=True, forget_bias=1.5)
    plain = nn.LSTM(I, H)
    forget = slice(H, 2 * H)
    for _ in range(2):
        for name, p in layer.named_parameters():
            if name.startswith("bias"):
                expected = 1.5 if name.startswith("bias_ih") else 0
                np.testing.assert_array_equal(p.numpy()[forget], expected)
                assert np.abs(np.delete(p.numpy(), np.r_[forget])).max() <= 0.5
                assert np.abs(np.delete(p.numpy(), np.r_[forget])).min() > 0
        layer.reset_parameters()
    assert np.abs(plain.bias_ih_l0.numpy()[forget]).max() <= 0.5
    single = nn.LSTM(I, H, single_bias=True, forget_bias=-2)
    np.testing.assert_array_equal(single.bias_ih_l0.numpy()[forget], -2)


def test_gains_start_from_one_and_the_cells_shift_from_zero():
    layer = nn.LSTM(I, H, layer_norm=True, peephole=True)
    shapes = {n: p.shape for n, p in layer.named_parameters()}
    assert shapes == {
        "weight_ih_l0": (16, 2), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,), "bias_hh_l0": (16,),
        "gain_ih_l0": (16,), "gain_hh_l0": (16,), "gain_c_l0": (4,), "bias_c_l0": (4,),
        "peephole_l0": (12,),
    }  # fmt: skip
    for name, parameter in layer.named_parameters():
        if name.startswith("gain"):
            np.testing.assert_array_equal(parameter.numpy(), 1)
    np.testing.assert_array_equal(layer.bias_c_l0.numpy(), 0)
    assert "bias_c_l0" not in nn.LSTM(I, H, layer_norm=True, bias=False).state_dict()


# ---------------------------------------------------------------------- what is inside


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_what_is_inside_stands_in_the_users_layout_and_time(kind):
    """For every unit what it gives by itself, the reverse direction turned to run as x does."""
    options = {"num_layers": 2, "bidirectional": True, "dtype": np.float64}
    layer = kind(I, H, **options)
    x = tg.tensor(normal(T, B, I))
    output, _, inner = layer(x, return_inner=True)
    assert len(inner) == 4
    gates = 4 if kind is nn.LSTM else 3
    for k, unit in enumerate(inner):
        assert unit.gates.shape == (T, B, gates * H)
        assert (unit.cells is None) == (kind is nn.GRU)
        if kind is nn.LSTM and k >= 2:  # h_t = o_t ⊙ tanh c_t, and the last layer's are the output
            h = unit.gates[..., 3 * H :] * unit.cells.tanh()
            same(h, output[..., (k - 2) * H : (k - 1) * H])
        if kind is nn.GRU and k == 3:  # h_t = (1 − z)n + z h_{t+1}, for it runs backwards
            _, z, n = unit.gates.split(3, axis=2)
            h = output[..., H:]
            same(h[:-1], ((1 - z) * n)[:-1] + z[:-1] * h[1:])

    turned = kind(I, H, batch_first=True, **options)
    turned.load_state_dict(layer.state_dict())
    for a, b in zip(inner, turned(x.swapaxes(0, 1), return_inner=True)[2], strict=True):
        same([v.swapaxes(0, 1) for v in flat(a)], b)
    for a, b in zip(inner, layer(x[:, 1], return_inner=True)[2], strict=True):
        same([v[:, 1] for v in flat(a)], b)


def test_what_is_inside_is_zero_at_padding_and_packed_where_x_is():
    layer = nn.LSTM(I, H, bidirectional=True, dtype=np.float64)
    x, lengths = tg.tensor(normal(T, B, I)), [2, 5, 3]
    *_, padded = layer(x, None, lengths, return_inner=True)
    packed_x = nn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    *_, packed = layer(packed_x, return_inner=True)
    for row, length in enumerate(lengths):
        *_, alone = layer(x[:length, row], return_inner=True)
        for a, b, c in zip(padded, packed, alone, strict=True):
            same([v[:length, row] for v in flat(a)], c)
            assert all((v.numpy()[length:, row] == 0).all() for v in a)
            same([nn.unpack_sequence(v)[row] for v in b], c)


def test_a_gradient_reaches_everything_through_what_is_inside():
    layer = nn.LSTM(I, H, dtype=np.float64)
    *_, [inner] = layer(tg.tensor(normal(T, B, I)), return_inner=True)
    (inner.cells.sum() + inner.gates[-1].sum()).backward()
    assert all(np.abs(p.grad.numpy()).max() > 1e-6 for p in layer.parameters())
