"""Every op from its own declaration, and layers from a table."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn, ops
from tinygrad_seq.gradcheck import suite
from tinygrad_seq.ops.primitive import Primitive
from tinygrad_seq.ops.sample import Booleans, Integers, Sample

SOME = ["tanh", "matmul", "concatenate", "getitem", "where", "max", "softmax", "argmax", "astype"]
SOME = [name for name in SOME if name in ops.registry]


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("order", [1, 2])
def test_some_ops_pass_on_every_kind_of_device(name, device, order):
    reports = suite.check_op(name, device, order)
    assert all(reports), "\n".join(map(str, reports))
    # argmax has no gradient, and one of astype's samples is of integers
    expected = {"argmax": 0, "astype": 1}.get(name, len(ops.registry[name].samples))
    assert len(reports) == expected
    fast = suite.check_op(ops.registry[name], device, order, fast=True)
    assert all(fast)


def test_what_is_perturbed_and_what_is_not():
    def pick(x, i, mask, scale=1.0):
        return scale * np.where(mask, x[i], 0.0)

    rule = lambda g, x_shape, i, mask, scale: ops.getitem(g * 0, slice(None))
    samples = [Sample((5,), Integers((3,), 0, 5), Booleans((3,)), scale=2.0)]
    op = Primitive(pick, samples=samples, nondiff=("i", "mask")).vjp(x=rule)
    call = suite.call_of(op, samples[0])
    assert [x.shape for x in call.inputs] == [(5,)]
    np.testing.assert_array_equal(call.inputs[0].numpy(), samples[0].draw()[0][0])


def test_members_of_a_sequence_are_told_apart():
    (report,) = suite.check_op("concatenate")[:1]
    assert [e.input for e in report.entries] == ["arrays0", "arrays1"]


def broken(**declaration):
    return Primitive(lambda x: np.tanh(x), name="broken", samples=[Sample((3,))], **declaration)


def test_a_wrong_rule_is_reported_and_not_raised():
    op = broken().vjp(x=lambda g, out: g * (1 - out))
    for fast in (False, True):
        (report,) = suite.check_op(op, fast=fast)
        assert report.verdict == "wrong"
        assert "broken((3,))" in str(report)


def test_a_composition_must_agree_in_value_and_gradient():
    right = lambda g, out: g * (1 - out * out)
    (report,) = suite.check_op(broken(composition=tg.tanh).vjp(x=right))
    assert report
    for wrong in (lambda x: 1.001 * tg.tanh(x), lambda x: tg.tanh(x).sum()):
        (report,) = suite.check_op(broken(composition=wrong).vjp(x=right))
        assert report.verdict == "wrong"
        assert "composition" in str(report)
    shifted = lambda x: tg.tanh(x.detach()) + 0 * x  # the same value, another gradient
    (report,) = suite.check_op(broken(composition=shifted).vjp(x=right))
    assert report.verdict == "wrong"
    assert "create_graph" in str(report)


def layer(wrong=False):
    def make(device):
        linear = nn.Linear(3, 2)
        if device != "cpu":
            linear.to(device)
        x = tg.tensor(np.ones((4, 3)), device=device)
        return (lambda x: linear(x) * (x.detach().sum() if wrong else 1.0)), (x,)

    return make


def test_the_table_of_everything(device):
    rows = list(suite.check_all(["tanh", "linear layer"], device, [("linear layer", layer())]))
    assert [(r.name, r.kind, r.verdict) for r in rows] == [
        ("tanh", "op", "pass"),
        ("linear layer", "layer", "pass"),
    ]
    for row in rows:
        assert 0 <= row.worst < 1e-6
        assert row.seconds > 0
        assert row.note == ""


def test_failures_appear_as_rows(monkeypatch):
    wrong = broken().vjp(x=lambda g, out: g * (1 - out))
    fails = broken().vjp(x=lambda g: 1 / 0)
    monkeypatch.setattr(ops, "registry", {"tanh": ops.registry["tanh"], "w": wrong, "f": fails})
    rows = {r.name: r for r in suite.check_all()}
    assert [r.verdict for r in rows.values()] == ["pass", "wrong", "error"]
    assert "worst: d out[" in rows["w"].note
    assert "ZeroDivisionError" in rows["f"].note
    assert rows["w"].worst > 1e-3


def test_unknown_names_and_orders_are_refused():
    with pytest.raises(tg.errors.ArgumentError, match=r"'tahn'; did you mean 'tanh'"):
        next(suite.check_all(["tahn"]))
    with pytest.raises(tg.errors.ArgumentError, match="order"):
        suite.check_op("tanh", order=3)
    assert suite.check_op("argmax") == []
