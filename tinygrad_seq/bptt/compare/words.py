"""Each mistake in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

#: mistakes in going back from step to step; {g} is the gate
ON_THE_WAY = {
    "loop_forwards": "the loop runs from t = 1 to T; the way back is from T to 1",
    "loop_without_1": "the loop ends before step 1",
    "loop_without_T": "the loop begins at step T − 1, so step T is left out",
    "loss_not_added": "∂L_t/∂h_t is never added",
    "loss_at_the_end_only": "∂L_t/∂h_t is added at step T only; every step has a loss",
    "loss_of_the_step_before": "off by one step: step t takes ∂L/∂h of the loss of step t − 1",
    "loss_of_the_step_after": "off by one step: step t takes ∂L/∂h of the loss of step t + 1",
    "loss_counted_twice": "∂L_t/∂h_t is counted twice at every step",
    "carry_not_used": "forgotten carry: δh_t lacks what step t+1 hands down",
    "carry_subtracted": "wrong sign: what step t+1 hands down to h_t is subtracted",
    "carry_counted_twice": "what step t+1 hands down to h_t is counted twice",
    "carry_zero": "forgotten carry: nothing is handed down to h_{t−1}, Whᵀ δa_t is missing",
    "carry_added_up": "what is handed down to h_{t−1} is added to the old value, not put in place"
    " of it",
    "carry_transposed": "missing transpose: δ goes down through Wh where Whᵀ belongs (for rows:"
    " δa @ Wh.T instead of δa @ Wh)",
    "carry_transposed:": "missing transpose in gate {g}: its δ goes down through W_h{g} where its"
    " transpose belongs",
    "carry_sign": "wrong sign of Whᵀ δa_t in what is handed down",
    "carry_without_weights": "δa_t is handed down as it is, without Whᵀ",
    "carry_through_Wx": "Wx in place of Wh in what is handed down",
    "carry_before_slope": "what goes through Whᵀ has not been multiplied with the slope φ′(a_t)",
    "carry_without_gate:": "gate {g} is left out of the sum Whᵀ δa_t that is handed down",
    "carry_of_gate_only:": "only gate {g} is in what is handed down: overwritten, not added up",
    "carry_weights_missing": "forgotten carry: Whᵀ δa_t is missing, only z ⊙ δh_t is handed down",
    "carry_c_not_used": "forgotten carry of dc: δc_t lacks what step t+1 hands down",
    "carry_c_zero": "forgotten carry of dc: nothing is handed down to c_{t−1}",
    "carry_c_counted_twice": "what step t+1 hands down to c_t is counted twice",
    "carry_c_added_up": "what is handed down to c_{t−1} is added to the old value, not put in place"
    " of it",
    "carry_c_without_f": "dc is handed down without the forget gate: f_t ⊙ δc_t belongs there",
    "carry_c_with_i": "dc is handed down times i_t where f_t belongs",
    "carry_c_with_o": "dc is handed down times o_t where f_t belongs",
    "carry_c_1_minus_f": "dc is handed down times 1 − f_t where f_t belongs",
    "carry_c_sign": "wrong sign of the dc that is handed down",
    "carry_c_with_f_before": "off by one step: dc is handed down times f_{t−1} where f_t belongs",
    "carry_c_with_f_after": "off by one step: dc is handed down times f_{t+1} where f_t belongs",
    "carry_c_of_h_only": "the dc handed down lacks what came from step t+1",
    "gate_sign": "wrong sign of δa of {g}",
    "gate_zero": "δa of {g} is zero",
    "gate_twice": "δa of {g} is counted twice",
    "cell_from_do": "δc is made from δo: δh ⊙ o belongs there, not δh ⊙ tanh c",
    "cell_slope_forgotten": "on the way from h_t to c_t the slope 1 − tanh² c_t is forgotten",
    "cell_slope_at_c": "wrong activation derivative: 1 − c² instead of 1 − tanh² c",
    "cell_without_o": "on the way from h_t to c_t the factor o_t is forgotten",
    "cell_slope_not_squared": "wrong activation derivative: 1 − tanh c instead of 1 − tanh² c",
    "cell_slope_of_h": "wrong activation derivative: 1 − h² instead of 1 − tanh² c",
    "cell_slope_tanh_twice": "wrong activation derivative: 1 − tanh²(tanh c), tanh applied twice",
    "cell_slope_of_o": "o(1 − o) instead of o ⊙ (1 − tanh² c) on the way from h_t to c_t",
    "cell_slope_only_tanh": "tanh c instead of 1 − tanh² c on the way from h_t to c_t",
    "cell_slope_as_sigma": "wrong activation derivative: v(1 − v) with v = tanh c, that of σ",
    "cell_slope_of_step_before": "off by one step: 1 − tanh² c_{t−1} instead of 1 − tanh² c_t",
    "cell_of_step_before": "off by one step: tanh c_{t−1} where tanh c_t belongs",
    "tanh_forgotten_twice": "c stands where tanh c belongs, in δo and in the slope 1 − tanh² c",
    "cell_without_h": "δc_t lacks what comes from h_t, δh ⊙ o ⊙ (1 − tanh² c)",
    "gate_from_dh": "δ of i, f and g is made from δh, not from δc",
    "gate_from_dh:": "δ{g} is made from δh, not from δc",
    "gate_from_carry": "δ of i, f and g is made from what step t+1 hands down alone",
    "gate_from_carry:": "δ{g} is made from what step t+1 hands down to c_t alone, not from δc_t",
    "gates_confused:": "the gates {g} are taken for each other",
    "gates_of_step_before": "off by one step: the gates are those of step t − 1",
    "gates_of_step_after": "off by one step: the gates are those of step t + 1",
    "carry_c_not_in_gates": "δi, δf and δg are made before what step t+1 hands down is added to"
    " δc_t",
    "carry_c_with_g": "dc is handed down times g_t where f_t belongs",
    "new_times_r": "δn has the factor r, which belongs into W_hn's part only",
    "reset_transposed": "δr goes through W_hn where its transpose belongs",
    "reset_with_z": "z in place of r in W_hn's gradient and in dh_{t−1}",
    "other_update": "this is the other convention of z: z and 1 − z are exchanged everywhere",
    "other_reset": "this is the other GRU, which resets h before W_hn; here the reset comes after",
    "update_sign": "wrong sign of δz: n − h_{t−1} and h_{t−1} − n are exchanged",
    "update_without_n": "δz lacks the part with n",
    "update_without_h": "δz lacks the part with h_{t−1}",
    "update_with_h_now": "off by one step: δz has h_t where h_{t−1} belongs",
    "new_z_exchanged": "z and 1 − z are exchanged in δn",
    "new_without_z": "δn lacks its factor, 1 − z (or z, with update='take')",
    "reset_before_slope": "δr is made from δn, not from δa_n: the slope of n is missing",
    "reset_with_h": "δr = δa_n ⊙ h_{t−1}, without W_hn and b_hn",
    "reset_without_hn": "δr lacks its factor, W_hn h_{t−1} + b_hn",
    "reset_without_bias": "δr lacks the bias b_hn inside the reset",
    "reset_with_n": "δr = δa_n ⊙ n instead of δa_n ⊙ (W_hn h_{t−1} + b_hn)",
    "reset_without_h": "δr lacks the factor h_{t−1}",
    "reset_without_weights": "δr lacks W_hnᵀ",
    "reset_forgotten": "the reset gate is forgotten: r belongs into W_hn's gradient and into"
    " dh_{t−1}",
    "reset_forgotten_in_dh": "the reset gate is forgotten in dh_{t−1}: r ⊙ δa_n goes through W_hnᵀ",
    "reset_forgotten_in_dWh": "the reset gate is forgotten in W_hn's gradient: r belongs there",
    "reset_twice": "the reset gate is applied twice",
    "straight_missing": "forgotten carry: the straight way z ⊙ δh_t from h_t to h_{t−1} is missing",
    "straight_z_exchanged": "z and 1 − z are exchanged on the straight way from h_t to h_{t−1}",
    "straight_without_z": "δh_t goes straight to h_{t−1} without the factor z",
    "straight_z_before": "off by one step: the straight way takes z_{t−1} where z_t belongs",
}

#: the same for the slopes; {v} is the gate, or h
SLOPES = {
    "forgotten": "the slope of {v} is forgotten",
    "not_squared": "wrong activation derivative: 1 − {v} instead of 1 − {v}²",
    "as_sigma": "wrong activation derivative: {v}(1 − {v}), that of σ",
    "as_tanh": "wrong activation derivative: 1 − {v}², that of tanh",
    "at_a": "wrong activation derivative: φ′ by its value, but with a, the pre-activation, put in",
    "of_value": "wrong activation derivative: the nonlinearity is applied to {v} once more",
    "without_1": "wrong activation derivative: {v}² instead of 1 − {v}²",
    "sign": "wrong sign of the slope of {v}",
    "step_before": "off by one step: the slope is taken from {v} of step t − 1",
    "step_after": "off by one step: the slope is taken from {v} of step t + 1",
    "is_value": "{v} itself stands where its slope belongs",
    "plus": "wrong activation derivative: a plus where a minus belongs",
    "twice": "the slope of {v} is applied twice",
    "not_times_v": "wrong activation derivative: 1 − {v} instead of {v}(1 − {v})",
    "squared": "wrong activation derivative: {v}(1 − {v}²) instead of {v}(1 − {v})",
}

#: what δ of a gate is multiplied with, and how it is written
FACTORS = {"i": "g_t", "f": "c_{t−1}", "g": "i_t", "o": "tanh c_t"}
SHOWN = {"c": "c_t", "tanh_c": "tanh c_t", "c_before": "c_{t−1}", "tanh_c_before": "tanh c_{t−1}",
         "h": "h_t", "h_before": "h_{t−1}", "one": "1"}  # fmt: skip
SQUASHED = {"tanh": "value of a tanh", "sigma": "gate that is a σ"}

#: mistakes in gathering one gradient; {n} are the tensors
IN_GATHERING = {
    "left_at_zero": "{n}: nothing is ever added, it is zero",
    "sign": "{n}: wrong sign",
    "counted_twice": "{n}: counted twice",
    "halved": "{n}: half of what it should be",
    "divided_by_batch": "{n}: the mean over the batch instead of the sum",
    "divided_by_steps": "{n}: divided by the number of steps",
    "divided_by_both": "{n}: the mean over steps and batch instead of the sum",
    "overwritten": "{n}: overwritten at every step instead of added up, only step 1 is left",
    "first_step_only": "{n}: only step T is in it; add up over the steps",
    "without_step_1": "{n}: step 1 is left out",
    "without_step_T": "{n}: step T is left out",
    "last_row_only": "{n}: missing sum over the batch, only its last row is in it",
    "first_row_only": "{n}: missing sum over the batch, only its first row is in it",
    "without_last_row": "{n}: the last row of the batch is left out",
    "overwritten_last_row": "{n}: overwritten in both loops, only step 1 of the last row is left",
    "summed_over_everything": "{n}: summed over the units too, not just over steps and batch",
    "input_of_next_step": "{n}: off by one step, the second factor is that of step t + 1",
    "input_of_step_before": "{n}: off by one step, the second factor is that of step t − 1",
    "batch_summed_before_product": "{n}: summed over the batch before the product, not after it",
    "all_summed_before_product": "{n}: summed over steps and batch before the product",
    "x_instead_of_h": "{n}: x_t in place of h_{{t−1}}",
    "h_instead_of_x": "{n}: h_t in place of x_t",
    "transposed": "{n}: transposed",
    "not_through_step_1": "{n}: ∂L/∂ of the state at t = 1, not carried through step 1 to t = 0",
    "carried_into_step_1": "{n}: what step 2 hands down; step 1 has still to be gone through",
    "of_step_T": "{n}: what step T hands down; it is never overwritten",
    "delta_of_step_1": "{n}: δa_1 itself, without Whᵀ",
    "dh_instead_of_dc": "{n}: this is dh0",
    "dc_instead_of_dh": "{n}: this is dc0",
    "a_step_too_early": "{n}: off by one step, every row stands one step too early",
    "a_step_too_late": "{n}: off by one step, every row stands one step too late",
    "in_order_of_the_loop": "{n}: in the order of the loop, from T to 1, not in that of time",
    "only_step_1": "{n}: only step 1 is filled in",
    "only_step_T": "{n}: only step T is filled in",
    "without_what_is_carried": "{n}: holds ∂L_t/∂h_t only, without what step t+1 hands down",
    "without_own_loss": "{n}: holds what step t+1 hands down only, without ∂L_t/∂h_t",
    "without_gate": "{n}: gate {g} is left out of the sum",
    "gate_only": "{n}: only gate {g} is in it, overwritten instead of added up",
    "weights_transposed": "{n}: missing transpose of Wx",
    "through_Wh": "{n}: Wh in place of Wx",
    "before_slope": "{n}: made from δ before the slopes φ′(a_t) are multiplied in",
    "reset_in_dx": "{n}: the reset gate acts on the state's part of n only, not on x",
    "without_reset": "{n}: the reset gate is forgotten, r ⊙ δa_n belongs there",
    "block_at_zero": "{n}: the block of gate {g} is left at zero",
    "block_sign": "{n}: wrong sign in the block of gate {g}",
    "block_twice": "{n}: the block of gate {g} is counted twice",
    "factor": "{n}: {g} times what it should be",
    "wrong_axis": "{n}: summed over the wrong axis, the units instead of the batch",
    "shape_transposed": "{n}: transposed",
    "shape_no_sum_over_batch": "{n}: missing sum over the batch",
    "shape_no_sum_over_steps": "{n}: missing sum over the steps",
    "shape_no_sum": "{n}: missing sums over steps and batch",
    "shape_summed_over_units": "{n}: summed over the wrong axis, the units instead of the batch",
    "shape_summed_over_all": "{n}: summed over the units too",
    "shape_one_step": "{n}: overwritten at every step, only step 1 is there",
    "shape_batch_first": "{n}: batch before time; time comes first",
    "shape_summed_over_batch": "{n}: summed over the batch; each row has a gradient of its own",
    "shape_all_steps": "{n}: a gradient for every step; the one at t = 0 is wanted",
}


def sentence(mistake: str, tensors: Sequence[str] = (), gates: str = "") -> str:
    """The mistake in words; ``tensors`` names those in whose gathering it was made."""
    name, _, gate = mistake.partition(":")
    listed = ", ".join(tensors)
    if "_ordered_" in name:
        order, right = (", ".join(g) for g in (name.rpartition("_")[2], gates))
        where = f"{listed}: " if listed else ""
        if name.startswith("weights"):
            where = f"{where}for the weights, " if listed else "in what is handed down, "
        return f"{where}the gates stand in the order {order}; it should be {right}"
    if listed:
        return IN_GATHERING[name].format(n=listed, g=gate)
    if name.startswith("factor_is_"):
        return _factor(name.removeprefix("factor_is_"), gate)
    if name.startswith("slope_"):
        kind, _, rest = name.removeprefix("slope_").partition("_")
        if rest.startswith("of_") and rest not in SLOPES:
            return f"the slope of {rest[3:]} stands where that of {gate} belongs"
        text = SLOPES[rest].format(v=gate or ("v" if gates else "h"))
        return text if gate or not gates else f"{text}, v being every {SQUASHED[kind]}"
    text = ON_THE_WAY[f"{name}:" if gate and f"{name}:" in ON_THE_WAY else name]
    return text.replace("{g}", " and ".join(gate) or "every gate")


def _factor(found: str, gate: str) -> str:
    """An LSTM's gate whose δ is multiplied with something else."""
    right, shown = FACTORS[gate], SHOWN.get(found, f"{found}_t")
    source = "δh_t" if gate == "o" else "δc_t"
    if found == "one":
        return f"δ{gate} lacks its factor: it is {source} ⊙ {right}"
    same = {"c": "f", "tanh_c_before": "o"}.get(found) == gate
    late = "off by one step: " if same else ""
    return f"{late}δ{gate} = {source} ⊙ {shown} instead of {source} ⊙ {right}"
