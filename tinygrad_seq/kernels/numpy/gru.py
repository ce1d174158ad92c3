"""GRU on the CPU; ``kernels/reference/gru.py`` says what is computed and what the names mean.

What makes it fast:

- The states of a step are feature-major, (3H, B): each gate is then one piece of memory.
- Three products per step give everything: the column [x_t; 1; h_{t−1}; 1], or the half of it that
  matters, times the rows of r and z, times what x_t gives to n, and times what h_{t−1} gives to n.
- σ(a) = 1/(1 + e⁻ᵃ), which is faster than tanh. The sign is put into the weights.
- Everything is computed in place, in memory that is used again.
- On the way back δa_t = A_t ⊙ δh_t, and the A of a block of steps are computed at once.

Gates and candidates are stored feature-major and returned as batch-major views, the reference's
shapes; so the backward of either kernel can follow the forward of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_seq.backend import Array
from tinygrad_seq.kernels.numpy import blocks
from tinygrad_seq.kernels.numpy.memory import empty
from tinygrad_seq.kernels.reference import gru as reference
from tinygrad_seq.kernels.reference.recurrence import any_given, zeros_for_none

_ROWS = blocks.ROWS


def _joint_weights(w_ih: Array, w_hh: Array, b_ih: Array | None, b_hh: Array | None
                   ) -> tuple[Array, Array, Array]:  # fmt: skip
    """For the rows of r and z, negated, [W_ih b W_hh]; for those of n [W_in b_in], [W_hn b_hn]."""
    n, inputs = w_ih.shape
    cut = 2 * (n // 3)
    w = np.zeros((n, inputs + 1 + w_hh.shape[1] + 1), w_ih.dtype)
    w[:, :inputs] = w_ih
    w[:, inputs + 1 : -1] = w_hh
    if b_ih is not None:
        w[:, inputs] = b_ih
    if b_hh is not None:
        w[:cut, inputs] += b_hh[:cut]
        w[cut:, -1] = b_hh[cut:]
    np.negative(w[:cut], out=w[:cut])
    return w[:cut, :-1], w[cut:, : inputs + 1], w[cut:, inputs + 1 :]


def forward(
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    reset_after: bool,
    update: str,
    **options: Any,
) -> tuple[Array, Array, Array, Array]:
    """→ output, h_n, gates, candidates. The options are left to the reference."""
    (steps, batch, inputs), hidden, dtype = x.shape, h0.shape[1], x.dtype
    few = not blocks.pays(w_ih.size + w_hh.size, steps, h0.size)
    if few or any_given(options):
        return reference.forward(x, h0, w_ih, w_hh, b_ih, b_hh, reset_after, update, **options)
    w_rz, w_n, w_q = _joint_weights(w_ih, w_hh, b_ih, b_hh)
    column = np.ones((inputs + 1 + hidden + 1, batch), dtype)
    of_x, of_h = column[: inputs + 1], column[inputs + 1 :]
    x_t, h = of_x[:-1], of_h[:-1]
    h[...] = h0.T
    entering = of_h if reset_after else np.ones_like(of_h)  # or [r ⊙ h; 1]
    scratch = np.empty((hidden, batch), dtype)
    output = empty((steps, batch, hidden), dtype)
    gates = empty((steps, 3 * hidden, batch), dtype)
    candidates = empty((steps, hidden, batch), dtype)
    with np.errstate(over="ignore"):  # where e⁻ᵃ is infinite σ is 0, as it should be
        for t in range(steps):
            rz, q = gates[t, : 2 * hidden], candidates[t]
            r, z, n = gates[t].reshape(3, hidden, batch)
            x_t[...] = x[t].T
            np.matmul(w_rz, column[:-1], out=rz)
            np.exp(rz, out=rz)
            rz += 1
            np.reciprocal(rz, out=rz)
            np.matmul(w_n, of_x, out=n)
            if not reset_after:
                np.multiply(r, h, out=entering[:-1])
            np.matmul(w_q, entering, out=q)
            n += np.multiply(r, q, out=scratch) if reset_after else q
            np.tanh(n, out=n)
            _update(h, z, n, update, scratch)
            output[t] = h.T
    gates, candidates = gates.transpose(0, 2, 1), candidates.transpose(0, 2, 1)
    return output, output[-1].copy(), gates, candidates


def _update(h: Array, z: Array, n: Array, update: str, scratch: Array) -> None:
    """h ← the next h, in place: n + z ⊙ (h − n), or h + z ⊙ (n − h)."""
    if update == "keep":
        h -= n
        h *= z
        h += n
    else:
        np.subtract(n, h, out=scratch)
        scratch *= z
        h += scratch


def backward(
    grads: Sequence[Array | None],
    x: Array,
    h0: Array,
    w_ih: Array,
    w_hh: Array,
    output: Array,
    gates: Array,
    candidates: Array,
    reset_after: bool,
    update: str,
    needs: Sequence[bool],
    **options: Any,
) -> tuple[Array | None, ...]:
    """→ the gradients of x, h0, w_ih, w_hh, b_ih and b_hh, None where not needed."""
    g_output, g_h_n, g_gates = grads
    one_row = x.shape[0] * x.shape[1] == 1
    if one_row or g_gates is not None or any_given(options):
        return reference.backward(grads, x, h0, w_ih, w_hh, output, gates, candidates, reset_after,
                                  update, needs, **options)  # fmt: skip
    inputs, hidden = x.shape[2], h0.shape[1]
    need_x, need_h0, need_w_ih, need_w_hh, need_b_ih, need_b_hh = needs[:6]
    gates, candidates = gates.transpose(0, 2, 1), candidates.transpose(0, 2, 1)
    dh = zeros_for_none(g_h_n, h0).T.copy()
    w_nrz = np.roll(w_ih, hidden, axis=0) if need_x else w_ih
    dx = empty(x.shape, x.dtype) if need_x else None
    dw_ih = dw_hh = db = None
    made = h0, output, gates, candidates
    for part, da, h_before in _deltas(g_output, dh, made, w_hh, reset_after, update, need_h0):
        nrz, rzq, rows = da[: 3 * hidden], da[hidden:], da.shape[1]
        if dx is not None:
            np.matmul(nrz.T, w_nrz, out=dx[part].reshape(rows, inputs))
        if need_w_ih:
            dw_ih = blocks.plus(dw_ih, nrz @ x[part].reshape(rows, inputs))
        if need_w_hh and reset_after:
            dw_hh = blocks.plus(dw_hh, rzq @ h_before.reshape(rows, hidden))
        elif need_w_hh:
            entering_n = h_before * gates[part, :hidden].transpose(0, 2, 1)
            pairs = (rzq, h_before), (da[:hidden], entering_n)
            terms = [of @ v.reshape(rows, hidden) for of, v in pairs]
            dw_hh = blocks.plus(dw_hh, np.concatenate(terms))
        if need_b_ih or need_b_hh:
            db = blocks.plus(db, da.sum(axis=1))
    db_ih = db_hh = None
    if dw_ih is not None:
        dw_ih = np.roll(dw_ih, -hidden, axis=0)
    if db is not None:
        db_ih = np.roll(db[: 3 * hidden], -hidden) if need_b_ih else None
        db_hh = (db[hidden:] if reset_after else np.roll(db, -hidden)) if need_b_hh else None
    return dx, dh.T if need_h0 else None, dw_ih, dw_hh, db_ih, db_hh, None, None


def _deltas(
    g_output: Array | None, dh: Array, made: tuple[Array, ...], w_hh: Array, reset_after: bool,
    update: str, need_h0: bool,
) -> Iterator[tuple[slice, Array, Array]]:  # fmt: skip
    """Back through the steps: for every block of them, the steps, δ (·, steps × B), h_{t−1}.

    dh is ∂L/∂h_n to begin with and ∂L/∂h0 in the end. The rows of δ are those of n, r, z and, with
    ``reset_after``, q: so those about x are next to each other, and those about h are.
    """
    h0, output, gates, candidates = made
    (steps, batch, hidden), dtype = output.shape, output.dtype
    kinds = 4 if reset_after else 3
    length = min(steps, -(-_ROWS // batch))
    of_steps = np.empty((length, kinds, hidden, batch), dtype)
    of_rows = np.empty((kinds, hidden, length, batch), dtype)
    scratch = np.empty((hidden, batch), dtype)
    for stop in range(steps, 0, -length):
        start = max(0, stop - length)
        part = slice(start, stop)
        h_before = blocks.before(h0, output, start, stop)
        d = of_steps[: stop - start]
        stay = _factors(gates[part], candidates[part], h_before, d, reset_after, update)
        for t in reversed(range(start, stop)):
            if g_output is not None:
                dh += g_output[t].T
            r = None if reset_after else gates[t, :hidden]
            _step_back(d[t - start], stay[t - start], r, w_hh.T, dh, scratch, t > 0 or need_h0)
        da = of_rows[:, :, : stop - start]
        da[...] = d.transpose(1, 2, 0, 3)
        yield part, da.reshape(kinds * hidden, -1), h_before


def _factors(
    gates: Array, q: Array, h_before: Array, d: Array, reset_after: bool, update: str
) -> Array:
    """d ← what δh_t, or for r without ``reset_after`` δ(r ⊙ h), is multiplied with to give δa_t,
    for many steps. → what it is multiplied with to give δh_{t−1}, the part past the gates."""
    r, z, n = np.split(gates, 3, axis=1)
    d_n, d_r, d_z, *d_q = d.transpose(1, 0, 2, 3)
    go = 1 - z
    change = h_before.transpose(0, 2, 1).copy()
    # σ′ = σ(1 − σ), tanh′ = 1 − tanh²
    np.multiply(z, go, out=d_z)
    np.subtract(1, r, out=d_r)
    d_r *= r
    if not reset_after:
        d_r *= change
    np.multiply(n, n, out=d_n)
    np.subtract(1, d_n, out=d_n)
    stay = z
    change -= n
    if update == "take":
        go, stay = stay, go
        np.negative(change, out=change)
    d_z *= change
    d_n *= go
    if reset_after:
        d_r *= q
        d_r *= d_n
        np.multiply(d_n, r, out=d_q[0])
    return stay


def _step_back(
    d: Array, stay: Array, r: Array | None, w_hh_t: Array, dh: Array, scratch: Array, more: bool
) -> None:
    """From δh_t and the factors in d to d ← δa_t and, in place where there is ``more``,
    dh ← δh_{t−1}. r is given where it resets before the product with W_hn."""
    hidden, batch = dh.shape
    if r is None:
        d *= dh
    else:
        d_n, d_r, d_z = d
        d_n *= dh
        d_z *= dh
        from_n = w_hh_t[:, 2 * hidden :] @ d_n
        d_r *= from_n
    if more:
        dh *= stay
        w = w_hh_t
        if r is not None:
            from_n *= r
            dh += from_n
            w = w[:, : 2 * hidden]
        dh += np.matmul(w, d[1:].reshape(-1, batch), out=scratch)
