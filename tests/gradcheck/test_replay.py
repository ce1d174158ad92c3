"""Every run meets the same random numbers, detached values and buffers."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.gradcheck.planted import op
from tinygrad_seq.gradcheck.replay import Replay

X = np.array([0.3, -1.2, 2.0])


def dropout_like(x, generator=None):
    keep = (generator or tg.default_generator()).uniform(x.shape) < 0.5
    return tg.where(keep, 2 * x, 0.0) * x


@pytest.mark.parametrize("options", [{}, {"fast": True}, {"complex_step": True}])
def test_random_masks_are_replayed(options):
    assert tg.gradcheck(dropout_like, X, **options)
    assert tg.gradgradcheck(dropout_like, X)


def test_the_random_stream_is_left_as_it_was():
    before = tg.default_generator().get_state()
    tg.gradcheck(dropout_like, X)
    assert tg.default_generator().get_state() == before


def test_a_generator_of_ones_own_is_replayed_when_named():
    mine = tg.Generator(5)
    fn = lambda x: dropout_like(x, mine)
    assert tg.gradcheck(fn, np.ones(20), generators=[mine])
    report = tg.gradcheck(fn, np.ones(20), raise_exception=False)
    assert report.verdict == "nondeterministic"


def test_values_that_change_are_nondeterministic():
    rng = np.random.default_rng(0)
    with pytest.raises(tg.errors.GradcheckError, match="nondeterministic") as caught:
        tg.gradcheck(lambda x: x * rng.random(x.shape), X)
    assert "out[" in str(caught.value)
    assert not caught.value.report.entries


def test_gradients_that_change_are_nondeterministic():
    rng = np.random.default_rng(0)
    unsteady = op(lambda x: 2.0 * x, x=lambda g: g * rng.random(g.shape))
    report = tg.gradcheck(unsteady, X, raise_exception=False)
    assert report.verdict == "nondeterministic"
    assert "the gradient of x[" in str(report)


def test_changes_in_the_last_digits_are_allowed():
    """Sums in another order, as a GPU's atomic additions give them."""
    rng = np.random.default_rng(0)
    fn = lambda x: tg.tanh(x) * (1 + 1e-15 * rng.standard_normal())
    assert tg.gradcheck(fn, X)
    assert tg.gradcheck(fn, X, nondet_tol=0.0, raise_exception=False).verdict == "nondeterministic"


def truncated(w, x, every):
    """h ← tanh(w h + x), cut every few steps."""
    h = tg.zeros(2, dtype=np.float64)
    for t in range(6):
        if t and t % every == 0:
            h = h.detach()
        h = tg.tanh(w @ h + x[t])
    return h


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"fast": True}, {"complex_step": True}])
def test_truncated_gradients_check_exactly(every, options):
    rng = np.random.default_rng(0)
    w, x = rng.standard_normal((2, 2)), rng.standard_normal((6, 2))
    report = tg.gradcheck(lambda w, x: truncated(w, x, every), (w, x), **options)
    assert report.error < 1e-8


def test_truncation_is_not_checked_away():
    """A truncated gradient is still not the full one, and a wrong one is still wrong."""
    rng = np.random.default_rng(0)
    w, x = rng.standard_normal((2, 2)), rng.standard_normal((6, 2))
    full = tg.jacobian(lambda w: truncated(w, x, 99), w).numpy()
    cut = tg.jacobian(lambda w: truncated(w, x, 2), w).numpy()
    assert np.abs(full - cut).max() > 1e-3
    bad = op(lambda x: np.tanh(x), x=lambda g, out: g * (1 - out))
    report = tg.gradcheck(lambda x: bad(x) * x.detach(), X, raise_exception=False)
    assert report.verdict == "wrong"


def test_detach_is_itself_again_afterwards():
    x = tg.tensor(X)
    tg.gradcheck(lambda x: x * x.detach(), x)
    np.testing.assert_array_equal((2 * x).detach().numpy(), 2 * X)


def varying(counts):
    runs = iter(counts)

    def fn(x):
        for _ in range(next(runs)):
            x = x * x.detach()
        return x

    return fn


@pytest.mark.parametrize(("counts", "got"), [((2, 1), "got 1"), ((1, 2), "got more")])
def test_another_number_of_detach_calls_is_an_error(counts, got):
    with pytest.raises(tg.errors.GraphError, match=got):
        tg.gradcheck(varying(counts), X)


def test_another_shape_in_detach_is_an_error():
    shapes = iter([3, 2])
    with pytest.raises(tg.errors.GraphError, match=r"shape \(3,\)"):
        tg.gradcheck(lambda x: x[: next(shapes)].detach().sum() * x, X)


def test_everything_is_put_back_when_the_function_raises():
    buffer = tg.tensor(np.zeros(2))
    replay = Replay(buffers=[buffer])
    before = tg.default_generator().get_state()

    def run():
        with replay.run():
            tg.rand(3)
            buffer.add_(1.0)
            raise KeyError

    with pytest.raises(KeyError):
        run()
    assert tg.default_generator().get_state() == before
    np.testing.assert_array_equal(buffer.numpy(), 0)
