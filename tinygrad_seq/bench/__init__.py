"""Timing: how long a call takes, which of two processes is faster, on what machine.

``time_call`` times a function on a device; ``compare_processes`` lets contestants take turns, each
in a process of its own; ``environment`` says what they ran on; ``write_results`` keeps it all.
"""

from tinygrad_seq.bench.cases import Case, case_of, time_case, transfer_times
from tinygrad_seq.bench.clock import Timing, time_call
from tinygrad_seq.bench.contest import Standing, compare_processes, serve, standings, take_turns
from tinygrad_seq.bench.environment import environment
from tinygrad_seq.bench.results import SCHEMA, read_results, write_results

__all__ = [
    "SCHEMA",
    "Case",
    "Standing",
    "Timing",
    "case_of",
    "compare_processes",
    "environment",
    "read_results",
    "serve",
    "standings",
    "take_turns",
    "time_call",
    "time_case",
    "transfer_times",
    "write_results",
]
