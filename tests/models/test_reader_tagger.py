"""Readers, taggers and the frame model: shapes, padding, and the same numbers as PyTorch's."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq.errors import ArgumentError, ShapeError
from tinygrad_seq.models import FrameModel, Reader, RowClassifier, Tagger

KINDS = ["rnn", "lstm", "gru"]
T, B, I, O, H = 6, 3, 4, 2, 5
LENGTHS = np.array([4, 6, 1])


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def theirs(torch, model, kind, layers, bidirectional=False):
    """PyTorch's recurrent layer and read-out with the weights of ours."""
    rnn = getattr(torch.nn, kind.upper())(
        model.rnn.input_size, H, layers, bidirectional=bidirectional
    )
    head = torch.nn.Linear(model.head.in_features, model.head.out_features)
    both = torch.nn.ModuleDict({"rnn": rnn, "head": head}).double()
    both.load_state_dict({n: torch.tensor(p.numpy()) for n, p in model.state_dict().items()})
    return both


def packed(torch, x):
    return torch.nn.utils.rnn.pack_padded_sequence(
        torch.tensor(x), torch.tensor(LENGTHS), enforce_sorted=False
    )


def expect_same_gradients(model, both):
    for name, parameter in both.named_parameters():
        ours = dict(model.named_parameters())[name].grad.numpy()
        np.testing.assert_allclose(ours, parameter.grad.numpy(), atol=1e-12, err_msg=name)


@pytest.mark.oracle
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_equals_pytorch(torch, kind, layers):
    model, x = Reader(I, O, H, kind, layers, dtype="float64"), drawn(T, B, I)
    both = theirs(torch, model, kind, layers)
    out = model(tg.tensor(x), LENGTHS)
    _, state = both["rnn"](packed(torch, x))
    h = state[0] if kind == "lstm" else state
    expected = both["head"](h[-1])
    np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), atol=1e-13)
    out.square().sum().backward()
    expected.square().sum().backward()
    expect_same_gradients(model, both)


@pytest.mark.oracle
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_tagger_equals_pytorch(torch, kind, bidirectional):
    model = Tagger(I, O, H, kind, bidirectional=bidirectional, dtype="float64")
    x = drawn(T, B, I)
    both = theirs(torch, model, kind, 1, bidirectional)
    out = model(tg.tensor(x), LENGTHS)
    h, _ = torch.nn.utils.rnn.pad_packed_sequence(both["rnn"](packed(torch, x))[0])
    expected = both["head"](h)
    np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), atol=1e-13)
    out.square().sum().backward()
    expected.square().sum().backward()
    expect_same_gradients(model, both)


@pytest.mark.oracle
@pytest.mark.parametrize("kind", KINDS)
def test_the_frame_model_equals_pytorch(torch, kind):
    model = FrameModel(I, H, kind=kind, dtype="float64")
    frames = (drawn(T, B, I) > 0).astype(np.float64)
    lengths = np.array([4, 6, 2])
    loss = model.nll(tg.tensor(frames), lengths)
    both = theirs(torch, model, kind, 1)
    expected = 0
    for b, length in enumerate(lengths):
        x = torch.tensor(frames[:length, b])
        logits = both["head"](both["rnn"](x[:-1])[0])
        expected += torch.nn.functional.binary_cross_entropy_with_logits(
            logits, x[1:], reduction="sum"
        )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-13)
    loss.backward()
    expected.backward()
    expect_same_gradients(model, both)


def test_frames_in_the_padding_count_for_nothing(device):
    model = FrameModel(I, H, device=device)
    frames = (drawn(T, B, I) > 0).astype(np.float32)
    lengths = np.array([4, 6, 2])
    before = model.nll(tg.tensor(frames, device=device), lengths).item()
    frames[4:, 0] = frames[2:, 2] = 1
    assert model.nll(tg.tensor(frames, device=device), lengths).item() == before


def test_a_fair_coin_for_every_key_costs_ln_2():
    model = FrameModel(I, H, dtype="float64")
    for parameter in model.head.parameters():
        parameter.data[...] = 0
    frames = tg.tensor((drawn(T, B, I) > 0).astype(np.float64))
    count = int((LENGTHS[:2] - 1).sum())
    nll = model.nll(frames[:, :2], LENGTHS[:2]).item()
    assert nll == pytest.approx(count * I * np.log(2), rel=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_read_from_top_to_bottom(kind):
    model = RowClassifier(I, 10, H, kind=kind, dtype="float64")
    images = drawn(B, T, I)
    out = model(tg.tensor(images))
    assert out.shape == (B, 10)
    _, state = model.rnn(tg.tensor(images.transpose(1, 0, 2)))
    h = state[0] if kind == "lstm" else state
    np.testing.assert_array_equal(out.detach().numpy(), model.head(h[-1]).detach().numpy())
    # The last rows, given as padding, are never read.
    images[0, 4:] = 99
    short = model(tg.tensor(images), np.array([4, T, T]))
    np.testing.assert_allclose(
        short.detach().numpy()[0], model(tg.tensor(images[:1, :4])).detach().numpy()[0], atol=1e-14
    )


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_tag_depends_on_what_follows_only_in_both_directions(bidirectional):
    model = Tagger(I, O, H, bidirectional=bidirectional, dtype="float64")
    x = drawn(T, B, I)
    before = model(tg.tensor(x)).detach().numpy()
    x[-1] += 1
    moved = (model(tg.tensor(x)).detach().numpy() != before).any(axis=(1, 2))
    assert moved.tolist() == [bidirectional] * (T - 1) + [True]


@pytest.mark.parametrize("model", [Reader(I, O, H, dropout=0.5), Tagger(I, O, H, dropout=0.5)])
def test_dropout_works_above_a_single_layer_and_only_in_training(model):
    x = tg.tensor(drawn(T, B, I).astype(np.float32))
    one, other = model(x).detach().numpy(), model(x).detach().numpy()
    assert (one != other).any()
    model.eval()
    np.testing.assert_array_equal(model(x).detach().numpy(), model(x).detach().numpy())


@pytest.mark.parametrize("kind", [Reader, Tagger])
def test_what_is_wrong_is_said(kind):
    with pytest.raises(ArgumentError, match="model: expected rnn or lstm or gru, got 'gpt'"):
        kind(I, O, H, kind="gpt")
    with pytest.raises(ShapeError, match="LSTM"):
        kind(I, O, H)(tg.randn(T, B, I + 1))


def test_a_model_of_what_follows_may_not_read_it_first():
    with pytest.raises(ArgumentError, match="FrameModel: expected bidirectional=False, got True"):
        FrameModel(I, H, bidirectional=True)


def test_options_of_the_layer_reach_it():
    model = Reader(I, O, H, forget_bias=1.0, single_bias=True)
    bias = model.rnn.bias_ih_l0.numpy().reshape(4, H)
    assert (bias[1] == 1).all()
    assert "rnn.bias_hh_l0" not in model.state_dict()
