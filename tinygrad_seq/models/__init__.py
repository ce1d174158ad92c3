"""Whole models, each one file."""

from tinygrad_seq.models.char_lm import CharLM

__all__ = ["CharLM"]
