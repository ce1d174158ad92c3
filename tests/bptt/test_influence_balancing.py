"""Influence balancing: truncation that goes the wrong way, and methods that do not.

Tallec and Ollivier, Unbiased Online Recurrent Optimization, arXiv:1702.05043, section 4.
"""

import importlib
from pathlib import Path

import numpy as np
import pytest

from tinygrad_seq.bench import read_results

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def influence(monkeypatch):
    """The benchmark that draws the paper's figure."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("bptt_influence")


def test_many_steps_in_one_are_the_steps_one_by_one(influence):
    balance = influence.Balance()
    a = np.eye(23) / 2 + np.eye(23, k=1) / 2
    theta = np.r_[np.full(10, 0.5), np.full(13, -0.5)]
    loss, after = balance.step(np.zeros((5, 1)), None, balance.start)
    state, losses = np.ones(23), []
    for _ in range(5):
        state = a @ state + theta
        losses.append((state[0] - 1) ** 2 / 2)
    np.testing.assert_allclose(after.numpy(), state, rtol=1e-13)
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-13)


def test_the_gradient_changes_sign_with_the_truncation(influence):
    """ds¹/dθ over k steps: k for the near units alone, −6 with all of them."""
    balance = influence.Balance()
    seen = {k: balance.first_sums[k].item() for k in (1, 10, 30, 50, 100)}
    assert seen[1] == 1
    assert seen[10] == 10
    assert seen[30] > 0 > seen[50]
    assert seen[100] == pytest.approx(-6, abs=1e-3)


def test_the_script_reports_every_method(influence, monkeypatch, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    files = [tmp_path / "out.json", tmp_path / "out.png"]
    options = ["--iterations", "3", "--json", str(files[0]), "--plot", str(files[1])]
    monkeypatch.setattr("sys.argv", ["bptt_influence.py", *options])
    influence.main()
    shown = capsys.readouterr().out
    assert all(method in shown for method in influence.METHODS)
    assert [row["method"] for row in read_results(files[0])["rows"]] == list(influence.METHODS)
    assert files[1].read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_short_windows_diverge_and_long_ones_converge(influence):
    """3000 iterations at a learning rate of 1e−4, as in the paper's figure."""
    curves = {name: list(influence.losses(name, 3000)) for name in influence.METHODS}
    assert {len(curve) for curve in curves.values()} == {3000}
    for name in ("TBPTT, k = 1", "TBPTT, k = 10"):
        assert curves[name][-1] > 10 * max(curves[name][:3])
    for name in ("TBPTT, k = 100", "RTRL"):
        assert max(curves[name][-100:]) < 1e-6
    assert curves["TBPTT, k = 10"][-1] > 1e6
    # UORO is noisy, and goes the right way at a tenth of the rate
    assert np.mean(curves["UORO"][-100:]) < 0.1 * np.mean(curves["UORO"][100:200])
