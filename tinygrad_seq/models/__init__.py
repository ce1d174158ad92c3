"""Whole models, and in ``arrangements`` the five ways to arrange inputs and outputs in time."""

from tinygrad_seq.models import arrangements
from tinygrad_seq.models.bert import BERT
from tinygrad_seq.models.char_lm import CharLM
from tinygrad_seq.models.gpt import GPT
from tinygrad_seq.models.reader import Reader, RowClassifier
from tinygrad_seq.models.seq2seq import Seq2Seq
from tinygrad_seq.models.tagger import FrameModel, Tagger
from tinygrad_seq.models.transformer_seq2seq import TransformerSeq2Seq
from tinygrad_seq.models.vit import ViT

__all__ = [
    "BERT",
    "GPT",
    "CharLM",
    "FrameModel",
    "Reader",
    "RowClassifier",
    "Seq2Seq",
    "Tagger",
    "TransformerSeq2Seq",
    "ViT",
    "arrangements",
]
