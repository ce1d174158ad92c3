"""The op and the line that made a NaN are named."""

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq.errors import AnomalyError


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_forward_names_op_and_line(device):
    x = tg.tensor(np.array([1.0, -1.0]), device=device, requires_grad=True)
    with tg.detect_anomaly(), pytest.raises(AnomalyError) as caught:
        tg.log(x)  # the culprit
    text = str(caught.value)
    assert "log: NaN in out, from finite inputs" in text
    assert "test_anomaly.py" in text
    assert "tg.log(x)  # the culprit" in text


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_backward_names_the_line_of_the_forward(device):
    x = tg.tensor(np.array([4.0, 0.0]), device=device, requires_grad=True)
    with tg.detect_anomaly():
        y = tg.sqrt(x)  # finite, but not its slope
        with pytest.raises(AnomalyError) as caught:
            y.sum().backward()
    text = str(caught.value)
    assert "sqrt: infinity in the gradient of x" in text
    assert "tg.sqrt(x)  # finite, but not its slope" in text


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_nan_that_comes_in_is_not_blamed_on_the_op_it_passes():
    x = tg.tensor(np.array([np.nan]), requires_grad=True)
    with tg.detect_anomaly():
        assert np.isnan(tg.exp(x).item())


def test_outside_nothing_is_checked():
    x = tg.tensor(np.array([0.0]), requires_grad=True)
    with tg.detect_anomaly():
        tg.exp(x).sum().backward()
    with np.errstate(all="ignore"):
        assert np.isinf(tg.log(x).item())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_inside_a_checkpoint_too():
    x = tg.tensor(np.array([-1.0]), requires_grad=True)
    with tg.detect_anomaly(), pytest.raises(AnomalyError, match="log: NaN"):
        tg.checkpoint(lambda v: tg.log(v), x)
