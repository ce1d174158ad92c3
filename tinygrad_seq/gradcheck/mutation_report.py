"""What a mutation audit found, as data and as text of at most 80 columns."""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tinygrad_seq.gradcheck.examiner import Mutant


@dataclass(frozen=True)
class AuditReport:
    """The outcome of a mutation audit. True if no mistake was missed."""

    mutants: tuple[Mutant, ...]
    name: str = "mutation audit"

    @property
    def detected(self) -> list[Mutant]:
        """Those that made the check fail."""
        return [m for m in self.mutants if m.detected]

    @property
    def equivalent(self) -> list[Mutant]:
        """Those that change nothing."""
        return [m for m in self.mutants if m.equivalent]

    @property
    def missed(self) -> list[Mutant]:
        """Those that are wrong, and passed."""
        return [m for m in self.mutants if m.missed]

    def __bool__(self) -> bool:
        return not self.missed

    def rows(self) -> list[dict[str, Any]]:
        """Every mutant as plain data."""
        states = {"detected": "detected", "equivalent": "equivalent", "missed": "missed"}
        return [
            {"site": m.site, "corruption": m.corruption, "verdict": m.verdict,
             "state": next(s for s in states if getattr(m, s)), "note": m.note}
            for m in self.mutants
        ]  # fmt: skip

    def __str__(self) -> str:
        counts = (
            f"{len(self.mutants)} mutants, {len(self.detected)} detected, "
            f"{len(self.equivalent)} change nothing, {len(self.missed)} missed"
        )
        lines = textwrap.wrap(f"{self.name}: {counts}", 80, subsequent_indent="  ")
        sites = list(dict.fromkeys(m.site for m in self.mutants))
        wide = min(44, max((len(s) for s in sites), default=0))
        for site in sites:
            here = [m for m in self.mutants if m.site == site]
            caught = sum(m.detected for m in here)
            void = sum(m.equivalent for m in here)
            short = site if len(site) <= wide else site[: wide - 1] + "…"
            text = f"{caught} of {len(here) - void} detected"
            lines.append(
                f"  {short:<{wide}}  {text}" + (f", {void} change nothing" if void else "")
            )
        lines += _listed("missed:", self.missed) + _listed("change nothing:", self.equivalent)
        return "\n".join(lines)


def _listed(title: str, mutants: list[Mutant]) -> list[str]:
    """One line for each corruption and reason, with the sites it is about."""
    kinds = Counter((m.corruption, m.note) for m in mutants)
    lines = [title] if kinds else []
    for corruption, note in kinds:
        sites = [m.site for m in mutants if (m.corruption, m.note) == (corruption, note)]
        text = f"{corruption} ({', '.join(sites)}): {note}"
        lines += textwrap.wrap(text, 80, initial_indent="  ", subsequent_indent="    ")
    return lines
