"""Every op gives the CPU's values and gradients on the other device."""

import numpy as np
import pytest

from tests.support.agreement import agree
from tinygrad_seq import errors, ops
from tinygrad_seq.autograd import Tensor, grad
from tinygrad_seq.backend import manual_seed, transfer
from tinygrad_seq.bench import case_of
from tinygrad_seq.ops.primitive import registry

DTYPES = ["float32", "float64"]


def run(op, sample, device, dtype, seed):
    """→ all outputs, and the gradients of all inputs from all outputs."""
    manual_seed(3)  # for ops that draw random numbers
    case = case_of(op, sample, device, dtype, seed)
    out = op(*case.values)
    outs = out if isinstance(out, tuple) else (out,)
    live = [o for o in outs if o.requires_grad]
    if not case.leaves or not live:
        return outs, []
    rng = np.random.default_rng(seed + 1)
    weights = [np.asarray(rng.standard_normal(o.shape)).astype(o.dtype) for o in live]
    weights = [Tensor(transfer(w, o.device)) for w, o in zip(weights, live, strict=True)]
    return outs, grad(live, case.leaves, weights, allow_unused=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(registry))
def test_op_agrees_with_the_cpu(name, dtype, there):
    op = registry[name]
    assert op.samples, "an op without samples is not tested"
    for sample in op.samples:
        outs, grads = run(op, sample, there, dtype, seed=5)
        expected_outs, expected_grads = run(op, sample, "cpu", dtype, seed=5)
        assert len(grads) == len(expected_grads)
        stays = name == "to_device"  # its samples go to the CPU
        for i, (o, e) in enumerate(zip(outs, expected_outs, strict=True)):
            assert stays or str(o.device).startswith(there)
            agree(o, e, f"{name}{sample} output {i}")
        for i, (g, e) in enumerate(zip(grads, expected_grads, strict=True)):
            assert g is None or str(g.device).startswith(there)
            agree(g, e, f"{name}{sample} gradient {i}")


@pytest.mark.parametrize("name", sorted(n for n, op in registry.items() if op.bad))
def test_bad_input_gets_the_same_error(name, there):
    """A kernel cannot raise: what NumPy finds out while computing must be asked beforehand."""
    op = registry[name]
    for bad in op.bad:
        with pytest.raises(bad.error) as caught:
            op(*case_of(op, bad, there).values)
        assert isinstance(caught.value, errors.TinygradSeqError)
        assert name in str(caught.value) or name.removesuffix("_of") in str(caught.value)


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_matrices_are_not_rounded_to_fewer_bits(dtype, there):
    """A GPU may be told to multiply float32 in TF32, which is good to three digits only."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((300, 300)).astype(dtype) for _ in range(2))
    agree(Tensor(a).to(there) @ Tensor(b).to(there), a @ b)


def test_numbers_at_the_edge(there):
    """Infinity and NaN behave alike: masked softmax, log of 0, division by 0."""
    x = np.array([[-np.inf, 0.0, 1.0], [-np.inf] * 3, [np.nan, 1.0, 2.0]], np.float32)
    on = Tensor(x).to(there)
    with np.errstate(all="ignore"):
        for fn in (ops.softmax, ops.log_softmax, ops.exp, ops.tanh, ops.relu, ops.isfinite):
            agree_with_nan(fn(on).numpy(), fn(x))
        for fn in (ops.logsumexp, ops.max):
            agree_with_nan(fn(on, axis=1).numpy(), fn(x, axis=1))
        zeros = np.zeros(3, np.float32)
        agree_with_nan(ops.log(Tensor(zeros).to(there)).numpy(), np.log(zeros))
        agree_with_nan(ops.div(Tensor(x[0]).to(there), 0.0).numpy(), x[0] / np.float32(0))


def agree_with_nan(got, expected):
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
