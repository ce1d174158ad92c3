"""Gradient norms by lag as bars and as a map."""

import numpy as np
import pytest

from tinygrad_seq.errors import DataError
from tinygrad_seq.viz import flow
from tinygrad_seq.viz.flow import COLUMNS, flow_bars, plot_flow


def lines(**norms):
    heading, *rest = flow_bars(norms).split("\n")
    assert max(map(len, (heading, *rest))) <= 80
    return rest


def bars(by_lag):
    (line,) = lines(h=by_lag)
    return line[4 : 4 + min(len(by_lag), COLUMNS)]


def test_heights_are_logarithmic():
    assert bars([10.0 ** (-k / 2) for k in range(9)]) == "█▇▆▅▄▃▂▁ "
    assert bars([7.0, 7.0]) == "██"


def test_each_tensor_has_a_line_and_its_own_scale():
    h, c = lines(h=[1, 1e-2], c=[0, 1e-6])
    assert h == "  h █▄  1 % left after 1"
    assert c == "  c  █  100 % left after 1"


def test_many_lags_are_thinned_out_from_first_to_last():
    by_lag = np.ones(1000)
    by_lag[-1] = 1e-9
    assert bars(by_lag) == "█" * (COLUMNS - 1) + " "
    assert "0 to 999 steps back" in flow_bars({"h": by_lag.tolist()})


@pytest.mark.parametrize(
    ("by_lag", "words"),
    [
        ([1, 0.5, 0.25], "25 % left after 2"),
        ([1, 2, 4], "100 % left after 2"),
        ([1, 0.011, 0.01, 0.5], "1 % left after 2"),
        ([1, 400, 3], "1 % left after 2"),
        ([0, 0], "nothing"),
        ([1, None], "too large for a number"),
    ],
)
def test_what_is_left_is_told(by_lag, words):
    (line,) = lines(h=by_lag)
    assert line.endswith(f"  {words}")


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are drawn, to be looked into."""
    pytest.importorskip("matplotlib")
    made = []
    new = flow.new_figure
    monkeypatch.setattr(flow, "new_figure", lambda *size: made.append(new(*size)) or made[-1])
    return made


def test_a_map_has_steps_across_and_lags_down(tmp_path, drawn):
    norms = {"h": [[1, 0.1, 0.01], [1, 0.5]], "c": [[0, 2, 1], [0, None]]}
    plot_flow([0, 100], norms, tmp_path / "a.svg", title="a run")
    upper, lower, _ = drawn[0].axes
    map_h, map_c = (axes.collections[0].get_array() for axes in (upper, lower))
    np.testing.assert_array_equal(map_h.filled(-1), [[1, 1], [0.1, 0.5], [0.01, -1]])
    np.testing.assert_array_equal(map_c.filled(-1), [[-1, -1], [2, 2], [1, -1]])
    low, high = upper.get_ylim()
    assert low > high  # lag 0 above
    assert upper.collections[0].norm.vmax == lower.collections[0].norm.vmax == 2
    svg = (tmp_path / "a.svg").read_text()
    for words in ("training step", "steps back, by h", "steps back, by c", "norm of the gradient",
                  "a run"):  # fmt: skip
        assert f"<!-- {words} -->" in svg


def test_columns_reach_half_way_to_their_neighbours(tmp_path, drawn):
    plot_flow([0, 10, 30], {"h": [[1.0], [1.0], [1.0]]}, tmp_path / "a.png")
    (axes, *_) = drawn[0].axes
    assert axes.get_xlim() == (0, 30)  # the map ends where the run did
    assert axes.collections[0].get_coordinates()[0, :, 0].tolist() == [0, 5, 20, 30]


def test_one_look_and_no_gradient_can_be_drawn(tmp_path, drawn):
    plot_flow([7], {"h": [[0.0, 0.0]]}, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("steps", "norms"),
    [([], {}), ([], {"h": []}), ([1], {}), ([1, 2], {"h": [[1.0]]}), ([1], {"h": [[]]})],
)
def test_what_does_not_fit_is_refused(tmp_path, steps, norms):
    with pytest.raises(DataError, match="plot_flow"):
        plot_flow(steps, norms, tmp_path / "a.png")


@pytest.mark.parametrize("norms", [{}, {"h": []}])
def test_no_bars_at_all_are_refused(norms):
    with pytest.raises(DataError, match="flow_bars"):
        flow_bars(norms)
