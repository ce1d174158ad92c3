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
    r, z, n, before = run.r[t], run.z[t], run.n[t], run.h[t - 1]
    none, ones = np.zeros_like(z), np.ones_like(z)
    keep = run.update == "keep"
    stay, new = (z, 1 - z) if keep else (1 - z, z)
    swing = before - n if keep else n - before
    dz = dh * pick(swing, update_sign=-swing, update_without_n=before if keep else -before,
                   update_without_h=-n if keep else n, update_with_h_now=swing - before + run.h[t]
                   if keep else swing + before - run.h[t])  # fmt: skip
    dn = dh * pick(new, new_z_exchanged=stay, new_without_z=ones)
    da_n = dn * slope(run, pick, t, "n", "tanh")
    w_n = run.Wh[2 * run.H :]
    back = da_n @ w_n
    if run.reset_after:
        dr = pick(da_n * run.hn[t], reset_before_slope=dn * run.hn[t], reset_with_h=da_n * before,
                  reset_without_hn=da_n, reset_without_bias=da_n * (run.hn[t] - run.bhn),
                  reset_with_n=da_n * n)  # fmt: skip
    else:
        dr = pick(back * before, reset_without_h=back, reset_without_weights=da_n * before,
                  reset_before_slope=(dn @ w_n) * before)  # fmt: skip
    slopes = {k: slope(run, pick, t, k, "sigma") for k in "rz"}
    blocks = {"r": dr * slopes["r"], "z": dz * slopes["z"], "n": da_n}
    da = side_by_side(run, pick, blocks)
    cut = 2 * run.H
    own = da[:, cut:]
    reset = pick(own * r, reset_forgotten=own, reset_forgotten_in_dh=own * r,
                 reset_twice=own * r * r) if run.reset_after else own  # fmt: skip
    dq = np.concatenate([da[:, :cut], reset], axis=1)
    if run.reset_after:
        entering = pick(dq, reset_forgotten_in_dh=da)
        below = through_weights(run, pick, entering)
        dq = pick(dq, reset_forgotten_in_dWh=da)
    else:
        below = through_weights(run, pick, dq) + pick(
            (r - 1) * (own @ w_n), reset_forgotten=none, reset_twice=(r * r - 1) * (own @ w_n)
        )
    straight = pick(dh * stay, straight_missing=none, straight_z_exchanged=dh * new,
                    straight_without_z=dh, straight_z_before=dh * run.z[t - 1] if keep
                    else dh * (1 - run.z[t - 1]))  # fmt: skip
    below = pick(below, carry_weights_missing=none) + straight
    return {"da": da, "dq": dq, "below": pick(below, carry_zero=none)}
