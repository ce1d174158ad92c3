"""The ledger: backpropagation through time, by hand, with every number written down.

In ``bptt`` the name ``ledger`` means the function. The modules in here are reached with
``from tinygrad_seq.bptt.ledger.record import Ledger``.
"""

from tinygrad_seq.bptt.ledger.record import Ledger
from tinygrad_seq.bptt.ledger.run import ledger
from tinygrad_seq.bptt.ledger.truncation import Truncation

__all__ = ["Ledger", "Truncation", "ledger"]
