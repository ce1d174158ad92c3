"""Declared samples as calls that can be timed."""

import numpy as np
import pytest

from tinygrad_seq import ops
from tinygrad_seq.bench import case_of, time_case, transfer_times
from tinygrad_seq.ops.primitive import registry

QUICK = {"repeats": 1, "warmup": 0, "min_seconds": 1e-9, "max_seconds": 1e-9}


@pytest.mark.parametrize("name", sorted(n for n, op in registry.items() if op.bench))
def test_every_bench_sample_runs_forward_and_backward(name, device):
    """The benchmark's own sizes are for benchmarks; the declared calls are what could be wrong."""
    op = registry[name]
    case = case_of(op, op.samples[0], device)
    forward, both = time_case(case, **QUICK)
    assert forward.calls == 1
    assert (both is not None) == bool(op.differentiable)


def test_a_case_has_the_numbers_of_its_sample():
    op = registry["linear"]
    case, again = (case_of(op, op.samples[0], "cpu", np.float64, seed=4) for _ in range(2))
    x, weight, bias = (v.numpy() for v in case.values)
    np.testing.assert_array_equal(x, again.values[0].numpy())
    np.testing.assert_allclose(case.forward().numpy(), x @ weight.T + bias)
    assert not case.forward().requires_grad
    assert [leaf.dtype for leaf in case.leaves] == [np.float64] * 3


def test_both_gives_the_gradient_of_the_weighted_first_output():
    op = registry["lstm"]
    case = case_of(op, op.samples[0], "cpu", np.float64)
    weight = case.weight()
    for _ in range(2):  # it starts afresh each time
        case.both(weight)
    got = [leaf.grad.numpy() for leaf in case.leaves]
    for leaf in case.leaves:
        leaf.grad = None
    (op(*case.values)[0] * weight).sum().backward()
    for g, leaf in zip(got, case.leaves, strict=True):
        np.testing.assert_allclose(g, leaf.grad.numpy(), rtol=1e-12, atol=1e-15)


def test_lists_of_arrays_and_integers():
    case = case_of(ops.concatenate, ops.concatenate.samples[0])
    assert len(case.values[0]) == len(case.leaves) == 2
    case.both(case.weight())
    embedding = registry["embedding"]
    case = case_of(embedding, embedding.samples[0])
    assert len(case.leaves) == 1
    argmax = registry["argmax"]
    assert case_of(argmax, argmax.samples[0]).weight() is None


def test_transfers_are_timed_both_ways(device):
    ways = transfer_times(device, 4096, **QUICK)
    assert set(ways) == {"to device", "to host"}
    assert all(t.seconds > 0 for t in ways.values())
