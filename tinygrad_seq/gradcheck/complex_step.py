"""The complex step: derivatives to the last digits, for functions that are analytic.

f(x + ih) = f(x) + ih·f'(x) − …, so Im f(x + ih)/h is f'(x) without any subtraction: h = 1e-20 gives
neither truncation nor cancellation (Squire and Trapp 1998, doi:10.1137/S003614459631241X). It holds
only where the function is analytic: |x|, maxima and comparisons are not.
"""

from __future__ import annotations

import numpy as np

from tinygrad_seq.errors import ArgumentError, expect
from tinygrad_seq.gradcheck.compare import Block
from tinygrad_seq.gradcheck.numerical import Line, Stencil, Tolerance, ladder_of, survey
from tinygrad_seq.gradcheck.subject import Subject
from tinygrad_seq.gradcheck.verdict import Finding, judge
from tinygrad_seq.gradcheck.views import View, mover, signed

STEP = 1e-20


def expect_analytic(subject: Subject, centre: np.ndarray, epsilon: float) -> None:
    """Raise unless the complex step agrees roughly with real ones in a random direction."""
    rng = np.random.default_rng(0)
    for k, variable in enumerate(subject.variables):
        direction = signed(rng, variable.value.size) * variable.scale
        line = Line(mover(subject, k, direction), centre, 1.0, np.abs(centre), epsilon)
        slopes = line.at(1j * STEP).imag / STEP
        margin = 1e-3 * np.abs(slopes).max(initial=0.0) + 1e-6 * np.abs(centre)
        surveyed = list(survey(line, ladder_of(line, 1e-6, 1.0)))
        for i, slope in enumerate(slopes):
            stencils = [Stencil(h, values[i], float(noise[i])) for h, values, noise in surveyed]
            verdict = judge(float(slope), stencils, float(margin[i]), 1e-3).verdict
            what = "complex_step of a function that is analytic"
            got = f"one that is not, by {variable.name}"
            expect(verdict in ("pass", "too noisy"), "gradcheck", what, got, ArgumentError)


def complex_look(view: View, tol: Tolerance) -> list[Block]:
    """Im f(x + ih)/h per column → a block per output; nothing is left open."""
    numeric = np.zeros_like(view.analytic)
    floor = np.zeros_like(view.analytic)
    moved: list[float] = []
    for j in range(view.analytic.shape[1]):
        line = view.line(j)
        h = STEP * line.reach
        moved.append(h)
        numeric[:, j] = line.at(1j * h).imag / h
        floor[:, j] = 4 * line.epsilon * line.size / line.reach
    blocks = []
    for part in view.rows:
        a, n = view.analytic[part], numeric[part]
        if view.typical is None:
            largest = np.asarray(np.abs(n[np.isfinite(n)]).max(initial=0.0))
        else:
            largest = view.typical[part]
        rounding = floor[part].max(axis=0, initial=0.0)
        margin = np.broadcast_to(tol.atol * largest + rounding, n.shape)
        zero = np.zeros_like(n)
        block = Block(a, n, zero, zero, margin, tol.rtol, rounding, moved)
        for i, j in np.argwhere(block.ratio() > 1):
            block.put(int(i), int(j), Finding("wrong", float(n[i, j]), 0.0, moved[j]))
        blocks.append(block)
    return blocks
