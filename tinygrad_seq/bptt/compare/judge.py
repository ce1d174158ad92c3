"""What is to be said about a function's answer: where it is wrong, why, and how it behaves."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_seq.bptt.compare.diagnose import Explanation, Search
from tinygrad_seq.bptt.compare.hand import Backward, Hand, called
from tinygrad_seq.bptt.compare.locate import ORDER, Place, by_rows, later, located, wrong
from tinygrad_seq.bptt.compare.record import Loss, recorded
from tinygrad_seq.bptt.compare.report import Comparison, tensor_error
from tinygrad_seq.bptt.compare.run import Run
from tinygrad_seq.bptt.compare.shapes import recognised
from tinygrad_seq.bptt.compare.textbook import signals_of
from tinygrad_seq.bptt.compare.textbook.gather import gathered
from tinygrad_seq.bptt.compare.truth import Truth
from tinygrad_seq.bptt.compare.words import sentence


def judged(
    fn: Backward, model: Any, inputs: Any, loss: Loss | None, initial: Any, rtol: float, seed: int
) -> Comparison:
    """Record a run of the model, call the function with it, and look at what it returns."""
    run, unrolled = recorded(model, inputs, loss, initial, seed)
    truth = unrolled.truth(run.dh)
    hand = called(fn, run)
    if hand.problem is not None:
        notes = tuple(hand.notes)
        return Comparison(False, run, {}, problem=hand.problem, error=hand.error, notes=notes)
    return Answer(fn, run, truth, hand, 1e-4 if hand.single else rtol).comparison()


class Answer:
    """One function's answer, being judged."""

    def __init__(self, fn: Backward, run: Run, truth: Truth, hand: Hand, rtol: float):
        self.fn, self.run, self.truth, self.hand, self.rtol = fn, run, truth, hand, rtol
        self.tape = truth.suffix(run.T)
        self.wrong = wrong(run, hand, self.tape, rtol)
        self.tolerance = min(max(1e-8, rtol), 1e-5)
        self.notes = list(hand.notes)
        self.fields: dict[str, Any] = {}

    def comparison(self) -> Comparison:
        """Everything there is to say."""
        arrays = self.hand.values | self.hand.misshaped
        errors = {
            name: tensor_error(arrays[name], self.tape[name], name not in self.wrong)
            for name in ORDER
            if name in arrays
        }
        if self.wrong:
            self._locate()
            self._diagnose()
        self._conduct()
        self._unseen()
        return Comparison(
            ok=not self.wrong and "causes" not in self.fields, run=self.run, errors=errors,
            notes=tuple(self.notes), tolerance=self.tolerance, **self.fields,
        )  # fmt: skip

    # ------------------------------------------------------------------ where

    def _locate(self) -> None:
        place = located(self.fn, self.run, self.truth, self.rtol)
        if isinstance(place, str):
            self.notes.append(f"the step could not be found: {place}")
            return
        if "dWx" in place.together and "dWx" in self.hand.values:
            place = later(self.fn, self.run, self.truth, self.rtol, place, self.hand)
        self._at(by_rows(self.run, self.hand, self.truth, self.rtol, place))

    def _at(self, place: Place) -> None:
        self.fields |= {"step": place.step, "tensor": place.tensor, "gates": place.gates,
                        "together": place.together}  # fmt: skip

    # ------------------------------------------------------------------ why

    def _diagnose(self) -> None:
        values = self.hand.values
        if not all(np.isfinite(v).all() for v in values.values()):
            bad = [n for n, v in values.items() if not np.isfinite(v).all()]
            self.fields |= {"causes": ("not_finite",), "diagnosis": f"{', '.join(bad)}: NaN or"
                            " infinity; a division by zero or an overflow"}  # fmt: skip
            return
        causes, texts, fits = self._shapes()
        fitting: list[Explanation] = []
        others: list[Explanation] = []
        if set(self.wrong) & set(values):
            search = Search(self._samples(), self.tolerance)
            fitting, others = search.explained()
            if fitting:
                causes += fitting[0].mistakes
                texts += self._words(fitting[0])
                fits.append(fitting[0].fit)
        known = len(fits) == len(self.hand.misshaped) + bool(set(self.wrong) & set(values))
        shown = [*fitting[1:3], *others[:1]]
        self.fields["alternatives"] = tuple((" and ".join(self._words(e)), e.fit) for e in shown)
        if known:
            self.fields |= {"causes": tuple(causes), "diagnosis": " and ".join(texts),
                            "fit": max(fits)}  # fmt: skip
        if fitting and "step" not in self.fields:
            self._locate_by(fitting[0])
        if known and set(causes) <= {"loop_without_1", "without_step_1"}:
            self.fields["step"] = 1  # every run's first step is left out, however short it is

    def _shapes(self) -> tuple[list[str], list[str], list[float]]:
        """What the arrays of a wrong shape are."""
        causes: dict[str, list[str]] = {}
        fits = []
        signals = signals_of(self.run)
        for name, array in self.hand.misshaped.items():
            wanted = self.run.shapes()[name]
            note = f"{name} has shape {array.shape}, expected {wanted}"
            for mistake, residual in recognised(signals, name, array)[:1]:
                if residual <= self.tolerance:
                    causes.setdefault(mistake, []).append(name)
                    fits.append(residual)
                    note += f"; {sentence(mistake, [name])}, its numbers fit to {residual:.0e}"
            self.notes.append(note)
        return list(causes), [sentence(c, names) for c, names in causes.items()], fits

    def _samples(self) -> list[tuple[Run, dict[str, np.ndarray]]]:
        """What was returned for the run, and before it for the part that first goes wrong."""
        samples = [(self.run, self.hand.values)]
        step = self.fields.get("step")
        if step is not None and step > 1:
            short = self.run.suffix(self.run.T - step + 1)
            values = called(self.fn, short).values
            if values.keys() == self.hand.values.keys():
                samples.insert(0, (short, values))
        return samples

    def _words(self, explanation: Explanation) -> list[str]:
        gates = self.run.gates
        words = [sentence(m, (), gates) for m in explanation.on_the_way]
        return words + [sentence(m, n, gates) for m, n in explanation.in_gathering.items()]

    def _locate_by(self, explanation: Explanation) -> None:
        """The step by the mistake that was found, where the function cannot be asked."""
        if explanation.in_gathering:
            return

        def replay(run: Run) -> dict[str, np.ndarray]:
            signals = signals_of(run, explanation.on_the_way)
            return {name: gathered(signals, name) for name in self.hand.values}

        place = located(replay, self.run, self.truth, self.rtol)
        if not isinstance(place, str):
            self._at(place)

    # ------------------------------------------------------------------ how it behaves

    def _conduct(self) -> None:
        """Arrays of the run changed in place, and answers that change from call to call."""
        found: list[tuple[str, str]] = []
        if self.hand.changed:
            names = ", ".join(f"run.{name}" for name in self.hand.changed)
            most = max(self.hand.changed.values())
            told = f"your backward changes {names} in place, by up to {most:.2g}"
            frozen = called(self.fn, self.run, writeable=False)
            if isinstance(frozen.error, ValueError):
                told += f"; {str(frozen.problem).partition(' (')[2].rstrip(')')}"
            found.append(("changes_the_run", told))
        again = called(self.fn, self.run)
        if not _same(self.hand, again):
            found.append(("keeps_something", "your backward gives other numbers when it is called"
                          " again: it keeps something from call to call"))  # fmt: skip
        if found and "causes" not in self.fields:
            self.fields |= {"causes": tuple(name for name, _ in found),
                            "diagnosis": " and ".join(text for _, text in found)}  # fmt: skip
        else:
            self.notes += [text for _, text in found]

    def _unseen(self) -> None:
        """What this run is too small to show."""
        if self.wrong:
            return
        if self.run.T == 1:
            self.notes.append("with T = 1 nothing is carried from step to step")
        if self.run.B == 1:
            self.notes.append("with B = 1 a missing sum over the batch does not show")
        if self.run.H == 1:
            self.notes.append("with H = 1 a missing transpose of Wh does not show")


def _same(one: Hand, other: Hand) -> bool:
    pairs = [(value, other.values.get(name)) for name, value in one.values.items()]
    return all(b is not None and np.allclose(a, b, 1e-9, 0, True) for a, b in pairs)
