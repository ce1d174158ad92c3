"""Tasks that only a memory can solve: the adding problem, copying, the embedded Reber grammar."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.learning.steps import descend, set_rate
from tinygrad_seq import optim
from tinygrad_seq.data import (
    EMBEDDED_REBER,
    adding,
    copy_baseline,
    copy_memory,
    legal_first,
)
from tinygrad_seq.models import Reader, Tagger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def test_lstm_adds_two_numbers_that_stand_up_to_100_steps_apart(reached):
    tg.manual_seed(0)
    generator, unseen = tg.Generator(0), tg.Generator(1)
    model = Reader(2, 1, hidden=64, forget_bias=1.0)
    rate, steps, batch = 0.02, 2000, 50
    optimizer = optim.Adam(model.parameters(), lr=rate)
    for step in range(steps):
        set_rate(optimizer, rate * min(1, 4 * (1 - step / steps)))  # down to 0 in the last quarter
        x, y = adding(batch, 100, generator)
        descend(optimizer, model, tg.mse_loss(model(tg.tensor(x)), tg.tensor(y)))

    x, y = adding(2000, 100, unseen)
    with tg.no_grad():
        error = tg.mse_loss(model(tg.tensor(x)), tg.tensor(y)).item()
    reached("adding, T = 100", "LSTM 64", error, "< 0.005", "MSE", f"{steps * batch} sequences")
    assert error < 0.005


def test_a_plain_rnn_learns_to_guess_what_it_should_copy_and_no_more(reached):
    tg.manual_seed(0)
    generator, unseen = tg.Generator(0), tg.Generator(1)
    model = Tagger(10, 9, hidden=64, kind="rnn")
    optimizer = optim.Adam(model.parameters(), lr=0.003)
    steps, batch, length = 1200, 50, 100
    one_hot = np.eye(10, dtype=np.float32)

    def loss(inputs: np.ndarray, targets: np.ndarray) -> tg.Tensor:
        logits = model(tg.tensor(one_hot[inputs]))
        return tg.cross_entropy(logits.reshape(-1, 9), tg.tensor(targets.reshape(-1)))

    for _ in range(steps):
        descend(optimizer, model, loss(*copy_memory(batch, length, generator)))

    with tg.no_grad():
        found = loss(*copy_memory(1000, length, unseen)).item()
    guess = copy_baseline(length)
    assert guess == pytest.approx(0.1733, abs=5e-5)
    reached("copying, T = 100", "tanh RNN 64", found, f"{guess:.4f} ± 5 %", "nats per step",
            f"{steps * batch} sequences")  # fmt: skip
    assert found == pytest.approx(guess, rel=0.05)


def sequences_until_solved(seed: int, most: int) -> int:
    """How many strings of the embedded Reber grammar an LSTM reads before it has it all.

    That is: in 1000 strings it has not seen, every symbol is foreseen as one that may come.
    """
    tg.manual_seed(seed)
    generator, grammar, batch = tg.Generator(seed), EMBEDDED_REBER, 10
    unseen = grammar.batch(grammar.strings(1000, tg.Generator(1000 + seed)))
    one_hot = np.eye(7, dtype=np.float32)
    model = Tagger(7, 7, hidden=32)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for seen in range(batch, most + 1, batch):
        strings = grammar.batch(grammar.strings(batch, generator))
        logits = model(tg.tensor(one_hot[strings.inputs]))
        targets = np.where(strings.legal.any(axis=-1), strings.targets, -100)  # padding: ignored
        flat = tg.tensor(targets.reshape(-1))
        descend(optimizer, model, tg.cross_entropy(logits.reshape(-1, 7), flat))
        if seen % 500 == 0:
            with tg.no_grad():
                scores = model(tg.tensor(one_hot[unseen.inputs])).numpy()
            if legal_first(scores, unseen.legal).all():
                return seen
    pytest.fail(f"the grammar was not learned from {most} sequences (seed {seed})")


def test_lstm_learns_the_embedded_reber_grammar(reached):
    counts = [sequences_until_solved(seed, most=25_000) for seed in range(5)]
    unit = f"sequences until solved, mean of {len(counts)} runs"
    effort = f"{min(counts)} to {max(counts)} sequences"
    reached("embedded Reber grammar", "LSTM 32", np.mean(counts), "≤ 25000", unit, effort)
