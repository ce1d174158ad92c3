"""Text, vocabularies, batches for truncated BPTT, and count baselines."""

from tinygrad_seq.data.batching import Streams
from tinygrad_seq.data.folder import data_folder, find_file
from tinygrad_seq.data.ngram import Baseline, NGram, baselines
from tinygrad_seq.data.text import Vocabulary, fingerprint, python_topics, read_text, split

__all__ = [
    "Baseline",
    "NGram",
    "Streams",
    "Vocabulary",
    "baselines",
    "data_folder",
    "find_file",
    "fingerprint",
    "python_topics",
    "read_text",
    "split",
]
