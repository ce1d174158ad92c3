"""What the recurrent kernels share: when they are worth it, and how they add up weight gradients.

The weights' gradients come from one product for many steps, and what does not depend on the step
after is computed for many steps at once. Not for all: memory that is fresh from the system costs
more than the arithmetic done on it, and a block's worth is used again and stays in the cache.
"""

from __future__ import annotations

import numpy as np

from tinygrad_seq.backend import Array

#: Rows, steps × batch, of a block: enough that adding up the blocks costs little.
ROWS = 256


def pays(weights: int, steps: int, states: int) -> bool:
    """Whether arranging so many weights anew is made up for by so many steps with so many states.

    The copy costs about as much per weight as a step gains per eighth of a state, and 2¹⁶ weights
    what it gains in calls. So few steps, as when text is written, are left to the reference.
    """
    return weights <= steps * (2**16 + 8 * states)


def before(first: Array, states: Array, start: int, stop: int) -> Array:
    """The states that the steps of a block began with, (stop − start, B, H)."""
    if start:
        return states[start - 1 : stop - 1]
    return np.concatenate([first[None], states[: stop - 1]])


def plus(total: Array | None, term: Array) -> Array:
    """total + term, in place. None is a sum of nothing."""
    return term if total is None else np.add(total, term, out=total)
