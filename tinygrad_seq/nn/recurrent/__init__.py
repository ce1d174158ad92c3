"""Recurrent layers: RNN, LSTM and GRU, each running a whole sequence as one op per layer.

``unit`` holds what layers and cells share, ``stack`` the loop over layers and directions; a kind
adds its parameters and its op.
"""

from tinygrad_seq.nn.recurrent.gru import GRU
from tinygrad_seq.nn.recurrent.lstm import LSTM
from tinygrad_seq.nn.recurrent.rnn import RNN
from tinygrad_seq.nn.recurrent.unit import Inner

__all__ = ["GRU", "LSTM", "RNN", "Inner"]
