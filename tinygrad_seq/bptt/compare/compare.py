"""``bptt.compare``: a backward pass written by hand against the tape's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinygrad_seq.errors import ArgumentError, expect

if TYPE_CHECKING:
    from tinygrad_seq.bptt.compare.hand import Backward
    from tinygrad_seq.bptt.compare.record import Loss
    from tinygrad_seq.bptt.compare.report import Comparison


def compare(
    my_backward: Backward,
    model: Any,
    inputs: Any,
    *,
    loss: Loss | None = None,
    initial: Any = None,
    rtol: float = 1e-7,
    seed: int = 0,
) -> Comparison:
    """Hold a backward pass written by hand against the tape: where it first goes wrong, and why.

    ``my_backward(run) -> dict`` gets one run of the model as plain float64 arrays, with the time of
    the textbook (t = 0 is before the first step; see ``Run``): ``run.x``, ``run.h``, ``run.c``, the
    gates, ``run.Wx``, ``run.Wh``, ``run.b``, and ``run.dh`` (T+1, B, H) with ∂L_t/∂h_t, the loss of
    each step by its own h_t. It returns any of

    * ``dWx`` (G·H, D), ``dWh`` (G·H, H), ``db`` (G·H,), summed over steps and batch; for a GRU
      ``dbhn`` (H,) too, of the bias inside the reset;
    * ``dx`` (T+1, B, D) or (T, B, D); ``dh0`` and, of an LSTM, ``dc0`` (B, H);
    * for a finer answer, with a row for every step: ``dh`` and ``dc`` (T+1, B, H), the whole
      ∂L/∂h_t and ∂L/∂c_t, and ``da`` (T+1, B, G·H), ∂L/∂ of what enters the nonlinearities.

    ::

        def my_backward(run):
            dWx, dWh, db = (np.zeros_like(w) for w in (run.Wx, run.Wh, run.b))
            down = 0
            for t in reversed(range(1, run.T + 1)):
                da = (run.dh[t] + down) * (1 - run.h[t] ** 2)
                dWx += da.T @ run.x[t]
                dWh += da.T @ run.h[t - 1]
                db += da.sum(axis=0)
                down = da @ run.Wh
            return {"dWx": dWx, "dWh": dWh, "db": db, "dh0": down}

        print(bptt.compare(my_backward, nn.RNN(3, 4), inputs))

    model: ``nn.RNN``, ``nn.LSTM``, ``nn.GRU`` of one layer and direction, or their cells. inputs:
    (T, B, D), or (B, T, D) if the model is ``batch_first``. loss: ``loss(h, t)``, a scalar Tensor
    or None, of h_t (B, H) for t = 1 … T; by default each step gets a linear loss with random
    weights. initial: h0, or (h0, c0); by default drawn, since what is wrong with h_0 does not show
    where it is zero. rtol: by how much of the largest value of a tensor, or of a gate's block, it
    may be off. seed: of what is drawn. Nothing of the model's is changed.

    The **tape** runs the model once more with weights of its own in every step, so its gradient
    comes step by step. The **place** is found by calling ``my_backward`` on the last 1, 2, … steps
    as runs of their own: the first step on the way back at which right answers turn wrong. The
    **cause** is found by making every mistake of a long list in another backward pass: the one
    that gives your numbers in every tensor is named, with the residual. Where it takes two
    mistakes both are named, and where none fit, none is.

    Give it a small run, T, B, D and H of 2 to 8: it shows all there is to see, within seconds.

    → a ``Comparison``. Whatever ``my_backward`` does wrong ends up in it: an exception, NaN, a
    wrong shape or key, arrays of the run changed in place. Raises ArgumentError, ShapeError or
    DTypeError where the arguments do not fit.
    """
    expect(callable(my_backward), "compare", "my_backward to be callable",
           type(my_backward).__name__, ArgumentError)  # fmt: skip
    expect(rtol > 0, "compare", "rtol > 0", rtol, ArgumentError)
    # Only now: who imports the package has no use for all this, and should not wait for it.
    from tinygrad_seq.bptt.compare.judge import judged

    return judged(my_backward, model, inputs, loss, initial, rtol, seed)
