"""Mistakes planted in hand-written backward passes: where each is found, and what is named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_seq as tg
from tests.bptt.compare.by_hand import (
    DOUBLE,
    PLANTED,
    RESET_FIRST,
    SOURCES,
    TAKE,
    UNKNOWN,
    made,
)
from tinygrad_seq import nn
from tinygrad_seq.bptt import compare

#: planted mistakes whose cause is not named, or named wrongly
NOT_NAMED: list[str] = []


def compared(kind, fn, steps=5, batch=3):
    tg.manual_seed(0)
    layer = getattr(nn, kind)(2, 4, dtype=np.float64)
    return compare(fn, layer, tg.randn(steps, batch, 2))


@pytest.fixture(scope="module")
def found():
    return {str(p): compared(p.kind, p.function()) for p in PLANTED}


@pytest.mark.parametrize("planted", PLANTED, ids=str)
def test_the_first_wrong_number_is_found(planted, found):
    result = found[str(planted)]
    assert not result
    place = (result.step, result.tensor, set(result.gates))
    assert place == (planted.step, planted.tensor, set(planted.gates))
    assert result.gate in ((*planted.gates,) or (None,))


def test_the_cause_is_named(found):
    """Of 53 planted mistakes every cause is the right one."""
    named = {str(p): found[str(p)].causes == (p.cause,) for p in PLANTED}
    assert len(named) == len(PLANTED) == 53
    assert [name for name, right in named.items() if not right] == NOT_NAMED
    assert len({p.cause for p in PLANTED}) > 30


def test_each_kind_of_layer_has_its_share():
    for kind in SOURCES:
        assert sum(p.kind == kind for p in PLANTED) >= 12


@pytest.mark.parametrize("planted", PLANTED, ids=str)
def test_the_number_it_fits(planted, found):
    """The named mistake fits to rounding; what is ruled out misses by far."""
    result = found[str(planted)]
    assert result.fit < 1e-12
    ruled_out = [residual for _, residual in result.alternatives if residual > result.tolerance]
    assert ruled_out or planted.cause.startswith("shape_")
    assert all(residual > 1e-3 for residual in ruled_out)


@pytest.mark.parametrize("planted", PLANTED, ids=str)
def test_the_report_says_so(planted, found):
    result = found[str(planted)]
    text = str(result)
    assert f"step {planted.step}, {planted.tensor}" in text
    assert "likely mistake" in text
    assert " ".join(result.diagnosis.split()) in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


@settings(max_examples=15)
@given(
    planted=st.sampled_from(PLANTED),
    sizes=st.tuples(*[st.integers(*ends) for ends in ((3, 4), (2, 2), (2, 3), (2, 3))]),
    seed=st.integers(0, 2**32 - 1),
)
def test_neither_sizes_nor_numbers_matter(planted, sizes, seed):
    steps, batch, width, hidden = sizes
    tg.manual_seed(seed)
    layer = getattr(nn, planted.kind)(width, hidden, dtype=np.float64)
    result = compare(planted.function(), layer, tg.randn(steps, batch, width), seed=seed)
    assert result.step == (planted.step - 5 + steps if planted.step > 1 else 1)
    assert (result.tensor, set(result.gates)) == (planted.tensor, set(planted.gates))
    assert result.causes == (planted.cause,)


@pytest.mark.parametrize("kind", SOURCES)
def test_nothing_is_found_where_nothing_is_wrong(kind):
    result = compared(kind, made(SOURCES[kind]))
    assert result
    assert (result.step, result.tensor, result.gates, result.causes) == (None, None, (), ())
    assert all(e.ok and e.error < 1e-12 for e in result.errors.values())


@pytest.mark.parametrize("change", UNKNOWN, ids=str)
def test_an_unknown_mistake_is_found_but_not_named(change):
    kind, *lines = change
    result = compared(kind, made(SOURCES[kind], lines), steps=3)
    assert not result
    assert result.step == 3
    assert result.causes == ()
    assert result.diagnosis is None
    assert result.fit is None
    assert "none that is known" in str(result)


@pytest.mark.parametrize("change", DOUBLE, ids=lambda change: "-".join(sorted(change[3])))
def test_two_mistakes_are_both_named(change):
    kind, first, second, causes = change
    result = compared(kind, made(SOURCES[kind], first, second), steps=3)
    assert not result
    assert set(result.causes) == causes
    assert result.fit < 1e-12


@pytest.mark.parametrize(("kind", "right", "wrong"), UNKNOWN, ids=str)
def test_a_known_mistake_beside_an_unknown_one_is_not_blamed(kind, right, wrong):
    known = next(p for p in PLANTED if p.kind == kind and p.right not in right and right not in
                 p.right)  # fmt: skip
    fn = made(SOURCES[kind], (right, wrong), (known.right, known.wrong))
    result = compared(kind, fn, steps=3)
    assert not result
    assert result.causes == ()


@pytest.mark.parametrize(
    ("changes", "cause"), [(TAKE, "other_update"), (RESET_FIRST, "other_reset")]
)
def test_another_papers_gru_is_recognised(changes, cause):
    """Several lines differ, all for one reason."""
    result = compared("GRU", made(SOURCES["GRU"], *changes), steps=3)
    assert result.causes == (cause,)
    assert result.fit < 1e-12


def test_a_mistake_of_one_step_is_found_there():
    """It depends on t itself, so runs on the last steps alone do not show where it is."""
    fn = made(SOURCES["RNN"], ("da = dh", "da = (1.5 if t == 2 else 1) * dh"))
    result = compared("RNN", fn)
    assert (result.step, result.causes) == (2, ())
