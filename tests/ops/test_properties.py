"""Any shape, axis, layout and dtype: the ops agree with NumPy, and their rules with calculus.

The gradient of a linear op is its transpose, which needs no finite differences to check:
⟨g, f(x)⟩ = ⟨fᵀg, x⟩. One that is linear in each of its inputs obeys this for each of them.
"""

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_seq as tg
from tinygrad_seq import ops
from tinygrad_seq.gradcheck import gradcheck
from tinygrad_seq.gradcheck import strategies as some

ARITHMETIC = ["add", "sub", "mul", "maximum", "minimum", "equal", "less", "greater_equal"]
SMOOTH = ["tanh", "sigmoid", "exp", "expm1", "sin", "cos", "square", "silu", "gelu", "erf",
          "softplus", "softsign", "elu", "neg", "softmax", "log_softmax"]  # fmt: skip
POSITIVE = ["log", "sqrt", "log1p"]
REDUCTIONS = ["sum", "mean", "prod", "var", "std", "max", "min"]
# Without "repeated": equal elements tie, and have no derivative.
DISTINCT = ("contiguous", "fortran", "strided", "reversed", "offset")
FEW = settings(max_examples=30)


def leaf(array):
    return tg.tensor(array.copy(order="K"), requires_grad=True)


def weight_for(out, seed=3):
    return np.asarray(np.random.default_rng(seed).standard_normal(out.shape)).astype(out.dtype)


def pulled(fn, *arrays):
    """→ g, the output and the gradient of each array, all on the host."""
    leaves = [leaf(a) for a in arrays]
    out = fn(*leaves)
    g = weight_for(out)
    grads = tg.grad(out, leaves, tg.tensor(g))
    return g, out.detach().numpy(), [x.numpy() for x in grads]


def expect_transpose(fn, *arrays):
    """⟨g, f(…)⟩ = ⟨∂f/∂xᵀ g, x⟩ for every x that f is linear in."""
    g, out, grads = pulled(fn, *arrays)
    for x, d in zip(arrays, grads, strict=True):
        assert d.shape == x.shape
        assert np.isclose(np.vdot(g, out), np.vdot(d, x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ARITHMETIC)
@given(some.pairs())
def test_pairs_broadcast_as_in_numpy(name, pair):
    op = getattr(ops, name)
    out = op(*[tg.tensor(a) for a in pair])
    np.testing.assert_array_equal(out.numpy(), op.numpy(*pair))
    assert out.dtype == op.numpy(*pair).dtype


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "maximum", "pow"])
@FEW
@given(some.pairs(low=0.5, high=2.0))
def test_gradients_of_pairs(name, pair):
    gradcheck(getattr(ops, name), pair, fast=True, allow=("kink",))


@pytest.mark.parametrize("name", SMOOTH)
@FEW
@given(some.arrays(shape=some.shapes().filter(len)))
def test_gradients_elementwise(name, x):
    gradcheck(getattr(ops, name), [x], fast=True)


@pytest.mark.parametrize("name", POSITIVE)
@FEW
@given(some.arrays(low=0.3, high=3.0))
def test_gradients_of_logarithms_and_roots(name, x):
    gradcheck(getattr(ops, name), [x], fast=True)


@pytest.mark.parametrize(
    "names", [("float32", "float64"), ("float64", "float32"), ("int64", "float32")]
)
@pytest.mark.parametrize("name", ["add", "mul", "div", "matmul", "where"])
def test_dtypes_promote_as_in_numpy_and_gradients_keep_theirs(name, names):
    a, b = (np.ones((2, 2), n) for n in names)
    leaves = [tg.tensor(x, requires_grad=x.dtype.kind == "f") for x in (a, b)]
    before = (np.eye(2) > 0,) if name == "where" else ()
    out = getattr(ops, name)(*before, *leaves)
    assert out.dtype == getattr(ops, name).numpy(*before, a, b).dtype
    out.sum().backward()
    for x in leaves:
        assert x.grad is None or x.grad.dtype == x.dtype


