"""The mutation audit tells what is noticed, what changes nothing and what is missed."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tests.gradcheck.planted import op
from tinygrad_seq import nn
from tinygrad_seq.gradcheck import Corruption, audit_all, audit_op, mutation_audit
from tinygrad_seq.gradcheck.corruptions import CORRUPTIONS, chosen
from tinygrad_seq.gradcheck.examiner import Examiner
from tinygrad_seq.gradcheck.sites import sites_of
from tinygrad_seq.gradcheck.subject import Subject
from tinygrad_seq.ops.primitive import registry

X, W = (np.random.default_rng(s).standard_normal(shape) for s, shape in ((0, (4, 3)), (1, (3, 2))))


def net(x, w):
    return tg.tanh(x @ w)


def test_every_mistake_in_a_small_net_is_noticed():
    report = tg.gradcheck.mutation_audit(net, (X, W))
    assert report
    assert len(report.detected) == len(report.mutants) > 80
    sites = ["x", "w", "matmul by a", "matmul by b", "tanh by x"]
    assert list(dict.fromkeys(m.site for m in report.mutants)) == sites


def test_loose_tolerances_miss_what_is_smaller():
    report = mutation_audit(tg.tanh, X, rtol=5e-3, sites=["tanh by x"])
    assert not report
    assert {m.corruption for m in report.missed} == {"scale 1 + 1e-03", "scale 1 + 1e-04",
                                                     "through float16"}  # fmt: skip
    for m in report.missed:
        assert 1e-5 < m.off < 5e-3
        assert "tolerance 5.0e-03" in m.note
    assert "missed:" in str(report)
    assert mutation_audit(tg.tanh, X, rtol=5e-3, scales=[0.1], corruptions=["scale 1 + 1e-01"])


@pytest.mark.parametrize("fast", [False, True])
def test_the_audit_says_what_the_check_says(fast):
    """Though it remembers the function's values and looks only at what has changed."""
    subject = Subject(net, (X, W))
    examiner = Examiner(subject, fast=fast)
    assert examiner.passes
    seen = set()
    for site in sites_of(subject):
        for way in chosen(["other sign", "element dropped", "stale save", "transposed"], ()):
            mutant = examiner.examine(site, way)
            if site.op is None or mutant is None:
                continue
            with site.corrupt(subject, way.change, []):
                report = tg.gradcheck(net, (X, W), fast=fast, create_graph=False,
                                      raise_exception=False)  # fmt: skip
            assert mutant.verdict == report.verdict == "wrong"
            assert mutant.detected
            seen.add(way.name)
    assert len(seen) == 4
    assert tg.gradcheck(net, (X, W))


def test_equivalent_mutants_have_a_reason():
    report = mutation_audit(lambda x: (x * x).sum(), np.eye(3), sites=["x", "mul by a"])
    reasons = {(m.site, m.corruption): m.note for m in report.equivalent}
    assert reasons["x", "transposed"] == "the gradient is symmetric"
    assert reasons["mul by a", "other argument's"] == "both arguments have the same gradient"
    assert report  # nothing was missed
    flat = mutation_audit(tg.sign, X, sites=["x"])
    assert {m.note for m in flat.equivalent} == {"the derivative is zero"}
    assert "constant added" in {m.corruption for m in flat.detected}


def test_each_corruption_is_what_its_name_says():
    """The answers of x ↦ a·x + b, where a is broadcast over the rows."""
    seen = {}
    for way in CORRUPTIONS:
        subject = Subject(lambda a: a * X, W[:, 0])
        site = next(s for s in sites_of(subject) if s.name == "mul by a")
        with site.corrupt(subject, way.change, []), subject.record(subject.point) as (out, leaf):
            seen[way.name] = tg.grad(out[0].sum(), leaf[0]).numpy()
    right = X.sum(axis=0)
    expected = {
        "other sign": -right, "scale 1 + 1e-02": 1.01 * right, "factor 2 missing": right / 2,
        "counted twice": 2 * right, "zero": 0 * right, "broadcast not summed": X[0],
        "broadcast averaged": right / 4, "batch not summed": X[0], "batch averaged": right / 4,
        "shifted by one": np.roll(X, 1).sum(axis=0), "chain rule missing": 4 + 0 * right,
    }  # fmt: skip
    for name, value in expected.items():
        np.testing.assert_allclose(seen[name], value, rtol=1e-12, err_msg=name)
    assert np.isnan(seen["element NaN"][0])
    dropped = right - X[-1] * [0, 0, 1]
    np.testing.assert_allclose(seen["element dropped"], dropped)
    off = seen["stale save"] / right - 1
    assert np.abs(off).max() > 0.01
    assert set(seen) == {c.name for c in CORRUPTIONS}


