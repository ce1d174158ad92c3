"""What the tests that train have in common: the figure that each reaches, kept for the report."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest


@pytest.fixture
def reached(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Note what was reached, by printing it and as properties of the test in JUnit's XML.

    task, model: what learned what. figure, goal: in ``unit``. effort: how much training it took.
    The processor's time is noted too: it does not depend on what else the machine is doing.
    """
    start = time.process_time()

    def note(task: str, model: str, figure: float, goal: str, unit: str, effort: str) -> None:
        seconds = time.process_time() - start
        found = {"task": task, "model": model, "figure": float(figure), "goal": goal,
                 "unit": unit, "effort": effort, "seconds": seconds}  # fmt: skip
        # record_property would warn of JUnit's schema, which nothing here reads it by.
        request.node.user_properties.extend(found.items())
        print(f"\n{task}, {model}: {figure:.5g} {unit} (goal: {goal})")  # noqa: T201
        print(f"after {effort}, {seconds:.0f} s")  # noqa: T201

    return note
