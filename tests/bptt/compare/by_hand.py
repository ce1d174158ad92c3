"""Backward passes as a student writes them, right ones, and lines of them put wrong.

Each is kept as text, so that a planted mistake is one line exchanged for another.
"""

from typing import NamedTuple

import numpy as np

RNN = """
def backward(run):
    dWx, dWh, db = np.zeros_like(run.Wx), np.zeros_like(run.Wh), np.zeros_like(run.b)
    dx = np.zeros_like(run.x)
    down = np.zeros((run.B, run.H))
    for t in range(run.T, 0, -1):
        dh = run.dh[t] + down
        da = dh * (1 - run.h[t] ** 2)
        dWx += da.T @ run.x[t]
        dWh += da.T @ run.h[t - 1]
        db += da.sum(axis=0)
        dx[t] = da @ run.Wx
        down = da @ run.Wh
    return {"dWx": dWx, "dWh": dWh, "db": db, "dx": dx, "dh0": down}
"""

LSTM = """
def backward(run):
    dWx, dWh, db = np.zeros_like(run.Wx), np.zeros_like(run.Wh), np.zeros_like(run.b)
    dx = np.zeros_like(run.x)
    dh_next = np.zeros((run.B, run.H))
    dc_next = np.zeros((run.B, run.H))
    for t in range(run.T, 0, -1):
        i, f, g, o = run.i[t], run.f[t], run.g[t], run.o[t]
        tanh_c = np.tanh(run.c[t])
        dh = run.dh[t] + dh_next
        do = dh * tanh_c
        dc = dh * o * (1 - tanh_c**2) + dc_next
        di = dc * g
        df = dc * run.c[t - 1]
        dg = dc * i
        dc_next = dc * f
        dai = di * i * (1 - i)
        daf = df * f * (1 - f)
        dag = dg * (1 - g**2)
        dao = do * o * (1 - o)
        da = np.hstack([dai, daf, dag, dao])
        dWx += da.T @ run.x[t]
        dWh += da.T @ run.h[t - 1]
        db += da.sum(axis=0)
        dx[t] = da @ run.Wx
        dh_next = da @ run.Wh
    return {"dWx": dWx, "dWh": dWh, "db": db, "dx": dx, "dh0": dh_next, "dc0": dc_next}
"""

GRU = """
def backward(run):
    Wr, Wz, Wn = np.split(run.Wh, 3)
    dWx, dWh, db = np.zeros_like(run.Wx), np.zeros_like(run.Wh), np.zeros_like(run.b)
    dbhn, dx = np.zeros(run.H), np.zeros_like(run.x)
    down = np.zeros((run.B, run.H))
    for t in range(run.T, 0, -1):
        r, z, n, h = run.r[t], run.z[t], run.n[t], run.h[t - 1]
        dh = run.dh[t] + down
        dz = dh * (h - n)
        dn = dh * (1 - z)
        dan = dn * (1 - n**2)
        dr = dan * run.hn[t]
        dhn = dan * r
        dar = dr * r * (1 - r)
        daz = dz * z * (1 - z)
        da = np.hstack([dar, daz, dan])
        dWx += da.T @ run.x[t]
        dWh += np.hstack([dar, daz, dhn]).T @ h
        db += da.sum(axis=0)
        dbhn += dhn.sum(axis=0)
        dx[t] = da @ run.Wx
        down = dh * z + dar @ Wr + daz @ Wz + dhn @ Wn
    return {"dWx": dWx, "dWh": dWh, "db": db, "dbhn": dbhn, "dx": dx, "dh0": down}
"""

SOURCES = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}


def made(source, *changes):
    """The function of the text, with these (line, other line) pairs exchanged."""
    for right, wrong in changes:
        assert source.count(right) == 1, f"{right!r} is there {source.count(right)} times"
        source = source.replace(right, wrong)
    namespace = {"np": np}
    exec(compile(source, "<by hand>", "exec"), namespace)
    return namespace["backward"]


#: lines of other conventions: z as the share of what is new, and the reset before W_hn
TAKE = [
    ("dh * (h - n)", "dh * (n - h)"),
    ("dh * (1 - z)", "dh * z"),
    ("dh * z + dar", "dh * (1 - z) + dar"),
]
RESET_FIRST = [
    ("dr = dan * run.hn[t]", "dr = (dan @ Wn) * h"),
    ("dhn = dan * r", "dhn = dan"),
    ("dWh += np.hstack([dar, daz, dhn]).T @ h",
     "dWh += np.vstack([dar.T @ h, daz.T @ h, dan.T @ (r * h)])"),
    ("dhn @ Wn", "(dan @ Wn) * r"),
]  # fmt: skip


class Planted(NamedTuple):
    """One mistake: what it is in, which text becomes which, and what is to be found."""

    kind: str
    right: str
    wrong: str
    step: int
    tensor: str
    gates: str
    cause: str

    def __str__(self):
        return f"{self.kind}-{self.cause}"

    def function(self):
        return made(SOURCES[self.kind], (self.right, self.wrong))


