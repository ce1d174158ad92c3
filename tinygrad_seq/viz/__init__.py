"""Plots and coloured text. Takes plain arrays and knows nothing of the engine."""
