"""The five arrangements: shapes, and which output may depend on which input."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq.backend import default_generator
from tinygrad_seq.models.arrangements import Aligned, ManyToMany, ManyToOne, OneToMany, OneToOne
from tinygrad_seq.optim import Adam

T, S, B, I, O, H = 5, 3, 2, 4, 6, 7


def x(*shape):
    return tg.randn(*shape, dtype="float64")


def made(kind):
    return kind(I, O, H, dtype="float64")


def test_shapes():
    assert made(OneToOne)(x(B, I)).shape == (B, O)
    assert made(OneToMany)(x(B, I), steps=S).shape == (S, B, O)
    assert made(ManyToOne)(x(T, B, I)).shape == (B, O)
    assert made(ManyToMany)(x(T, B, I), x(S, B, O)).shape == (S, B, O)
    assert made(ManyToMany).free(x(T, B, I), steps=S).shape == (S, B, O)
    assert made(Aligned)(x(T, B, I)).shape == (T, B, O)


def reach(call, array):
    """Which outputs change with which input: [s, t], both along their first axes."""
    before = call(tg.tensor(array)).detach().numpy()
    rows = []
    for t in range(len(array)):
        moved = array.copy()
        moved[t] += 1
        changed = call(tg.tensor(moved)).detach().numpy() != before
        rows.append(changed.reshape(len(before), -1).any(axis=1))
    return np.array(rows).T


def test_an_aligned_output_depends_on_what_was_read_so_far():
    changed = reach(made(Aligned), x(T, B, I).numpy())
    np.testing.assert_array_equal(changed, np.tri(T, dtype=bool))


def test_the_last_state_has_seen_everything():
    model = made(ManyToOne)
    assert reach(lambda v: model(v)[None], x(T, B, I).numpy()).all()


def test_a_decoder_sees_all_of_the_source_and_the_answer_before_its_step():
    model, source, answer = made(ManyToMany), x(T, B, I), x(S, B, O)
    assert reach(lambda v: model(v, answer), source.numpy()).all()
    changed = reach(lambda v: model(source, v), answer.numpy())
    np.testing.assert_array_equal(changed, np.tri(S, k=-1, dtype=bool))


def test_running_free_begins_as_teacher_forcing_and_then_reads_its_own_answers():
    model, source, answer = made(ManyToMany), x(T, B, I), x(S, B, O)
    free = model.free(source, S)
    forced = model(source, answer).detach().numpy()
    np.testing.assert_allclose(free[0].detach().numpy(), forced[0], atol=1e-15)
    assert (abs(free[1:].detach().numpy() - forced[1:]) > 1e-6).all(axis=(1, 2)).all()
    # Told its own answers it says the same.
    again = model(source, free.detach()).detach().numpy()
    np.testing.assert_allclose(free.detach().numpy(), again, atol=1e-14)


def test_one_to_many_feeds_its_output_back():
    model, start = made(OneToMany), x(B, I)
    long, short = model(start, 5), model(start, 2)
    np.testing.assert_array_equal(long[:2].detach().numpy(), short.detach().numpy())
    with tg.no_grad():
        model.cell.weight_ih.copy_(tg.zeros(4 * H, O, dtype="float64"))
    assert (model(start, 5)[1:].detach().numpy() != long[1:].detach().numpy()).all()


@pytest.mark.parametrize(
    ("kind", "inputs", "target"),
    [
        (OneToOne, ((B, I),), (B, O)),
        (ManyToOne, ((T, B, I),), (B, O)),
        (ManyToMany, ((T, B, I), (S, B, O)), (S, B, O)),
        (Aligned, ((T, B, I),), (T, B, O)),
    ],
)
def test_each_of_them_learns_by_heart(kind, inputs, target):
    model, given = made(kind), [x(*shape) for shape in inputs]
    wanted = tg.tensor(default_generator().uniform(target))
    optimizer = Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        loss = tg.mse_loss(model(*given), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
