"""One step back through a GRU: h_t = (1 − z) ⊙ n + z ⊙ h_{t−1}, or with z and 1 − z exchanged."""

from __future__ import annotations

import numpy as np

from tinygrad_seq.bptt.compare.run import Run
from tinygrad_seq.bptt.compare.textbook.pick import Pick
from tinygrad_seq.bptt.compare.textbook.slopes import slope
from tinygrad_seq.bptt.compare.textbook.weights import side_by_side, through_weights


def step(run: Run, pick: Pick, t: int, dh: np.ndarray, _: np.ndarray) -> dict[str, np.ndarray]:
    """δz = δh ⊙ (h_{t−1} − n), δn = δh ⊙ (1 − z), and with δa_n = δn ⊙ (1 − n²): δq = r ⊙ δa_n for
    W_hn's product q and δr = q ⊙ δa_n. Down go z ⊙ δh and W_hrᵀ δa_r + W_hzᵀ δa_z + W_hnᵀ δq.

    Where the reset comes before W_hn, δq = δa_n, and W_hnᵀ δa_n is shared out: h_{t−1} times it to
    r, and r times it to h_{t−1}.
    """
    stay, new = (run.z[t], 1 - run.z[t]) if run.update == "keep" else (1 - run.z[t], run.z[t])
    dz = dh * _swing(run, pick, t)
    dn = dh * pick(
        new, new_z_exchanged=stay, new_without_z=np.ones_like(new), other_update=stay,
        new_times_r=new * run.r[t],
    )  # fmt: skip
    da_n = dn * slope(run, pick, t, "n", "tanh")
    dr = _to_reset(run, pick, t, dn, da_n)
    slopes = {k: slope(run, pick, t, k, "sigma") for k in "rz"}
    blocks = {"r": dr * slopes["r"], "z": dz * slopes["z"], "n": da_n}
    da = side_by_side(run, pick, blocks)
    dq, below = (_after_reset if run.reset_after else _before_reset)(run, pick, t, da)
    z_before = run.z[t - 1] if run.update == "keep" else 1 - run.z[t - 1]
    straight = pick(
        dh * stay, straight_missing=0 * dh, straight_z_exchanged=dh * new, other_update=dh * new,
        straight_without_z=dh, straight_z_before=dh * z_before,
    )  # fmt: skip
    below = pick(below, carry_weights_missing=0 * dh) + straight
    before_slope = np.concatenate([dr, dz, dn], axis=1)
    return {"da": da, "dq": dq, "before": before_slope, "below": pick(below, carry_zero=0 * dh)}


def _swing(run: Run, pick: Pick, t: int) -> np.ndarray:
    """∂h_t/∂z = h_{t−1} − n, or its negative."""
    sign = 1 if run.update == "keep" else -1
    h, before, n = run.h[t], run.h[t - 1], run.n[t]
    right = sign * (before - n)
    chosen: np.ndarray = pick(
        right, update_sign=-right, other_update=-right, update_without_n=sign * before,
        update_without_h=-sign * n, update_with_h_now=sign * (h - n),
    )  # fmt: skip
    return chosen


def _to_reset(run: Run, pick: Pick, t: int, dn: np.ndarray, da_n: np.ndarray) -> np.ndarray:
    """δr."""
    w_n, before = run.Wh[2 * run.H :], run.h[t - 1]
    back = da_n @ w_n
    chosen: np.ndarray
    if not run.reset_after:
        chosen = pick(
            back * before, reset_without_h=back, reset_without_weights=da_n * before,
            reset_before_slope=(dn @ w_n) * before, reset_transposed=(da_n @ w_n.T) * before,
        )  # fmt: skip
        return chosen
    q = run.hn[t]
    chosen = pick(
        da_n * q, reset_before_slope=dn * q, reset_with_h=da_n * before, reset_without_hn=da_n,
        reset_without_bias=da_n * (q - run.bhn), reset_with_n=da_n * run.n[t],
        other_reset=back * before,
    )  # fmt: skip
    return chosen


def _after_reset(run: Run, pick: Pick, t: int, da: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """δ of what Wh was multiplied into, and what goes down through Wh; the reset acts on both."""
    r, cut = run.r[t], 2 * run.H
    own = da[:, cut:]
    reset = pick(
        own * r, reset_forgotten=own, reset_twice=own * r * r, other_reset=own,
        reset_with_z=own * run.z[t],
    )  # fmt: skip
    dq = np.concatenate([da[:, :cut], reset], axis=1)
    below = through_weights(run, pick, pick(dq, reset_forgotten_in_dh=da))
    other = below + (r - 1) * (own @ run.Wh[cut:])
    return pick(dq, reset_forgotten_in_dWh=da), pick(below, other_reset=other)


def _before_reset(run: Run, pick: Pick, t: int, da: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same where r ⊙ h_{t−1} is what W_hn was multiplied with."""
    r, cut = run.r[t], 2 * run.H
    through_n = da[:, cut:] @ run.Wh[cut:]
    reset = pick(
        (r - 1) * through_n, reset_forgotten=0 * r, reset_forgotten_in_dh=0 * r,
        reset_twice=(r * r - 1) * through_n,
    )  # fmt: skip
    return da, through_weights(run, pick, da) + reset