@pytest.mark.parametrize("name", REDUCTIONS)
@FEW
@given(data=st.data())
def test_reductions_over_any_axes(name, data):
    x = data.draw(some.arrays(layouts=DISTINCT))
    params = {"axis": data.draw(some.axes(x.ndim)), "keepdims": data.draw(st.booleans())}
    op = getattr(ops, name)
    expected = op.numpy(x, **params)
    got = op(tg.tensor(x), **params)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-10, atol=1e-12)
    # A standard deviation of one element is |0|.
    gradcheck(lambda x: op(x, **params), [x], fast=True, allow=("kink",))


@pytest.mark.parametrize("ord", [None, 1, 2, np.inf])
@FEW
@given(data=st.data())
def test_norms_over_any_axis(ord, data):
    x = data.draw(some.arrays(shape=some.shapes().filter(len)))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    keep = data.draw(st.booleans())
    expected = np.linalg.norm(x, ord, axis, keep)
    np.testing.assert_allclose(
        ops.norm(tg.tensor(x), ord, axis, keep).numpy(), expected, rtol=1e-12
    )
    gradcheck(lambda x: ops.norm(x, ord, axis, keep), [x], fast=True, allow=("kink",))


INDICES = st.deferred(
    lambda: st.one_of(
        npst.basic_indices((3, 4, 2), allow_newaxis=True),
        npst.integer_array_indices((3, 4, 2)),
        npst.integer_array_indices((3, 4)),
        npst.arrays(bool, (3, 4, 2)),
        npst.arrays(bool, (3, 4)),
        st.tuples(st.slices(3), npst.arrays(np.int64, (2, 1), elements=st.integers(-4, 3))),
        st.tuples(npst.arrays(bool, (3,)), st.just(Ellipsis), st.integers(-2, 1)),
        st.lists(st.integers(-3, 2), min_size=1),
    )
)


@given(some.arrays(shape=(3, 4, 2)), INDICES)
def test_any_index_selects_as_in_numpy_and_scatters_back(x, index):
    t = leaf(x)
    out = t[index]
    np.testing.assert_array_equal(out.detach().numpy(), x[index])
    g = weight_for(out)
    expected = np.zeros_like(x)
    np.add.at(expected, index, g)
    np.testing.assert_allclose(tg.grad(out, t, tg.tensor(g)).numpy(), expected, atol=1e-14)


@given(some.arrays(shape=(3, 4, 2)), INDICES)
def test_adding_at_any_index(x, index):
    source = weight_for(x[index])
    expected = x.copy()
    np.add.at(expected, index, source)
    np.testing.assert_allclose(ops.index_add(x, index, source), expected, atol=1e-14)
    g, _, (by_x, by_source) = pulled(lambda x, s: ops.index_add(x, index, s), x, source)
    np.testing.assert_array_equal(by_x, g)
    np.testing.assert_array_equal(by_source, g[index])


@given(npst.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=2, max_side=3))
def test_matrix_products_of_all_ranks(shapes):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(s) for s in shapes.input_shapes)
    out = tg.tensor(a) @ tg.tensor(b)
    np.testing.assert_allclose(out.numpy(), np.matmul(a, b), rtol=1e-12, atol=1e-12)
    expect_transpose(lambda a, b: a @ b, a, b)


@st.composite
def einsums(draw):
    """Subscripts, with repeated and lonely labels and at times an ellipsis, and operands."""
    sizes = dict(
        zip("abcd", draw(st.lists(st.integers(1, 3), min_size=4, max_size=4)), strict=True)
    )
    terms = draw(st.lists(st.text("abcd", max_size=3), min_size=1, max_size=3))
    lead = draw(some.broadcastable(len(terms), max_dims=2)) if draw(st.booleans()) else None
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    operands = [
        rng.standard_normal((lead[i] if lead else ()) + tuple(sizes[c] for c in term))
        for i, term in enumerate(terms)
    ]
    dots = "..." if lead else ""
    text = ",".join(dots + term for term in terms)
    if draw(st.booleans()):
        labels = draw(st.permutations(sorted(set("".join(terms)))))
        text += "->" + dots + "".join(labels[: draw(st.integers(0, len(labels)))])
    return text, operands