#: with T = 5; the gates are those wrong in the first wrong tensor, none if all are
PLANTED = [
    # transposes
    Planted("RNN", "da @ run.Wh\n", "da @ run.Wh.T\n", 5, "dh0", "", "carry_transposed"),
    Planted("LSTM", "dh_next = da @ run.Wh\n",
            "dh_next = sum(d @ W.T for d, W in zip(np.split(da, 4, 1), np.split(run.Wh, 4)))\n",
            5, "dh0", "", "carry_transposed"),
    Planted("GRU", "dhn @ Wn", "dhn @ Wn.T", 5, "dh0", "", "carry_transposed:n"),
    Planted("RNN", "dWh += da.T @ run.h[t - 1]", "dWh += run.h[t - 1].T @ da", 5, "dWh", "",
            "transposed"),
    # sums over the batch
    Planted("RNN", "da.T @ run.x[t]", "np.outer(da[-1], run.x[t][-1])", 5, "dWx", "",
            "last_row_only"),
    Planted("LSTM", "db += da.sum(axis=0)", "db += da[0]", 5, "db", "", "first_row_only"),
    Planted("GRU", "db += da.sum(axis=0)", "db += da.mean(axis=0)", 5, "db", "",
            "divided_by_batch"),
    Planted("RNN", "da.T @ run.x[t]", "np.outer(da.sum(0), run.x[t].sum(0))", 5, "dWx", "",
            "batch_summed_before_product"),
    Planted("RNN", "db += da.sum(axis=0)", "db = db + da", 5, "db", "",
            "shape_no_sum_over_batch"),
    # accumulation over time
    Planted("RNN", "dWx += da", "dWx = da", 4, "dWx", "", "overwritten"),
    Planted("LSTM", "dWh += da", "dWh = da", 4, "dWh", "", "overwritten"),
    Planted("GRU", "dbhn += dhn", "dbhn = dhn", 4, "dbhn", "n", "overwritten"),
    Planted("RNN", "down = da @ run.Wh\n", "down = down + da @ run.Wh\n", 4, "dh0", "",
            "carry_added_up"),
    # wrong slopes
    Planted("RNN", "(1 - run.h[t] ** 2)", "(1 - run.h[t])", 5, "db", "",
            "slope_tanh_not_squared"),
    Planted("RNN", " * (1 - run.h[t] ** 2)", "", 5, "db", "", "slope_tanh_forgotten"),
    Planted("RNN", "run.h[t] ** 2", "run.a[t] ** 2", 5, "db", "", "slope_tanh_at_a"),
    Planted("RNN", "(1 - run.h[t] ** 2)", "run.h[t] * (1 - run.h[t])", 5, "db", "",
            "slope_tanh_as_sigma"),
    Planted("RNN", "run.h[t] ** 2", "np.tanh(run.h[t]) ** 2", 5, "db", "",
            "slope_tanh_of_value"),
    Planted("LSTM", "do * o * (1 - o)", "do", 5, "db", "o", "slope_sigma_forgotten:o"),
    Planted("LSTM", "di * i * (1 - i)", "di * (1 - i**2)", 5, "db", "i", "slope_sigma_as_tanh:i"),
    Planted("LSTM", "dg * (1 - g**2)", "dg * g * (1 - g)", 5, "db", "g", "slope_tanh_as_sigma:g"),
    Planted("GRU", "dr * r * (1 - r)", "dr", 5, "db", "r", "slope_sigma_forgotten:r"),
    Planted("LSTM", " * (1 - tanh_c**2)", "", 5, "db", "ifg", "cell_slope_forgotten"),
    Planted("LSTM", "1 - tanh_c**2", "1 - run.c[t]**2", 5, "db", "ifg", "cell_slope_at_c"),
    # carries
    Planted("RNN", "dh = run.dh[t] + down", "dh = run.dh[t]", 4, "db", "", "carry_not_used"),
    Planted("LSTM", " + dc_next\n", "\n", 4, "db", "ifg", "carry_c_not_used"),
    Planted("LSTM", "dc_next = dc * f", "dc_next = dc", 5, "dc0", "", "carry_c_without_f"),
    Planted("LSTM", "dh = run.dh[t] + dh_next", "dh = run.dh[t]", 4, "db", "", "carry_not_used"),
    Planted("GRU", "down = dh * z + ", "down = ", 5, "dh0", "", "straight_missing"),
    Planted("GRU", "dh * z + dar @ Wr + daz @ Wz + dhn @ Wn", "dh * z", 5, "dh0", "",
            "carry_weights_missing"),
    Planted("RNN", "dh = run.dh[t] + down", "dh = down + (run.dh[t] if t == run.T else 0)", 4,
            "db", "", "loss_at_the_end_only"),
    Planted("RNN", '"dh0": down', '"dh0": dh', 1, "dh0", "", "not_through_step_1"),
    Planted("RNN", "range(run.T, 0, -1)", "range(run.T, 1, -1)", 1, "db", "", "loop_without_1"),
    # off by one step
    Planted("RNN", "da.T @ run.h[t - 1]", "da.T @ run.h[t]", 5, "dWh", "", "input_of_next_step"),
    Planted("LSTM", "df = dc * run.c[t - 1]", "df = dc * run.c[t]", 5, "db", "f",
            "factor_is_c:f"),
    Planted("LSTM", "dc_next = dc * f", "dc_next = dc * run.f[t - 1]", 5, "dc0", "",
            "carry_c_with_f_before"),
    Planted("RNN", "da.T @ run.x[t]", "da.T @ run.x[t - 1]", 5, "dWx", "",
            "input_of_step_before"),
    # gates and their factors
    Planted("LSTM", "[dai, daf, dag, dao]", "[dai, daf, dao, dag]", 5, "db", "og",
            "blocks_ordered_ifog"),
    Planted("LSTM", "do = dh * tanh_c", "do = dh * run.c[t]", 5, "db", "o", "factor_is_c:o"),
    Planted("GRU", "dz = dh * (h - n)", "dz = dh * (n - h)", 5, "db", "z", "update_sign"),
    Planted("GRU", "dn = dh * (1 - z)", "dn = dh * z", 5, "db", "nr", "new_z_exchanged"),
    Planted("GRU", "dr = dan * run.hn[t]", "dr = dan * h", 5, "db", "r", "reset_with_h"),
    Planted("GRU", "dhn = dan * r", "dhn = dan", 5, "dbhn", "n", "reset_forgotten"),
    Planted("GRU", "dhn @ Wn", "dan @ Wn", 5, "dh0", "", "reset_forgotten_in_dh"),
    Planted("RNN", "db += da.sum", "db += dh.sum", 5, "db", "", "before_slope"),
    Planted("LSTM", "i, f, g, o = run.i[t], run.f[t]", "i, f, g, o = run.f[t], run.i[t]", 5, "db",
            "ifg", "gates_confused:if"),
    Planted("LSTM", "di * i * (1 - i)", "di * f * (1 - f)", 5, "db", "i", "slope_sigma_of_f:i"),
    Planted("GRU", "Wr, Wz, Wn = np.split", "Wz, Wr, Wn = np.split", 5, "dh0", "",
            "weights_ordered_zrn"),
    Planted("GRU", " + daz @ Wz", "", 5, "dh0", "", "carry_without_gate:z"),
    # what is returned
    Planted("RNN", '"db": db', '"db": -db', 5, "db", "", "sign"),
    Planted("RNN", '"dx": dx', '"dx": np.vstack([dx[:1], dx[:0:-1]])', 5, "dx", "",
            "in_order_of_the_loop"),
    Planted("GRU", '"dWx": dWx', '"dWx": dWx / run.T', 4, "dWx", "", "divided_by_steps"),
    Planted("LSTM", '"dWx": dWx', '"dWx": dWx.T', 5, "dWx", "", "shape_transposed"),
]  # fmt: skip

