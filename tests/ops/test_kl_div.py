"""The Kullback–Leibler divergence: what PyTorch's tests of ops do not reach."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn, ops
from tinygrad_seq.errors import ArgumentError


def distributions(seed, shape=(4, 6)):
    return ops.softmax(np.random.default_rng(seed).standard_normal(shape), -1)


def test_it_is_a_divergence():
    """D(p ‖ q) ≥ 0, and 0 only where q is p; it is cross entropy less entropy."""
    p, q = distributions(0), distributions(1)
    d = ops.kl_div(np.log(q), p, "batchmean")
    assert d == pytest.approx((-p * np.log(q) + p * np.log(p)).sum(-1).mean(), rel=1e-12)
    assert d > 0
    assert ops.kl_div(np.log(p), p, "batchmean") == pytest.approx(0, abs=1e-15)
    assert ops.kl_div(np.log(q), np.log(p), "batchmean", True) == pytest.approx(d, rel=1e-12)


def test_by_logits_it_has_the_gradient_of_cross_entropy(device):
    p = distributions(0)
    grads = []
    for loss_of in (
        lambda x: ops.kl_div(ops.log_softmax(x, -1), tg.tensor(p, device=device), "batchmean"),
        lambda x: ops.cross_entropy(x, tg.tensor(p, device=device)),
    ):
        x = tg.tensor(distributions(2), device=device, requires_grad=True)
        loss_of(x).backward()
        grads.append(x.grad.numpy())
    np.testing.assert_allclose(*grads, rtol=1e-12, atol=1e-15)


def test_a_target_of_zero_counts_nothing(device):
    """Whatever its log-probability, −∞ too; and gives no NaN, where PyTorch does."""
    x = tg.tensor([[-np.inf, -1.0, -2.0]], device=device, requires_grad=True)
    t = tg.tensor([[0.0, 0.25, 0.75]], device=device, requires_grad=True)
    loss = ops.kl_div(x, t, "sum")
    loss.backward()
    expected = 0.25 * (np.log(0.25) + 1) + 0.75 * (np.log(0.75) + 2)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert x.grad.numpy().tolist() == [[0, -0.25, -0.75]]
    assert not np.isnan(t.grad.numpy()).any()


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batchmean"])
@pytest.mark.parametrize("log_target", [False, True])
def test_the_module_is_pytorchs(torch, reduction, log_target):
    x, t = np.log(distributions(0, (3, 2, 4))), distributions(1, (3, 2, 4))
    t = np.log(t) if log_target else t
    theirs = torch.nn.KLDivLoss(reduction=reduction, log_target=log_target)
    expected = theirs(torch.tensor(x), torch.tensor(t)).numpy()
    ours = nn.KLDivLoss(reduction, log_target)(tg.tensor(x), tg.tensor(t))
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-12)
    assert nn.KLDivLoss().reduction == torch.nn.KLDivLoss().reduction


def test_the_module_refuses_an_unknown_reduction():
    with pytest.raises(ArgumentError, match="mean, sum, none, batchmean, got 'average'"):
        nn.KLDivLoss("average")
    with pytest.raises(ArgumentError, match="reduction"):
        nn.MSELoss("batchmean")