@given(einsums())
def test_einsum_takes_all_of_numpys_notation(case):
    text, operands = case
    out = np.einsum(text, *[tg.tensor(x) for x in operands])
    np.testing.assert_allclose(out.numpy(), np.einsum(text, *operands), rtol=1e-10, atol=1e-10)
    expect_transpose(lambda *xs: tg.einsum(text, *xs), *operands)


@st.composite
def rearrangements(draw):
    """A linear op that only moves elements about, with parameters that fit."""
    x = draw(some.arrays(shape=some.shapes(max_dims=3, max_side=3).filter(len)))
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    order = tuple(draw(st.permutations(range(x.ndim))))
    few = st.integers(0, 3)
    counts = [draw(few) for _ in range(x.shape[axis])]
    widths = tuple(draw(st.tuples(few, few)) for _ in range(x.ndim))
    return draw(
        st.sampled_from(
            [
                (ops.transpose, x, {"axes": order}),
                (ops.transpose, x, {"axes": tuple(a - x.ndim for a in order)}),
                (ops.swapaxes, x, {"axis1": axis, "axis2": order[0]}),
                (ops.reshape, x, {"shape": (-1, x.shape[-1])}),
                (ops.expand_dims, x, {"axis": axis}),
                (ops.flip, x, {"axis": axis}),
                (ops.flip, x, {"axis": order[: draw(st.integers(0, x.ndim))]}),
                (ops.roll, x, {"shift": draw(st.integers(-5, 5)), "axis": axis}),
                (ops.roll, x, {"shift": draw(st.integers(-5, 5))}),
                (ops.pad, x, {"pad_width": widths}),
                (ops.tile, x, {"reps": tuple(draw(st.lists(few, max_size=4)))}),
                (ops.repeat, x, {"repeats": draw(few), "axis": axis}),
                (ops.repeat, x, {"repeats": draw(few)}),
                (ops.repeat, x, {"repeats": counts, "axis": axis}),
                (ops.broadcast_to, x, {"shape": (2, *x.shape)}),
                (ops.cumsum, x, {"axis": axis}),
                (ops.cumsum, x, {}),
                (ops.tril, np.stack([x, x]), {"k": draw(st.integers(-2, 2))}),
                (ops.triu, np.stack([x, x]), {"k": draw(st.integers(-2, 2))}),
            ]
        )
    )  # fmt: skip


@given(rearrangements())
def test_rearranging_as_numpy_does_and_its_transpose(case):
    op, x, params = case
    expected = op.numpy(x, **params)
    out = op(tg.tensor(x), **params)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12, atol=1e-12)
    expect_transpose(lambda x: op(x, **params), x)


@given(some.arrays(shape=some.shapes().filter(len)), st.data())
def test_split_and_concatenate_undo_each_other(x, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    cuts = sorted(data.draw(st.lists(st.integers(0, x.shape[axis]), max_size=3)))
    parts = np.split(tg.tensor(x), cuts, axis)
    for part, expected in zip(parts, np.split(x, cuts, axis), strict=True):
        np.testing.assert_array_equal(part.numpy(), expected)
    expect_transpose(lambda x: tg.concatenate(ops.split(x, cuts, axis), axis), x)
    np.testing.assert_array_equal(tg.concatenate(parts, axis).numpy(), x)


@given(some.arrays(shape=some.shapes().filter(len)), st.data())
def test_softmax_is_a_distribution_and_takes_no_notice_of_a_shift(x, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    p = ops.softmax(x, axis)
    np.testing.assert_allclose(p.sum(axis), 1, rtol=1e-12)
    np.testing.assert_allclose(ops.softmax(x + 1e3, axis), p, rtol=1e-9)
    np.testing.assert_allclose(np.log(p), ops.log_softmax(x, axis), rtol=1e-9, atol=1e-12)
    _, _, (g,) = pulled(lambda x: ops.softmax(x, axis), x)
    np.testing.assert_allclose(g.sum(axis), 0, atol=1e-12)
