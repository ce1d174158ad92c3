"""nn.AdditiveAttention and nn.LuongAttention, against loops over queries and keys."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.errors import ArgumentError, ShapeError


def layer_of(name, **options):
    """A layer of float64 by the name of its score, for queries of 4 and keys of 4."""
    where = {"dtype": np.float64, **options}
    if name == "additive":
        return nn.AdditiveAttention(4, 4, 5, **where)
    return nn.LuongAttention(4, 4, name, **where)


NAMES = ("additive", "dot", "general", "concat")


def score(layer, q, k):
    """The score of one query and one key, as the papers write it."""
    state = {name: t.numpy() for name, t in layer.state_dict().items()}
    if isinstance(layer, nn.LuongAttention) and layer.kind != "concat":
        return q @ (state["weight"] @ k if layer.kind == "general" else k)
    both = np.concatenate([state["query_proj.weight"], state["key_proj.weight"]], axis=1)
    return state["score.weight"][0] @ np.tanh(both @ np.concatenate([q, k]))


def by_hand(layer, query, keys, values, left_out):
    """query (L, B, ·), keys (S, B, ·), left_out (B, S) → context (L, B, ·), weights (B, L, S)."""
    steps, batch = query.shape[:2]
    context = np.zeros((steps, batch, values.shape[2]))
    weights = np.zeros((batch, steps, len(keys)))
    for b in range(batch):
        seen = np.flatnonzero(~left_out[b])
        for i in range(steps):
            e = np.exp([score(layer, query[i, b], keys[j, b]) for j in seen])
            weights[b, i, seen] = e / e.sum()
            context[i, b] = weights[b, i] @ values[:, b]
    return context, weights


def drawn(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_equations(name, batch_first):
    layer = layer_of(name, batch_first=batch_first)
    query, keys, values = drawn(3, 2, 4), drawn(6, 2, 4), drawn(6, 2, 7)
    left_out = np.array([[False] * 6, [True, False, False, True, False, True]])
    turn = (lambda x: x.swapaxes(0, 1)) if batch_first else (lambda x: x)
    context, weights = layer(*(tg.tensor(turn(x)) for x in (query, keys, values)), left_out)
    expected = by_hand(layer, query, keys, values, left_out)
    np.testing.assert_allclose(turn(context.numpy()), expected[0], atol=1e-12)
    np.testing.assert_allclose(weights.numpy(), expected[1], atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_one_query_at_a_time(name):
    """With what depends on the keys computed once; the keys are the values by default."""
    layer = layer_of(name)
    query, keys = tg.tensor(drawn(3, 2, 4)), tg.tensor(drawn(6, 2, 4))
    context, weights = layer(query, keys)
    prepared = layer.prepare(keys)
    for i in range(3):
        one = layer(query[i], keys, prepared=prepared)
        assert one[0].shape == (2, 4)
        assert one[1].shape == (2, 6)
        np.testing.assert_allclose(one[0].numpy(), context.numpy()[i], atol=1e-12)
        np.testing.assert_allclose(one[1].numpy(), weights.numpy()[:, i], atol=1e-12)
        np.testing.assert_allclose(one[1].numpy().sum(1), 1, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_where_all_keys_are_padding_there_is_nothing(name):
    layer = layer_of(name)
    query, keys = (tg.tensor(drawn(n, 2, 4), requires_grad=True) for n in (3, 6))
    left_out = np.array([[True] * 6, [False] * 6])
    context, weights = layer(query, keys, None, left_out)
    assert not context.numpy()[:, 0].any()
    assert not weights.numpy()[0].any()
    context.sum().backward()
    for grad in (query.grad, keys.grad):
        assert not grad.numpy()[:, 0].any()
        assert np.isfinite(grad.numpy()).all()
        assert grad.numpy()[:, 1].any()


def test_an_additive_mask_is_added_to_the_scores():
    layer = layer_of("dot")
    query, keys = tg.tensor(drawn(2, 4)), tg.tensor(drawn(6, 2, 4))
    left_out = np.array([[False] * 6, [True, False, False, True, False, True]])
    boolean = layer(query, keys, None, left_out)
    added = layer(query, keys, None, np.where(left_out, -np.inf, 0.0))
    for a, b in zip(boolean, added, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_sizes_and_names_of_the_parameters():
    shapes = lambda layer: {n: t.shape for n, t in layer.state_dict().items()}
    assert shapes(nn.AdditiveAttention(3, 4, 5)) == {
        "query_proj.weight": (5, 3), "key_proj.weight": (5, 4), "score.weight": (1, 5)}  # fmt: skip
    assert shapes(nn.LuongAttention(3, 3, "dot")) == {}
    assert shapes(nn.LuongAttention(3, 4)) == {"weight": (3, 4)}
    assert shapes(nn.LuongAttention(3, 4, "concat")) == {
        "query_proj.weight": (3, 3), "key_proj.weight": (3, 4), "score.weight": (1, 3)}  # fmt: skip
    assert nn.LuongAttention(3, 4, "concat", 6).query_proj.weight.shape == (6, 3)
    assert repr(nn.LuongAttention(3, 4)) == "LuongAttention(3, 4, score='general')"


def test_bad_options():
    with pytest.raises(ArgumentError, match="score to be one of"):
        nn.LuongAttention(3, 3, "product")
    with pytest.raises(ArgumentError, match="query_size = key_size for dot"):
        nn.LuongAttention(3, 4, "dot")
    with pytest.raises(ArgumentError, match="hidden_size with concat only"):
        nn.LuongAttention(3, 4, hidden_size=5)
    with pytest.raises(ArgumentError, match="hidden_size to be an integer"):
        nn.AdditiveAttention(3, 4, 0)
    with pytest.raises(ArgumentError, match="query_size to be an integer"):
        nn.AdditiveAttention(-1, 4, 5)


@pytest.mark.parametrize(("shapes", "message"), [
    ([(2, 4), (6, 2, 3)], r"keys of shape \(S, B, 4\), got \(6, 2, 3\)"),
    ([(2, 3), (6, 2, 4)], r"query of shape \(2, 4\) or \(L, B, 4\), B = 2, got \(2, 3\)"),
    ([(3, 4), (6, 2, 4)], "query of shape"),
    ([(5, 3, 4), (6, 2, 4)], "query of shape"),
    ([(2, 4), (6, 2, 4), (5, 2, 4)], "as many values as keys"),
])  # fmt: skip
def test_what_does_not_fit(shapes, message):
    with pytest.raises(ShapeError, match=message):
        layer_of("general")(*(tg.tensor(drawn(*s)) for s in shapes))


def test_a_padding_mask_that_does_not_fit():
    with pytest.raises(ShapeError, match=r"key_padding_mask of shape \(2, 6\), got \(6, 2\)"):
        layer_of("general")(tg.tensor(drawn(2, 4)), tg.tensor(drawn(6, 2, 4)), None,
                            np.zeros((6, 2), bool))  # fmt: skip
