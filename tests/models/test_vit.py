"""ViT: how patches are cut, the same numbers as PyTorch's layers, what it learns."""

import math

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.support.agreement import agree
from tinygrad_seq.errors import ArgumentError, ShapeError
from tinygrad_seq.models.vit import ViT
from tinygrad_seq.optim import Adam

SIZES = {"image_size": 6, "patch_size": 2, "classes": 5, "channels": 3, "width": 8, "layers": 2,
         "heads": 2, "feedforward": 12}  # fmt: skip
N = 4


def made(dtype="float64", device=None, **options):
    """A model whose every parameter matters."""
    tg.manual_seed(0)
    model = ViT(**{**SIZES, **options}, dtype=dtype)
    rng = np.random.default_rng(1)
    for p in model.parameters():
        p.data[:] = p.numpy() + 0.2 * rng.normal(size=p.shape)
    return model.to(device)


def images(device=None, dtype="float64"):
    rng = np.random.default_rng(2)
    pixels = rng.normal(size=(N, 3, 6, 6)).astype(dtype)
    return tg.tensor(pixels, device=device), tg.tensor(rng.integers(0, 5, N), device=device)


def test_patches_row_by_row():
    """Every pixel of one patch stands in one row, and patches in the order of reading."""
    model = made(channels=2)
    pixels = np.arange(2 * 2 * 6 * 6, dtype=float).reshape(2, 2, 6, 6)
    cut = model.patches(tg.tensor(pixels)).numpy()
    assert cut.shape == (2, 9, 8)
    for n in range(2):
        for row in range(3):
            for column in range(3):
                square = pixels[n, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                np.testing.assert_array_equal(cut[n, 3 * row + column], square.ravel())


def test_images_of_one_channel_need_no_axis_for_it():
    model = made(channels=1)
    pixels = tg.tensor(np.random.default_rng(0).normal(size=(N, 1, 6, 6)))
    np.testing.assert_array_equal(model(pixels).detach().numpy(),
                                  model(pixels[:, 0]).detach().numpy())  # fmt: skip


@pytest.mark.oracle
def test_equals_pytorch(torch):
    """A convolution cuts the patches there."""
    layers = torch.nn
    model, (pixels, labels) = made(), images()
    layer = layers.TransformerEncoderLayer(8, 2, 12, 0.0, "gelu", batch_first=True, norm_first=True)
    encoder = layers.TransformerEncoder(layer, 2, layers.LayerNorm(8), enable_nested_tensor=False)
    theirs = layers.ModuleDict({"encoder": encoder, "head": layers.Linear(8, 5),
                                "patch": layers.Conv2d(3, 8, 2, 2)}).double()  # fmt: skip
    state = {n: torch.tensor(p.numpy()) for n, p in model.state_dict().items()}
    token, positions = (state.pop(n).requires_grad_() for n in ("class_token", "positions.weight"))
    state["patch.weight"] = state["patch.weight"].reshape(8, 3, 2, 2)
    theirs.load_state_dict(state)

    x = torch.tensor(pixels.numpy(), requires_grad=True)
    cut = theirs["patch"](x).flatten(2).transpose(1, 2)  # (N, G·G, C)
    sequence = torch.cat([token.expand(N, -1, -1), cut], 1) + positions
    logits = theirs["head"](theirs["encoder"](sequence)[:, 0])
    their_loss = layers.functional.cross_entropy(logits, torch.tensor(labels.numpy()))
    their_loss.backward()

    pixels.requires_grad = True
    ours = model(pixels)
    np.testing.assert_allclose(ours.detach().numpy(), logits.detach().numpy(), rtol=0, atol=1e-10)
    loss = model.loss(pixels, labels)
    assert loss.item() == pytest.approx(their_loss.item(), abs=1e-12)
    loss.backward()
    np.testing.assert_allclose(pixels.grad.numpy(), x.grad.numpy(), rtol=0, atol=1e-10)
    expected = dict(theirs.named_parameters())
    expected |= {"class_token": token, "positions.weight": positions}
    for name, parameter in model.named_parameters():
        grad = expected[name].grad.numpy().reshape(parameter.shape)
        np.testing.assert_allclose(parameter.grad.numpy(), grad, rtol=0, atol=1e-10, err_msg=name)
        assert np.abs(grad).max() > 0, name


def test_how_it_starts():
    model = ViT(width=32, layers=3)
    for name, p in model.named_parameters():
        if name.endswith("bias"):
            assert (p.numpy() == 0).all(), name
        elif p.ndim == 2 and name != "positions.weight":
            limit = math.sqrt(6 / sum(p.shape))
            assert np.abs(p.numpy()).max() == pytest.approx(limit, rel=0.1), name
    for name in ("class_token", "positions.weight"):
        assert model.state_dict()[name].numpy().std() == pytest.approx(0.02, rel=0.3)
    weights = [layer.linear1.weight.numpy() for layer in model.encoder.layers]
    assert not np.array_equal(weights[0], weights[1])
    assert model.encoder.layers[0].linear1.weight.shape == (128, 32)


def test_where_a_patch_is_matters():
    model = made()
    pixels, _ = images()
    moved = tg.tensor(np.roll(pixels.numpy(), 2, axis=-1))  # whole patches, elsewhere
    assert np.abs(model(pixels).detach().numpy() - model(moved).detach().numpy()).max() > 1e-3
    model.positions.weight.data[:] = 0
    np.testing.assert_allclose(model(pixels).detach().numpy(), model(moved).detach().numpy(),
                               rtol=0, atol=1e-12)  # fmt: skip


def test_on_every_device(device):
    found = []
    for where in (device, "cpu"):
        model, (pixels, labels) = made(device=where, dropout=0.3), images(where)
        tg.manual_seed(0)
        loss = model.loss(pixels, labels, label_smoothing=0.1)
        loss.backward()
        found.append([loss, *(p.grad for p in model.parameters())])
    for got, expected in zip(*found, strict=True):
        agree(got, expected)


def test_it_learns_what_it_is_shown(device):
    tg.manual_seed(0)
    model = ViT(6, 3, 4, 1, 16, 1, 2, device=device)
    pixels = np.random.default_rng(0).normal(size=(4, 6, 6)).astype(np.float32)
    pixels, labels = tg.tensor(pixels, device=device), tg.tensor(np.arange(4), device=device)
    optimizer = Adam(model.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        loss = model.loss(pixels, labels)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    np.testing.assert_array_equal(model(pixels).argmax(axis=-1).numpy(), np.arange(4))


def test_mistakes():
    with pytest.raises(ArgumentError, match="a patch_size that divides 28, got 5"):
        ViT(28, 5)
    with pytest.raises(ArgumentError, match="channels to be an integer ≥ 1"):
        ViT(channels=0)
    model = made()
    for shape in ((N, 6, 6), (N, 3, 6, 5), (3, 6, 6), (0, 3, 6, 6)):
        with pytest.raises(ShapeError, match=r"images of shape \(N, 3, 6, 6\)"):
            model(tg.tensor(np.zeros(shape)))
