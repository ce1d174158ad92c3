"""Two devices compared: equal where they are, apart where something is planted."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn, ops
from tinygrad_seq.backend import default_generator, device_of
from tinygrad_seq.errors import ArgumentError, DeviceError, GradcheckError
from tinygrad_seq.gradcheck import parity, parity_all
from tinygrad_seq.gradcheck.parity_report import EDGES, ulps
from tinygrad_seq.ops.primitive import Primitive
from tinygrad_seq.ops.sample import Sample

BOTH = ("cpu", "strict")
RIGHT = lambda g, out: g * (1 - out * out)


def on(device, value, other):
    """A function of its input that is ``value`` on one device and ``other`` elsewhere."""
    return lambda x: (value if x.device.type == device else other)(x)


def planted(**rules):
    return Primitive(lambda x: np.tanh(x), name="planted").vjp(**rules)


def test_the_same_operations_give_the_same_bits():
    report = parity(lambda x, y: (tg.tanh(x * y), x - y), (tg.randn(3, 4), tg.randn(4)), BOTH)
    assert report
    assert [e.name for e in report.entries] == ["out0", "out1", "d / d x", "d / d y"]
    assert report.apart == 0.0
    assert report.histogram[0] == report.histogram[1]
    assert sum(report.histogram[0]) == 12 + 12 + 12 + 4
    assert 0 < report.errors[0] < 16  # float32 is off float64 by a few ULP
    assert report.errors[0] == report.errors[1]


def test_the_reference_starts_from_the_same_rounded_inputs():
    out, _ = parity(lambda x: x * 1.0, np.array([0.1, 0.2, 0.3]), BOTH).entries
    assert out.worst == (0.0, 0.0)


def test_another_order_of_summation_stays_within_the_bound():
    """The fast LSTM against its readable twin, which is what the stand-in runs."""
    report = parity(nn.LSTM(3, 4), tg.randn(5, 2, 3), BOTH)
    assert report
    assert 0 < report.apart <= min(e.bound for e in report.entries)
    assert {"d / d weight_ih_l0", "d / d bias_hh_l0"} <= {e.name for e in report.entries}
    assert report.dtype == "float32"
    assert {e.dtype for e in report.entries} == {"float32"}


@pytest.mark.parametrize("factor", [1 + 1e-4, 1 - 1e-4, -1.0, 0.0])
def test_a_value_that_differs_is_found(factor):
    fn = on("strict", lambda x: x * factor, lambda x: x * 1.0)
    with pytest.raises(GradcheckError) as caught:
        parity(fn, np.linspace(1, 2, 5), BOTH)
    report = caught.value.report
    assert report.verdict == "apart"
    assert {e.name: bool(e) for e in report.entries} == {"out": False, "d / d x": False}
    assert report.errors[0] <= 0.5 < 500 < report.errors[1]


def test_a_gradient_that_differs_is_found_and_placed():
    mask = tg.tensor(np.array([1.0, 1.0, 1.01, 1.0], np.float32), device="strict").data

    def rule(g, out):
        factor = mask if device_of(g).type == "strict" else 1.0
        return g * (1 - out * out) * factor

    x = np.array([0.5, -0.4, 0.3, -0.2])
    report = parity(planted(x=rule), x, BOTH, raise_exception=False)
    out, dx = report.entries
    assert out
    assert not dx
    assert dx.index == (2,)
    assert (dx.apart > 0).tolist() == [False, False, True, False]
    a, b, truth = dx.values
    assert b == pytest.approx(1.01 * a, rel=1e-5)
    assert truth == pytest.approx(a, rel=1e-6)
    text = str(report)
    assert "planted" not in text
    assert "worst: d / d x at [2]" in text
    for name in ("cpu", "strict", "float64"):
        assert f"\n    {name}" in text


def test_the_bound_can_be_tightened_and_widened():
    fn = on("strict", lambda x: x * (1 + 2e-6), lambda x: x * 1.0)
    x = np.linspace(1, 2, 5)
    wide, narrow = (parity(fn, x, BOTH, bound=b, raise_exception=False) for b in (64, 4))
    assert wide
    assert not narrow
    assert 8 < wide.apart == narrow.apart < 64


def test_what_is_random_is_the_same_on_both():
    before = default_generator().get_state()
    fn = lambda x: tg.dropout(x, 0.5, training=True) * tg.randn(3, dtype=x.dtype)
    first, again, other = (parity(fn, np.ones(3), BOTH, seed=s) for s in (1, 1, 2))
    assert first.apart == 0.0
    assert first.entries[0].values == again.entries[0].values
    assert first.entries[0].values != other.entries[0].values
    assert default_generator().get_state() == before
    assert str(tg.default_device()) == "cpu"


def test_a_module_is_moved_for_the_run_and_left_as_it_was():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(np.arange(1.0, 4.0))
            self.frozen = nn.Parameter(np.ones(3), requires_grad=False)
            self.register_buffer("offset", tg.tensor(np.full(3, 0.1)))

        def forward(self, x):
            assert {t.device.type for t in (self.weight, self.frozen, self.offset)} == {
                x.device.type
            }
            return (x + self.offset) * self.weight * self.frozen

    module = Scaled()
    held = [t.data for t in (module.weight, module.frozen, module.offset)]
    report = parity(module, tg.randn(2, 3), BOTH)
    assert report.apart == 0.0
    assert [e.name for e in report.entries] == ["out", "d / d x", "d / d weight"]
    now = [t.data for t in (module.weight, module.frozen, module.offset)]
    assert all(a is b for a, b in zip(held, now, strict=True))
    assert module.weight.dtype == np.float64


def test_float64_can_be_compared_as_well():
    report = parity(tg.softmax, tg.randn(3, 4), BOTH, dtype=np.float64)
    assert report.apart <= 1
    assert {e.dtype for e in report.entries} == {"float64"}


def test_ulps():
    one = np.array([1.0])
    kind = np.dtype(np.float32)
    step = float(np.spacing(np.float32(1)))
    assert ulps(one, one + 3 * step, one, kind) == [3]
    assert ulps(one, one, one, kind) == [0]
    assert ulps(one, one + step, 4 * one, kind) == [0.25]
    for a, b, expected in [(np.inf, np.inf, 0), (np.nan, np.nan, 0), (np.inf, -np.inf, np.inf),
                           (np.nan, 1.0, np.inf), (1.0, np.inf, np.inf)]:  # fmt: skip
        assert ulps(np.array([a]), np.array([b]), one, kind) == [expected]
    assert np.isfinite(ulps(one, 0 * one, np.array([1e300]), kind))
    assert np.isfinite(ulps(0 * one, 1e-44 * one, 0 * one, kind))


def test_the_histogram_counts_by_class():
    step = float(np.spacing(np.float32(1.5)))  # exact in float32
    off = np.array([0.0, 0.5, 0.75, 1.5, 3.0, 5.0, 9.0, 33.0, 100.0, 5000.0])
    shift = tg.tensor(np.round(off * 4) / 4 * step, device="strict")
    fn = on("strict", lambda x: x.to("cpu") + shift.to("cpu"), lambda x: x * 1.0)
    report = parity(fn, np.full(10, 1.5), BOTH, dtype=np.float64, raise_exception=False)
    # in float64 all are far off, and every element is in one class of each device
    assert report.histogram[0][0] >= 10
    assert report.histogram[1][-1] == 9
    assert len(report.histogram[0]) == len(EDGES) + 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"devices": ("cpu",)}, "two devices"),
        ({"devices": ("cpu", "tpu")}, "expected one of cpu, cuda, strict"),
        ({"bound": -1}, "bound ≥ 0"),
        ({"dtype": int}, "a real floating dtype"),
    ],
)
def test_mistakes_are_refused(options, words):
    with pytest.raises(ArgumentError, match=words):
        parity(tg.tanh, np.ones(2), **{"devices": BOTH, **options})


def test_a_device_that_is_not_there():
    with pytest.raises(DeviceError, match="strict:7"):
        parity(tg.tanh, np.ones(2), ("cpu", "strict:7"))
    with pytest.raises(DeviceError, match="strict:7"):
        next(parity_all(["tanh"], "strict:7"))


def test_lines_fit_80_columns():
    def long(an_input_whose_name_goes_on_and_on_and_on_without_an_end):
        return an_input_whose_name_goes_on_and_on_and_on_without_an_end * 1e30

    wrong = on("strict", lambda x: x * 1e9, lambda x: x * 1.0)
    for fn, n in ((long, 3), (wrong, 3), (tg.tanh, 20_000)):
        text = str(parity(fn, np.ones(n), BOTH, raise_exception=False, name="a" * 70))
        assert max(map(len, text.splitlines())) <= 80, text


# ------------------------------------------------------------------- every op and layer


def test_every_op_agrees_with_the_stand_in():
    rows = list(parity_all(None, "strict"))
    assert [r.name for r in rows] == list(ops.registry)
    assert {r.verdict for r in rows} == {"pass", "no gradient"}, [r for r in rows if r.note]
    compared = [r for r in rows if r.verdict == "pass"]
    assert len(compared) > 80
    assert sum(r.apart == 0 for r in compared) > 0.8 * len(compared)
    assert {e.dtype for r in compared for report in r.reports for e in report.entries} <= {
        "float32", "float64", "float16"
    }  # fmt: skip


def test_layers_are_compared_too():
    def make(device):
        return nn.Linear(3, 2, device=device, dtype=np.float64), [tg.randn(4, 3, device=device)]

    def fails(device):
        return 1 / 0

    def differs(device):
        factor = 1.0 if device == "cpu" else 1.001
        return (lambda x: x * factor), [tg.tensor(np.ones(3), device=device)]

    def same_weights(device):  # a draw of its own for each device
        tg.manual_seed(3)
        return make(device)

    table = [("linear", same_weights), ("fails", fails), ("differs", differs)]
    rows = {r.name: r for r in parity_all([n for n, _ in table] + ["tanh"], "strict", table)}
    assert [r.verdict for r in rows.values()] == ["pass", "error", "apart", "pass"]
    assert rows["linear"].kind == "layer"
    assert "ZeroDivisionError" in rows["fails"].note
    assert "differs: apart" in rows["differs"].note
    assert rows["differs"].apart > 1000
    assert rows["tanh"].seconds > 0


def test_a_planted_kernel_of_one_backend_is_found(monkeypatch):
    wrong = lambda x: np.tanh(x) if isinstance(x, np.ndarray) else x * 1.0
    op = Primitive(wrong, name="w", samples=[Sample((3,))]).vjp(x=RIGHT)
    monkeypatch.setattr(ops, "registry", {"tanh": ops.registry["tanh"], "w": op})
    rows = {r.name: r for r in parity_all(None, "strict")}
    assert rows["tanh"].verdict == "pass"
    assert rows["w"].verdict == "apart"
    assert "w((3,)): apart" in rows["w"].note


def test_unknown_names_are_refused():
    with pytest.raises(ArgumentError, match="did you mean 'tanh'"):
        next(parity_all(["tahn"], "strict"))


@pytest.mark.gpu
def test_every_op_agrees_with_the_gpu():
    bad = [r for r in parity_all(None, "cuda") if r.verdict not in ("pass", "no gradient")]
    assert not bad, "\n".join(r.note for r in bad)


def test_it_is_reached_from_the_function_and_from_the_package():
    from tinygrad_seq import gradcheck as function
    from tinygrad_seq.gradcheck import devices

    assert parity is devices.parity
    assert parity_all is devices.parity_all
    assert function.parity(tg.tanh, np.ones(2), BOTH, seed=3).seed == 3
    assert function.mutation_audit(tg.tanh, np.ones(2), corruptions=["other sign"])
    with pytest.raises(ImportError, match="cannot import name 'absent'"):
        exec("from tinygrad_seq.gradcheck import absent")
