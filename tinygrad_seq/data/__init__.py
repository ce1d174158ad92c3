"""Data sets, made-up tasks, vocabularies, tokenisers, padding, batches, and count baselines."""

from tinygrad_seq.data.batching import Streams, document_starts
from tinygrad_seq.data.chorales import Chorales, jsb_chorales
from tinygrad_seq.data.corpora import addition, dates, names, tiny_shakespeare
from tinygrad_seq.data.digits import mnist, read_idx
from tinygrad_seq.data.fetch import fetch, locate
from tinygrad_seq.data.files import DATA_FILES, DataFile
from tinygrad_seq.data.folder import data_folder, find_file
from tinygrad_seq.data.ngram import Baseline, NGram, baselines
from tinygrad_seq.data.padding import Padded, bucketed, pad, step_mask
from tinygrad_seq.data.pairs import PairBatch, collate, pair_batches
from tinygrad_seq.data.reber import EMBEDDED_REBER, REBER, Grammar, Strings, legal_first
from tinygrad_seq.data.symbols import SPECIAL, SymbolVocabulary
from tinygrad_seq.data.synthetic import ADDING_BASELINE, adding, copy_baseline, copy_memory
from tinygrad_seq.data.text import Vocabulary, fingerprint, python_topics, read_text, split
from tinygrad_seq.data.tokenizers import BytePairTokenizer, CharTokenizer

__all__ = [
    "ADDING_BASELINE",
    "DATA_FILES",
    "EMBEDDED_REBER",
    "REBER",
    "SPECIAL",
    "Baseline",
    "BytePairTokenizer",
    "CharTokenizer",
    "Chorales",
    "DataFile",
    "Grammar",
    "NGram",
    "Padded",
    "PairBatch",
    "Streams",
    "Strings",
    "SymbolVocabulary",
    "Vocabulary",
    "adding",
    "addition",
    "baselines",
    "bucketed",
    "collate",
    "copy_baseline",
    "copy_memory",
    "data_folder",
    "dates",
    "document_starts",
    "fetch",
    "find_file",
    "fingerprint",
    "jsb_chorales",
    "legal_first",
    "locate",
    "mnist",
    "names",
    "pad",
    "pair_batches",
    "python_topics",
    "read_idx",
    "read_text",
    "split",
    "step_mask",
    "tiny_shakespeare",
]