def test_rules_are_whole_again_and_streams_untouched():
    before, state = dict(tg.tanh.rules), tg.default_generator().get_state()
    mutation_audit(tg.tanh, X)
    assert tg.tanh.rules == before
    assert tg.default_generator().get_state() == state

    def fails(call):
        raise ZeroDivisionError

    report = mutation_audit(tg.tanh, X, corruptions=[Corruption("fails", fails, "")])
    assert {m.verdict for m in report.mutants} == {"error"}
    assert len(report.detected) == 2
    assert tg.tanh.rules == before
    assert tg.gradcheck(tg.tanh, X)


def test_modules_and_fused_ops():
    layer = nn.GRU(2, 2)
    ways = ["other sign", "zero", "stale save", "element negated"]
    report = mutation_audit(layer, tg.randn(2, 1, 2), fast=True, corruptions=ways)
    assert report
    assert {"x", "weight_ih_l0", "bias_hh_l0", "gru by w_hh"} <= {m.site for m in report.mutants}


def test_members_of_a_list_are_told_apart():
    report = audit_op("concatenate", corruptions=["other sign", "transposed"])
    assert {m.site for m in report.mutants} == {"concatenate by arrays[0]",
                                                "concatenate by arrays[1]"}  # fmt: skip


@pytest.mark.parametrize("where", ["cpu", "strict"])
def test_the_table_of_all(where):
    layers = [
        ("a line", lambda device: (nn.Linear(2, 2, device=device), tg.randn(3, 2, device=device)))
    ]
    rows = list(
        audit_all(["tanh", "argmax", "a line"], where, layers, corruptions=["zero"], fast=True)
    )
    assert [(r.name, r.kind, r.missed) for r in rows] == [("tanh", "op", 0), ("a line", "layer", 0)]
    assert all(r.mutants == r.detected + r.equivalent and r.seconds > 0 for r in rows)
    with pytest.raises(tg.errors.ArgumentError, match="did you mean 'tanh'"):
        next(audit_all(["tahn"]))


def test_bad_input_and_wrong_functions_are_refused():
    with pytest.raises(tg.errors.ArgumentError, match="other sign"):
        mutation_audit(tg.tanh, X, corruptions=["sgin"])
    with pytest.raises(tg.errors.ArgumentError, match="sites"):
        mutation_audit(tg.tanh, X, sites=["y"])
    wrong = op(lambda x: np.tanh(x), x=lambda g, out: g * (1 - out))
    with pytest.raises(tg.errors.GradcheckError):
        mutation_audit(wrong, X)


def test_the_report_fits_the_screen_and_is_data():
    report = mutation_audit(lambda x: (x * x).sum(), np.eye(3), rtol=5e-3)
    assert max(len(line) for line in str(report).splitlines()) <= 80
    rows = report.rows()
    assert len(rows) == len(report.mutants)
    assert {r["state"] for r in rows} == {"detected", "equivalent", "missed"}
    counts = [len(report.detected), len(report.equivalent), len(report.missed)]
    assert sum(counts) == len(rows)


def test_an_op_of_ones_own_needs_no_registry():
    mine = op(lambda x: x**3, x=lambda g, x: g * 3 * x * x)
    report = mutation_audit(mine, X)
    assert report
    assert "planted by x" in {m.site for m in report.mutants}
    assert "planted" not in registry
