"""Backpropagation through time written by hand in NumPy, one row of a batch, one step at a time.

Time is the textbook's: entry 0 is before the first step. L = Σ_t ½‖h_t‖². Each returns every
number by name, arrays (T+1, ·), and gradients.
"""

import numpy as np

import tinygrad_seq as tg
from tinygrad_seq import bptt, nn

STEPS, WIDTH = 4, 2


def sigma(a):
    return 1 / (1 + np.exp(-a))


def rnn(x, h0, w_xh, w_hh, b):
    """h_t = tanh(W_xh x_t + W_hh h_{t−1} + b)."""
    steps, width = len(x), len(h0)
    found = {k: np.zeros((steps + 1, width)) for k in ("a", "h", "own", "later", "total", "delta")}
    h, a = found["h"], found["a"]
    h[0] = h0
    for t in range(1, steps + 1):
        a[t] = w_xh @ x[t - 1] + w_hh @ h[t - 1] + b
        h[t] = np.tanh(a[t])
    for t in range(steps, -1, -1):
        if t < steps:
            found["later"][t] = w_hh.T @ found["delta"][t + 1]
        if t:
            found["own"][t] = h[t]
        found["total"][t] = found["own"][t] + found["later"][t]
        if t:
            found["delta"][t] = found["total"][t] / np.cosh(a[t]) ** 2
    found["loss"] = np.array([0, *(h[1:] ** 2).sum(axis=1) / 2])
    found["w_xh"] = np.array([np.zeros_like(w_xh), *map(np.outer, found["delta"][1:], x)])
    found["w_hh"] = np.array([np.zeros_like(w_hh), *map(np.outer, found["delta"][1:], h[:-1])])
    return found


def rnn_credit(found, w_hh, s, t):
    """∂L_s/∂h_t: h_s times the Jacobians diag(1 − h²) W_hh of the steps between."""
    credit = found["h"][s]
    for k in range(s, t, -1):
        credit = credit @ (np.diag(1 / np.cosh(found["a"][k]) ** 2) @ w_hh)
    return credit


def lstm(x, h0, c0, w_xh, w_hh, b):
    """Gates in the order i, f, g, o."""
    steps, width = len(x), len(h0)
    names = ["i", "f", "g", "o", "c", "h", "dh", "dc", "di", "df", "dg", "do"]
    found = {k: np.zeros((steps + 1, width)) for k in names}
    i, f, g, o, c, h, dh, dc, di, df, dg, do = (found[k] for k in names)
    h[0], c[0] = h0, c0
    for t in range(1, steps + 1):
        a = np.split(w_xh @ x[t - 1] + w_hh @ h[t - 1] + b, 4)
        i[t], f[t], g[t], o[t] = sigma(a[0]), sigma(a[1]), np.tanh(a[2]), sigma(a[3])
        c[t] = f[t] * c[t - 1] + i[t] * g[t]
        h[t] = o[t] * np.tanh(c[t])
    delta = np.zeros((steps + 1, 4 * width))
    for t in range(steps, 0, -1):
        dh[t] = h[t] + (w_hh.T @ delta[t + 1] if t < steps else 0)
        dc[t] = dh[t] * o[t] / np.cosh(c[t]) ** 2 + (f[t + 1] * dc[t + 1] if t < steps else 0)
        di[t] = dc[t] * g[t] * i[t] * (1 - i[t])
        df[t] = dc[t] * c[t - 1] * f[t] * (1 - f[t])
        dg[t] = dc[t] * i[t] * (1 - g[t] ** 2)
        do[t] = dh[t] * np.tanh(c[t]) * o[t] * (1 - o[t])
        delta[t] = np.concatenate([di[t], df[t], dg[t], do[t]])
    dh[0], dc[0] = w_hh.T @ delta[1], f[1] * dc[1]
    found["w_hh"] = np.array([np.zeros_like(w_hh), *map(np.outer, delta[1:], h[:-1])])
    found["w_xh"] = np.array([np.zeros_like(w_xh), *map(np.outer, delta[1:], x)])
    found["b"] = delta
    return found


def gru(x, h0, w_xh, w_hh, b):
    """Gates in the order r, z, n, the reset after W_hn, z keeps; one bias, that of W_xh."""
    steps, width = len(x), len(h0)
    names = ["r", "z", "n", "q", "h", "dh", "dr", "dz", "dn", "dq"]
    found = {k: np.zeros((steps + 1, width)) for k in names}
    r, z, n, q, h, dh, dr, dz, dn, dq = (found[k] for k in names)
    (w_hr, w_hz, w_hn), h[0] = np.split(w_hh, 3), h0
    for t in range(1, steps + 1):
        from_x = np.split(w_xh @ x[t - 1] + b, 3)
        r[t] = sigma(from_x[0] + w_hr @ h[t - 1])
        z[t] = sigma(from_x[1] + w_hz @ h[t - 1])
        q[t] = w_hn @ h[t - 1]
        n[t] = np.tanh(from_x[2] + r[t] * q[t])
        h[t] = (1 - z[t]) * n[t] + z[t] * h[t - 1]
    for t in range(steps, -1, -1):
        dh[t] = h[t] if t else 0
        if t < steps:
            back = w_hr.T @ dr[t + 1] + w_hz.T @ dz[t + 1] + w_hn.T @ dq[t + 1]
            dh[t] += dh[t + 1] * z[t + 1] + back
        if t:
            dn[t] = dh[t] * (1 - z[t]) * (1 - n[t] ** 2)
            dz[t] = dh[t] * (h[t - 1] - n[t]) * z[t] * (1 - z[t])
            dq[t] = dn[t] * r[t]
            dr[t] = dn[t] * q[t] * r[t] * (1 - r[t])
    hidden = np.concatenate([dr, dz, dq], axis=1)
    found["w_hh"] = np.array([np.zeros_like(w_hh), *map(np.outer, hidden[1:], h[:-1])])
    return found


BY_HAND = {nn.RNN: rnn, nn.LSTM: lstm, nn.GRU: gru}


def half(h, t):
    """The loss of a step."""
    return 0.5 * h.square().sum()


def small(kind, inputs=1, hidden=WIDTH, steps=STEPS, **options):
    """A net, its ledger, and what the functions written by hand take."""
    tg.manual_seed(8)
    net = kind(inputs, hidden, single_bias=True, dtype=np.float64, **options)
    x = tg.randn(steps, 1, inputs, dtype=np.float64)
    start = tg.randn(1, 1, hidden, dtype=np.float64)
    initial = (start, 2 * start) if kind is nn.LSTM else start
    ledger = bptt.ledger(net, x, half, initial=initial)
    first = [start.numpy()[0, 0], *([2 * start.numpy()[0, 0]] if kind is nn.LSTM else [])]
    weights = [p.numpy() for p in net.parameters()]
    return ledger, BY_HAND[kind](x.numpy()[:, 0], *first, *weights)
