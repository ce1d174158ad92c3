"""Models that answer never say padding or the first symbol, whatever the symbols are, however the
answer is found, and in whatever company; after the last symbol there is padding alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_seq as tg
from tinygrad_seq.models import GPT, Seq2Seq, TransformerSeq2Seq
from tinygrad_seq.models.decoding import sample

SOURCE, LENGTH = 4, 7
MODELS = {
    "rnn": lambda size, **s: Seq2Seq(SOURCE, size, 3, 4, "rnn", **s),
    "lstm": lambda size, **s: Seq2Seq(SOURCE, size, 3, 4, "lstm", attention="dot",
                                      bidirectional=True, **s),
    "gru": lambda size, **s: Seq2Seq(SOURCE, size, 3, 4, "gru", 2, attention="additive",
                                     input_feeding=True, reverse=True, **s),
    "transformer": lambda size, **s: TransformerSeq2Seq(SOURCE, size, 4, 2, 1, **s),
}  # fmt: skip


def answers(model, source, lengths, how, data):
    """What it says (T, B): the likeliest, the best of a search, or drawn by chance."""
    if how == "greedy":
        return model.generate(source, lengths, LENGTH).tokens
    if how == "beams":
        beams = data.draw(st.integers(2, 4), "beams")
        return model.generate(source, lengths, LENGTH, beams=beams).tokens
    options = {"temperature": data.draw(st.sampled_from([0.3, 1.0, 4.0]), "temperature"),
               "top_k": data.draw(st.sampled_from([None, 1, 3]), "k"),
               "top_p": data.draw(st.sampled_from([None, 0.9]), "p")}  # fmt: skip
    start = tg.tensor(np.full(source.shape[1], model.bos))
    with tg.no_grad():
        state = model.read(source, lengths)
    return sample(model.step, start, state, length=LENGTH, eos=model.eos, pad=model.pad,
                  forbidden=[model.bos], generator=tg.Generator(1), **options)  # fmt: skip


@pytest.mark.parametrize("how", ["greedy", "sampled", "beams"])
@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=12)
@given(st.data())
def test_padding_and_the_first_symbol(name, how, data):
    size = data.draw(st.integers(3, 9), "symbols")
    pad, bos, eos = data.draw(st.permutations(range(size)), "order")[:3]
    tg.manual_seed(data.draw(st.integers(0, 99), "seed"))
    model = MODELS[name](size, pad=pad, bos=bos, eos=eos).eval()
    head = model.head if name == "transformer" else model.decoder.head
    for symbol in (pad, bos):
        head.bias.data[symbol] = 50  # what it would say first
    head.bias.data[eos] = data.draw(st.sampled_from([-50.0, 0.0, 1.0]), "end")
    rows = data.draw(st.integers(1, 3), "rows")
    lengths = data.draw(st.lists(st.integers(1, 3), min_size=rows, max_size=rows), "lengths")
    source = tg.tensor(np.arange(3 * rows).reshape(3, rows) % SOURCE)
    tokens = answers(model, source, lengths, how, data)
    assert len(tokens) <= LENGTH
    for column in tokens.T.tolist():
        end = column.index(eos) if eos in column else len(column)
        assert not {pad, bos} & {*column[:end]}
        assert set(column[end + 1 :]) <= {pad}
        assert end < len(column) or len(column) == LENGTH


@settings(max_examples=20)
@given(st.data())
def test_a_gpt_stops_after_the_last_symbol(data):
    size = data.draw(st.integers(2, 8), "symbols")
    eos = data.draw(st.integers(0, size - 1), "eos")
    tg.manual_seed(data.draw(st.integers(0, 99), "seed"))
    model = GPT(size, data.draw(st.integers(1, 6), "context"), 1, 2, 4)
    temperature = data.draw(st.sampled_from([0.0, 1.0]), "temperature")
    prompt = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=8), "prompt")
    said = list(model.generate(np.array(prompt), 12, temperature, eos=eos,
                               generator=tg.Generator(0)))  # fmt: skip
    assert eos not in said[:-1]
    assert said[-1] == eos or len(said) == 12
    assert all(0 <= symbol < size for symbol in said)
