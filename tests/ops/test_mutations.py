"""Every rule of every op, corrupted in every way of the list: the gradient check must notice."""

from pathlib import Path

import pytest

from tinygrad_seq.bench import read_results
from tinygrad_seq.gradcheck import audit_op
from tinygrad_seq.gradcheck.corruptions import CORRUPTIONS
from tinygrad_seq.ops.primitive import registry

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks/results/mutation_audit.json"
OPS = [pytest.param(op, id=name) for name, op in registry.items() if op.differentiable]
# What must be noticed of every rule that has a derivative to corrupt.
ALWAYS = {"other sign", "scale 1 + 1e-01", "scale 1 + 1e-02", "zero", "counted twice"}
# Minutes each, element by element: benchmarks/mutation_audit.py does that for them.
LONG = {"lstm", "gru"}
# Their derivative is zero: there is nothing to scale. Something added must be noticed all the same.
ZERO = {"sign"}


def rules_of(op):
    if op.sequence:
        return 2  # the first members of its list
    return len(op.differentiable if op.joint else op.rules)


@pytest.mark.parametrize("op", OPS)
def test_corrupted_rules_are_noticed(op):
    """By random projections, which may miss an error near the tolerance."""
    report = audit_op(op, fast=True)
    assert len({m.site for m in report.mutants}) == rules_of(op)
    assert [m for m in report.missed if m.off > 1e-3] == []
    for site in {m.site for m in report.mutants}:
        noticed = {m.corruption for m in report.detected if m.site == site}
        assert "constant added" in noticed
        assert noticed >= (set() if op.name in ZERO else ALWAYS), site


@pytest.mark.slow
@pytest.mark.parametrize("op", [op for op in OPS if op.id not in LONG])
def test_all_are_noticed_element_by_element(op):
    report = audit_op(op)
    assert report, str(report)
    # A gradient that was rounded to half precision is, rightly, called noisy.
    noisy = {m.corruption for m in report.detected if m.verdict == "too noisy"}
    assert noisy <= {"through float16"}


def test_the_published_audit_is_of_these_ops_and_misses_nothing():
    rows = read_results(RESULTS)["rows"]
    assert {r["op"] for r in rows} == {op.name for op in registry.values() if op.differentiable}
    assert {r["corruption"] for r in rows} == {c.name for c in CORRUPTIONS}
    assert {r["state"] for r in rows} == {"detected", "equivalent"}
    assert all(r["note"] for r in rows if r["state"] == "equivalent")
    assert len({r["site"] for r in rows}) == sum(rules_of(p.values[0]) for p in OPS)


def test_a_derivative_of_zero_cannot_be_scaled():
    for name in ZERO:
        report = audit_op(name)
        assert {m.note for m in report.equivalent} == {"the derivative is zero"}
        assert {m.corruption for m in report.equivalent} >= ALWAYS
