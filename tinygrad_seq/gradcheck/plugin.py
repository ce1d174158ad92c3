"""A pytest plugin: a test says what to check, the plugin checks it.

::

    @pytest.mark.gradcheck(order=2)
    def test_softclip():
        return softclip, tg.randn(3, 4)

A marked test returns ``(fn, inputs)``, or a list of such pairs, or yields them; under hypothesis'
``@given`` every example is checked. The mark takes the options of ``tg.gradcheck`` and

* ``order=2``: check the gradient, and the gradient's gradient (``tg.gradgradcheck``);
* ``device="strict"``: the default device while the test runs; inputs are moved there. A test for a
  GPU is skipped where there is none.

A test that does not pass fails with the report as its message, and with the line that repeats it.
``--gradcheck-seed N`` seeds what is random: the streams that ``tg.randn`` and layers draw from, the
fixture ``gradcheck_rng`` (a NumPy generator), and the directions of the check.

Nothing of the engine is imported before a marked test is met.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import shlex
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import numpy as np

_MARK = (
    "gradcheck(**options): compare the gradient of the (fn, inputs) that the test returns or "
    "yields with finite differences. Options: those of tinygrad_seq.gradcheck, order=1 or 2, "
    "device=NAME."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gradcheck", "gradient checks (tinygrad_seq)")
    group.addoption("--gradcheck-seed", type=_seed, metavar="N",
                    help="Seed of the random inputs and directions of marked tests (default: 0).",
                    )  # fmt: skip


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(text)  # argparse words the error
    return int(text)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARK)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Says the seed where somebody cares: it was given, or the run is verbose."""
    told = config.getoption("gradcheck_seed") is not None or config.get_verbosity() > 0
    return f"gradcheck: --gradcheck-seed {seed_of(config)}" if told else None


def seed_of(config: pytest.Config) -> int:
    """What ``--gradcheck-seed`` says."""
    return config.getoption("gradcheck_seed") or 0


@pytest.fixture
def gradcheck_rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A NumPy generator that starts from ``--gradcheck-seed``."""
    import numpy as np

    return np.random.default_rng(seed_of(request.config))


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: Any) -> Any:
    """A marked generator is a test, which pytest by itself would refuse."""
    if not inspect.isgeneratorfunction(obj) or not collector.istestfunction(obj, name):
        return None
    own = any(mark.name == "gradcheck" for mark in getattr(obj, "pytestmark", ()))
    if not own and collector.get_closest_marker("gradcheck") is None:
        return None

    @functools.wraps(obj)
    def plain(*args: Any, **kwargs: Any) -> Any:
        return obj(*args, **kwargs)

    setattr(collector.obj, name, plain)  # where the item will look for it
    return collector.ihook.pytest_pycollect_makeitem(collector=collector, name=name, obj=plain)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A mark with a mistake is an error of its test, said before the test runs."""
    for mark in item.iter_markers("gradcheck"):
        fault = _fault(item, mark)
        if fault:
            pytest.fail(f"{item.nodeid}: the gradcheck mark {fault}", pytrace=False)


def _fault(item: pytest.Item, mark: pytest.Mark) -> str | None:
    """What is wrong with a mark, or None."""
    from tinygrad_seq.backend import as_device
    from tinygrad_seq.errors import ArgumentError, TinygradSeqError
    from tinygrad_seq.gradcheck.check import gradcheck

    if not isinstance(item, pytest.Function) or hasattr(item.cls, "assertEqual"):
        return "needs a function or a method of a plain class: unittest drops what tests return"
    if mark.args:
        return f"takes options by name, got {mark.args[0]!r}"
    known = {*inspect.signature(gradcheck).parameters, "order", "device"}
    known -= {"fn", "inputs", "raise_exception", "name"}
    for option in mark.kwargs:
        if option not in known:
            near = difflib.get_close_matches(option, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            return f"has no option {option!r}{hint} (it has {', '.join(sorted(known))})"
    if mark.kwargs.get("order", 1) not in (1, 2):
        return f"takes order=1 or 2, got {mark.kwargs['order']!r}"
    try:
        as_device(mark.kwargs.get("device"))
    except ArgumentError as error:
        return f"takes the name of a device: {error}"
    except TinygradSeqError:
        pass  # it is not there today; the test will be skipped
    return None


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[Any]:
    """Let a marked test check what it returns."""
    __tracebackhide__ = True
    mark = pyfuncitem.get_closest_marker("gradcheck")
    if mark is None:
        return (yield)
    seed = seed_of(pyfuncitem.config)
    check = functools.partial(_check, options=dict(mark.kwargs), seed=seed)
    function = pyfuncitem.obj
    drawn = getattr(function, "hypothesis", None)  # its handle for plugins like this one
    inner = function if drawn is None else drawn.inner_test
    checked = _then(inner, check)
    if drawn is None:
        pyfuncitem.obj = checked
    else:
        drawn.inner_test = checked
    try:
        return (yield)
    except pytest.fail.Exception as failure:
        again = f"reproduce: pytest {shlex.quote(pyfuncitem.nodeid)} --gradcheck-seed {seed}"
        notes = getattr(failure, "__notes__", [])  # hypothesis' example
        text = "\n".join([str(failure.msg), *notes, again])
        raise pytest.fail.Exception(text, pytrace=failure.pytrace) from None
    finally:
        if drawn is None:
            pyfuncitem.obj = function
        else:
            drawn.inner_test = inner


def _then(test: Callable[..., Any], check: Callable[[Callable[[], Any]], None]) -> Any:
    """``test``, whose result goes through ``check`` and is None."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        check(lambda: test(*args, **kwargs))

    return run


def _check(test: Callable[[], Any], options: dict[str, Any], seed: int) -> None:
    """Run a test and check every pair that it gives; fail with the reports that are no pass."""
    __tracebackhide__ = True
    from tinygrad_seq.backend import as_device
    from tinygrad_seq.errors import TinygradSeqError
    from tinygrad_seq.gradcheck import cases

    given = {"seed": seed, **options}
    device = given.pop("device", None)
    try:
        as_device(device)
    except TinygradSeqError as error:
        pytest.skip(str(error))
    failures = []
    with cases.surroundings(seed, device) as place:
        pairs = _pairs(test())
        for i, (fn, inputs) in enumerate(pairs):
            report = cases.check(fn, cases.placed(inputs, place) if device else inputs, **given)
            if not report:
                which = f"pair {i + 1} of {len(pairs)}\n" if len(pairs) > 1 else ""
                failures.append(f"{which}{report}")
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)


def _pairs(result: Any) -> list[tuple[Callable[..., Any], Any]]:
    """What a test gave, as a list of (function, inputs)."""
    from tinygrad_seq.errors import ArgumentError
    from tinygrad_seq.gradcheck.cases import cases_of

    try:
        return cases_of(result, "the gradcheck mark")
    except ArgumentError as error:
        pytest.fail(str(error), pytrace=False)
