"""The ledger's truncated gradients are those of TruncatedBPTT, for every k1 ≤ k2."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.support.ledgers import NETS, B, H, I, Task, name_of
from tinygrad_seq import bptt, nn
from tinygrad_seq.bptt import TruncatedBPTT
from tinygrad_seq.bptt.ledger.truncation import surviving
from tinygrad_seq.errors import ArgumentError

STEPS = 5
CHOSEN = [NETS[0], NETS[4], NETS[7], NETS[8], NETS[9], NETS[13]]


def windows(task, k1, k2):
    """The gradient that TruncatedBPTT adds up over the windows of a sequence."""

    def step(x, t, state):
        output, state = task.layer(x, state)
        values = [task.loss(h, int(now)) for h, now in zip(output, t, strict=True)]
        terms = [v for v in values if v is not None]
        return sum(terms, output.sum() * 0), state

    times = np.arange(1, task.x.shape[0] + 1)
    task.layer.zero_grad()
    task.read.zero_grad()
    run = TruncatedBPTT(k1, k2).run(step, task.x, times, task.initial, reduction="sum")
    assert len(list(run)) == -(-len(times) // k1)
    named = [*task.layer.named_parameters(),
             *((f"read.{n}", p) for n, p in task.read.named_parameters())]  # fmt: skip
    return {n: np.zeros(p.shape) if p.grad is None else p.grad.numpy() for n, p in named}


@pytest.mark.parametrize("net", CHOSEN, ids=name_of)
def test_every_window_length(net):
    task = Task(net, steps=STEPS)
    ledger = task.ledger()
    different = 0
    for k2 in range(1, STEPS + 2):
        for k1 in range(1, k2 + 1):
            cut = ledger.truncated(k1, k2)
            expected = windows(task, k1, k2)
            for name, g in expected.items():
                scale = max(np.abs(ledger.grad[name]).max(), np.abs(g).max())
                np.testing.assert_allclose(cut.grad[name], g, rtol=0, atol=1e-12 * scale)
            different += any(not np.allclose(cut.grad[name], g) for name, g in ledger.grad.items())
    assert different >= 10  # of the 15 with k2 ≤ T


def test_the_mask_by_hand():
    """k1 = 2, k2 = 3 over five steps: windows 1–2, 2–4 with the losses of 3 and 4, 4–5 with that
    of 5. Only the first reaches the initial state."""
    mask = surviving(5, 2, 3)
    rows = ["".join("1" if cell else "." for cell in row) for row in mask]
    assert rows == ["......", "11....", "111...", "..11..", "..111.", "....11"]


def test_the_sliding_window():
    """k1 = 1: each loss reaches just k2 steps, and the state before them only at the start."""
    mask = surviving(6, 1, 3)
    for s in range(1, 7):
        assert np.flatnonzero(mask[s]).tolist() == [t for t in range(s + 1) if s - t < 3 or s <= 3]


@pytest.mark.parametrize("k1", [1, 2, 5])
def test_nothing_is_lost_with_a_long_window(k1):
    cut = Task(NETS[5], steps=STEPS).ledger().truncated(k1, 10)
    assert cut.norm_ratio == pytest.approx(1)
    assert cut.cosine == pytest.approx(1)
    assert np.array_equal(cut.mask[1:, :], np.tril(np.ones((6, 6), bool))[1:, :])


def test_the_bias_by_hand():
    ledger = Task(NETS[5], steps=STEPS).ledger()
    cut = ledger.truncated(1, 1)
    part = np.concatenate([cut.grad[n].ravel() for n in ledger.grad])
    whole = np.concatenate([g.ravel() for g in ledger.grad.values()])
    sizes = np.linalg.norm(part), np.linalg.norm(whole)
    assert cut.norm_ratio == pytest.approx(sizes[0] / sizes[1])
    assert cut.cosine == pytest.approx(part @ whole / sizes[0] / sizes[1])
    assert 0 < cut.cosine < 0.999
    for name, g in ledger.grad.items():
        size = np.linalg.norm(g)
        assert cut.norm_ratios[name] == pytest.approx(np.linalg.norm(cut.grad[name]) / size)
        product = (cut.grad[name] * g).sum()
        expected = product / size / np.linalg.norm(cut.grad[name])
        assert cut.cosines[name] == pytest.approx(expected)
    assert repr(cut).startswith("Truncation(k1=1, k2=1, norm ratio ")


def test_the_mask_is_what_is_kept_of_the_credit():
    """Each share is linear in λ: what truncation keeps is the sum of ``share`` over the mask."""
    ledger = Task(NETS[2], steps=STEPS).ledger()
    cut = ledger.truncated(2, 3)
    for name, g in cut.grad.items():
        kept = sum(ledger.share(s, t)[name] for s, t in zip(*np.nonzero(cut.mask), strict=True))
        np.testing.assert_allclose(g, kept, rtol=1e-12, atol=1e-14)


def test_huge_and_vanished_gradients():
    """Norms of numbers whose squares leave the range of floats; NaN where there is nothing."""
    w = tg.tensor(np.array([1e40]), requires_grad=True)
    x = tg.zeros(2, 1, dtype=np.float64)
    ledger = bptt.ledger(lambda x, h: w * h + x, x, lambda h, t: h.sum() if t == 2 else None,
                         initial=tg.ones(1, dtype=np.float64) * 1e170, params={"w": w})  # fmt: skip
    assert ledger.grad["w"] == pytest.approx(2e210)
    cut = ledger.truncated(1, 1)
    assert cut.norm_ratio == pytest.approx(0.5)
    assert cut.cosine == 1
    none = bptt.ledger(nn.RNN(I, H), tg.zeros(2, B, I), lambda h, t: None)
    assert np.isnan(none.truncated(1, 1).norm_ratio)
    assert np.isnan(none.truncated(1, 1).cosine)


@pytest.mark.parametrize(("k1", "k2"), [(0, 1), (2, 1), (1.0, 2), (True, 2), (1, None)])
def test_window_lengths_that_are_none(k1, k2):
    with pytest.raises(ArgumentError, match="TruncatedBPTT: expected k"):
        Task(NETS[0]).ledger().truncated(k1, k2)
