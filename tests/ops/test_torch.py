"""PyTorch as oracle: outputs and gradients of every op that it has."""

import math

import numpy as np
import pytest

from tests.support import op_checks, torch_ops
from tinygrad_seq.backend import is_array
from tinygrad_seq.ops.primitive import registry
from tinygrad_seq.ops.sample import Booleans, Integers, Sample, Uniform

pytestmark = pytest.mark.oracle

LIMIT = {np.float64: 1e-10, np.float32: 1e-5}
INF = math.inf
TIES = np.array([[1.0, 2.0, 2.0, 0.0], [3.0, 3.0, 3.0, 3.0], [-1.0, -2.0, -1.0, -5.0]])
ZEROS = np.array([[2.0, 0.0, 3.0], [0.0, 4.0, 0.0], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
EDGE = np.array([-40.0, -3.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 3.0, 15.0])
MASKED = np.array([[0.5, -INF, 1.0, 2.0], [-INF, 3.0, -INF, -INF]])

# Beyond the declared samples: ties, zeros, kinks, far values, options together.
ODD = {
    "abs": [Sample(EDGE)],
    "astype": [Sample((3, 4), np.float32), Sample((3, 4), np.float64)],
    "sigmoid": [Sample(EDGE), Sample(np.array([-800.0, 800.0]))],
    "tanh": [Sample(EDGE)],
    "relu": [Sample(EDGE)],
    "leaky_relu": [Sample(EDGE, 0.2)],
    "elu": [Sample(EDGE), Sample(EDGE, 0.3)],
    "gelu": [Sample(EDGE), Sample(EDGE, "tanh")],
    "silu": [Sample(EDGE)],
    "softplus": [Sample(EDGE), Sample(EDGE, 0.5)],
    "softsign": [Sample(EDGE)],
    "erf": [Sample(EDGE)],
    "sign": [Sample(EDGE)],
    "pow": [Sample(ZEROS, 2), Sample(ZEROS, 1), Sample(ZEROS, 0), Sample(np.abs(EDGE), 1.5),
            Sample(Uniform((3,), 0.5, 2), np.array([0.0, 1.0, 2.0]))],
    "clip": [Sample(EDGE, -1.0, 3.0), Sample(EDGE, -1, None)],
    "maximum": [Sample(TIES, TIES.T[:1].T), Sample(TIES, 2.0)],
    "minimum": [Sample(TIES, TIES.T[:1].T), Sample(TIES, 2.0)],
    "max": [Sample(TIES, axis=1), Sample(TIES), Sample(TIES, axis=(0, 1), keepdims=True)],
    "min": [Sample(TIES, axis=-1), Sample(TIES), Sample(TIES, axis=0)],
    "sum": [Sample((2, 3, 4), axis=(-1, 0)), Sample((2, 0, 4), axis=1)],
    "mean": [Sample((2, 3, 4), axis=(-1, 0))],
    "var": [Sample((2, 3, 4), axis=(-1, 0), ddof=1), Sample(np.full((3,), 2.0))],
    "std": [Sample((2, 3, 4), axis=(-1, 0), ddof=1), Sample(np.full((3,), 2.0))],
    "prod": [Sample(ZEROS, axis=1), Sample(ZEROS), Sample(ZEROS, axis=0, keepdims=True),
             Sample((7,)), Sample((1, 5), axis=0)],
    "norm": [Sample(np.zeros(4)), Sample(np.zeros((3, 4)), 1, 1), Sample(ZEROS, None, 1),
             Sample(TIES, INF, 1), Sample(TIES, 1, 0), Sample(ZEROS, INF, 0, True)],
    "logsumexp": [Sample(np.array([[1000.0, 1000.0], [-1000.0, 5.0]]), 1), Sample(MASKED, 1)],
    "softmax": [Sample(np.array([[1000.0, 0.0], [-1000.0, 5.0]])), Sample(MASKED)],
    "log_softmax": [Sample(np.array([[1000.0, 0.0], [-1000.0, 5.0]]))],
    "einsum": [
        Sample([(2, 3, 4), (4, 3, 2)], "abc,cba->"),
        Sample([(3, 3), (3, 3)], "ii,ij->j"),
        Sample([(2, 3, 3)], "bii->b"),
        Sample([(3, 3, 3)], "iii->i"),
        Sample([(5, 2, 3), (3, 4)], "...ij,jk->...ik"),
        Sample([(2, 3), (4, 3), (5, 3)], "ai,bi,ci->abc"),
        Sample([(3, 4), (2, 3, 4)], "...,..."),
        Sample([(4, 2)], "ba"),
    ],
    "matmul": [Sample((1, 2, 3, 4), (5, 1, 4, 2)), Sample((2, 3, 0), (0, 4))],
    "linear": [Sample((2, 3, 5, 4), (6, 4), (6,)), Sample((0, 4), (5, 4), (5,))],
    "embedding": [Sample(np.array([[1, 1, 2], [0, 1, 4]]), (5, 3), 1),
                  Sample(np.array([4, 4, 0]), (5, 3), -1)],
    "add_rows": [Sample((2, 3, 4), np.array([[1, 1, 2], [0, 1, 4]]), 5, -4)],
    "take_along_axis": [Sample((3, 4), np.array([[0, 0, 0, 0]]), 0)],
    "scatter": [Sample((12,), Booleans((3, 4), 1.0), shape=(3, 4))],
    "layer_norm": [Sample(30 + np.arange(12.0).reshape(3, 4), 4, (4,), (4,)),
                   Sample(np.full((2, 3), 5.0), 3)],
    "cross_entropy": [
        Sample((6, 5), np.array([0, 1, 4, 4, 1, 1]), Uniform((5,), 0.5, 2), 4, "none", 0.2),
        Sample((6, 5), np.array([0, 1, 4, 4, 1, -100]), None, -100, "mean", 0.2),
        Sample((6, 5), np.array([0, 1, 4, 4, 1, 2]), Uniform((5,), 0.5, 2), 1, "sum", 0.1),
        Sample((2, 5, 3, 2), Integers((2, 3, 2), 0, 5), Uniform((5,), 0.5, 2), 2),
        Sample((2, 5, 3), Uniform((2, 5, 3)), Uniform((5,), 0.5, 2), -100, "sum", 0.3),
        Sample((5,), Uniform((5,)), None, -100, "mean", 0.3),
        Sample(np.array([[900.0, 0.0, -900.0]]), np.array([2])),
        Sample(MASKED, np.array([3, 1])),
        Sample((2, 2), np.array([3, 3]), None, 3, "sum"),
    ],
    "nll_loss": [
        Sample((6, 5), np.array([0, 1, 4, 4, 1, 1]), Uniform((5,), 0.5, 2), 4),
        Sample((2, 5, 3), Integers((2, 3), 0, 5), Uniform((5,), 0.5, 2), 2, "none"),
    ],
    "binary_cross_entropy_with_logits": [
        Sample(np.array([-50.0, 0.0, 60.0]), np.array([1.0, 0.5, 0.0])),
        Sample((3, 4), Uniform((3, 4)), Uniform((4,)), "sum", Uniform((4,), 0.5, 2)),
    ],
}  # fmt: skip
CASES = [
    pytest.param(op, sample, id=f"{name}{i}")
    for name, op in registry.items()
    if name not in torch_ops.LACKS
    for i, sample in enumerate([*op.samples, *ODD.get(name, [])])
]


def test_every_op_is_in_the_table_or_excused(torch):
    known = torch_ops.table(torch)
    assert set(known) | set(torch_ops.LACKS) == set(registry)
    assert not set(known) & set(torch_ops.LACKS)
    assert set(ODD) <= set(known)


def theirs(torch, op, values):
    """→ outputs and gradients by PyTorch, as NumPy arrays."""
    leaves = []

    def convert(name, a):
        t = torch.from_numpy(np.array(a))
        if op_checks.floating(a) and name in op.differentiable:
            leaves.append(t.requires_grad_())
        return t

    given = [
        op_checks.mapped(lambda a, name=name: convert(name, a), value)
        for name, value in zip(op.params, values, strict=True)
    ]
    outs = op_checks.tuple_of(torch_ops.table(torch)[op.name](*given))
    weights = op_checks.weights([o.detach().numpy() for o in outs])
    live = [(o, torch.from_numpy(w)) for o, w in zip(outs, weights, strict=True) if o.requires_grad]
    grads = [None] * len(leaves)
    if live:
        grads = torch.autograd.grad(
            [o for o, _ in live], leaves, [w for _, w in live], allow_unused=True
        )
    return [o.detach().numpy() for o in outs], [None if g is None else g.numpy() for g in grads]


@pytest.mark.parametrize("dtype", LIMIT, ids=lambda d: d.__name__)
@pytest.mark.parametrize(("op", "sample"), CASES)
def test_outputs_and_gradients_equal_pytorchs(torch, op, sample, dtype):
    drawn = op_checks.arguments(op, sample, dtype)
    values = [
        op_checks.mapped(lambda a: a.astype(dtype) if op_checks.floating(a) else a, v)
        for v in drawn
    ]
    outs, grads = op_checks.run(op, values)
    right_outs, right_grads = theirs(torch, op, values)
    assert len(grads) == len(right_grads)
    for got, right in zip([*outs, *grads], [*right_outs, *right_grads], strict=True):
        if right is None or got is None:
            got, right = (np.zeros(()) if g is None else g for g in (got, right))
            assert not np.any(got)
            assert not np.any(right)
            continue
        assert got.shape == right.shape
        if got.dtype.kind == "f":
            assert got.dtype == right.dtype
        finite = np.abs(right[np.isfinite(right)]) if is_array(right) else right
        scale = max(1.0, finite.max(initial=0.0)) if right.dtype.kind == "f" else 1.0
        np.testing.assert_allclose(got, right, rtol=LIMIT[dtype], atol=LIMIT[dtype] * scale)