#: wrong in ways that no list has: nothing may be named
UNKNOWN = [
    ("RNN", "(1 - run.h[t] ** 2)", "(1 - 0.9 * run.h[t] ** 2)"),
    ("RNN", "da @ run.Wh\n", "da @ (run.Wh + 0.1)\n"),
    ("LSTM", "dc * run.c[t - 1]", "dc * run.c[t - 1] ** 2"),
    ("GRU", "dn = dh * (1 - z)", "dn = dh * np.sqrt(1 - z)"),
]

#: two lines wrong at once: both are named, or nothing is
DOUBLE = [
    ("RNN", ("(1 - run.h[t] ** 2)", "(1 - run.h[t])"), ("da @ run.Wh\n", "da @ run.Wh.T\n"),
     {"slope_tanh_not_squared", "carry_transposed"}),
    ("RNN", ("dWx += da", "dWx = da"), ('"db": db', '"db": -db'), {"overwritten", "sign"}),
    ("RNN", ("run.h[t] ** 2", "run.a[t] ** 2"), ("dWx += da", "dWx = da"),
     {"slope_tanh_at_a", "overwritten"}),
    ("LSTM", (" * (1 - tanh_c**2)", ""), ("di * i * (1 - i)", "di"),
     {"cell_slope_forgotten", "slope_sigma_forgotten:i"}),
    ("LSTM", (" + dc_next\n", "\n"), ("do = dh * tanh_c", "do = dh * run.c[t]"),
     {"carry_c_not_used", "factor_is_c:o"}),
    ("GRU", ("dn = dh * (1 - z)", "dn = dh * z"), ("down = dh * z + ", "down = "),
     {"new_z_exchanged", "straight_missing"}),
]  # fmt: skip
