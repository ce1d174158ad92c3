"""A user's mistake on the command line: one line of words, exit status 2, never a traceback."""

import shutil
import sys

import pytest

from tests.support import tasks
from tinygrad_seq.backend import as_device
from tinygrad_seq.cli import main
from tinygrad_seq.errors import TinygradSeqError
from tinygrad_seq.nn.serialization import save

TINY = ["--embedding", "3", "--hidden", "5", "--batch", "4", "--bptt", "6", "--steps", "3"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with texts, good and bad, and a finished run."""
    folder = tmp_path_factory.mktemp("mistakes")
    files = {
        "good.txt": b"she sells sea shells by the sea shore. " * 12,
        "empty.txt": b"",
        "binary.txt": b"\x7fELF\x00\x01\x02",
        "latin1.txt": "caf\xe9 ".encode("latin-1") * 200,
        "short.txt": b"too short for this",
        "window.txt": b"too short for a window " * 10,
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    text = str(folder / "good.txt")
    assert main(["train", "--text", text, "--out", str(folder / "run"), *TINY]) == 0
    sums = ["train", "adding", "--hidden", "3", "--batch", "2", "--length", "4", "--steps", "2"]
    assert main([*sums, "--out", str(folder / "sums")]) == 0
    with pytest.MonkeyPatch.context() as monkeypatch:
        tasks.use(monkeypatch)
        pairs = ["train", "seq2seq", "--hidden", "4", "--batch", "9", "--steps", "2"]
        assert main([*pairs, "--out", str(folder / "pairs")]) == 0
        assert main([*pairs, "--attention=dot", "--out", str(folder / "attentive")]) == 0
        whole = ["--model=transformer", "--layers=2", "--out", str(folder / "transformer")]
        assert main([*pairs, *whole]) == 0
        small = ["--layers=1", "--heads=2", "--width=4", "--batch=3", "--steps=2"]
        gpt = ["train", "gpt", "--text", text, "--context=4", "--out", str(folder / "gpt")]
        assert main([*gpt, *small]) == 0
        vit = ["train", "vit", "--patch=3", "--out", str(folder / "vit")]
        assert main([*vit, *small]) == 0
    (folder / "hollow").mkdir()
    (folder / "corrupt").mkdir()
    whole = (folder / "run" / "checkpoint.safetensors").read_bytes()
    (folder / "corrupt" / "checkpoint.safetensors").write_bytes(whole[: len(whole) // 2])
    (folder / "foreign").mkdir()
    save(folder / "foreign" / "checkpoint.safetensors", {"format": "a recipe"})
    shutil.copytree(folder / "run", folder / "logless")
    (folder / "logless" / "log.jsonl").unlink()
    return folder


@pytest.fixture
def mistake(trained, monkeypatch, capsys):
    """Call the command line in that folder; → its one line of complaint."""
    monkeypatch.chdir(trained)
    monkeypatch.delenv("TINYGRAD_SEQ_DATA", raising=False)

    def call(*arguments):
        capsys.readouterr()
        assert main(list(arguments)) == 2
        seen = capsys.readouterr()
        assert seen.out == ""
        assert seen.err.startswith("error: ")
        assert seen.err.count("\n") == 1, seen.err
        return seen.err

    return call


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--text missing.txt", "no file 'missing.txt'"),
        ("--text empty.txt", "empty.txt: the file is empty"),
        ("--text binary.txt", "got a binary file"),
        ("--text latin1.txt", "expected UTF-8 text, got byte 0xe9 at 3"),
        ("--text .", "cannot be read: Is a directory"),
        ("--text short.txt", "too short: its last tenth"),
        ("--text window.txt", "need 2049 characters to train on, got 207"),
        ("--modle rnn", "--modle"),
        ("--model gpt", "model: expected rnn, lstm or gru, got gpt"),
        ("--hidden 0", "hidden: expected a whole number ≥ 1, got 0"),
        ("--hidden many", "--hidden"),
        ("--hidden 2.5", "--hidden"),
        ("--hidden 100000000000 --text good.txt --batch 2 --bptt 4", "not enough memory"),
        ("--embedding -3", "embedding"),
        ("--steps 0", "steps"),
        ("--batch 0", "batch"),
        ("--bptt 0", "bptt"),
        ("--lr -1", "lr: expected a number above 0, got -1"),
        ("--lr nan", "lr: expected a number above 0, got nan"),
        ("--clip -1", "clip: expected a number ≥ 0"),
        ("--seed -1", "seed"),
        ("--checkpoint-every 0", "checkpoint-every"),
        ("--device tpu", "expected one of cpu, cuda, strict, got 'tpu'"),
        ("--device cpu:1", "index below 1"),
        ("--text", "--text"),
        ("surplus", "surplus"),
        ("--layers 0", "layers"),
        ("--dropout 1", "dropout: expected a number from 0 to below 1, got 1.0"),
        ("--bptt 64 --k2 63", "k2: expected a whole number ≥ 64, that of --bptt, got 63"),
        ("digit", "digit"),
        ("digits surplus", "surplus"),
        ("digits --bptt 3", "--bptt"),
        ("digits --batch 0", "batch"),
        ("adding --length 1", "length: expected a whole number ≥ 2, got 1"),
        ("copy --wait 0", "wait: expected a whole number ≥ 1, got 0"),
        ("music --lr nan", "lr: expected a number above 0, got nan"),
        ("gpt --width 6 --heads 4", "width: expected a multiple of 4 heads, got 6"),
        ("gpt --context 0", "context: expected a whole number ≥ 1, got 0"),
        ("gpt --text short.txt", "too short: its last tenth"),
        ("gpt --text good.txt --context 500", "501 characters or more to train on"),
        ("gpt --weight-decay -1", "weight-decay: expected a number ≥ 0, got -1"),
        ("gpt --warmup -1", "warmup: expected a whole number ≥ 0"),
        ("vit --patch 0", "patch: expected a whole number ≥ 1"),
        ("seq2seq --attention some", "attention: expected one of none, additive, dot, general"),
        ("seq2seq --input-feeding", "input-feeding: expected an --attention to feed"),
        ("seq2seq --bidirectional --hidden 5", "hidden: expected an even number for two"),
        (
            "seq2seq --schedule linear",
            "schedule: expected constant, or a --teacher-forcing below 1",
        ),
        ("seq2seq --schedule steep", "schedule: expected one of constant, linear, exponential"),
        ("seq2seq --heads 2", "heads: expected no such option but for --model transformer"),
        (
            "seq2seq --model transformer --heads 3",
            "hidden: expected a multiple of 3 heads, got 128",
        ),
        (
            "seq2seq --model transformer --no-bidirectional",
            "bidirectional: expected no such option",
        ),
        ("seq2seq --model transformer --teacher-forcing 0.5", "1 for a Transformer, which is told"),
        ("seq2seq --model gpt", "model: expected rnn, lstm, gru or transformer, got gpt"),
        ("seq2seq --teacher-forcing 2", "teacher-forcing: expected a number from 0 to 1, got 2"),
        ("translate-dates --embedding 0", "embedding: expected a whole number ≥ 1, got 0"),
        ("translate-dates --resume pairs", "pairs holds a run of seq2seq, not of"),
        ("--resume pairs --no-reverse-source", "--no-reverse-source"),
        ("seq2seq --resume pairs --no-reverse-source", "cannot be changed with --resume"),
        ("--out run --text good.txt --batch 4 --bptt 6", "run holds a run already"),
        ("--out good.txt --text good.txt --batch 4 --bptt 6", "good.txt: no folder can be made"),
        ("--resume nowhere", "nowhere holds no checkpoint"),
        ("--resume hollow", "hollow holds no checkpoint"),
        ("--resume corrupt", "no intact safetensors file"),
        ("--resume foreign", "checkpoint: expected format"),
        ("--resume logless", "log.jsonl: expected the"),
        ("--resume run --lr 0.5", "--lr cannot be changed with --resume"),
        ("--resume run --text short.txt", "--text cannot be changed with --resume"),
        ("--resume run --out other", "--out cannot be changed with --resume"),
        ("--resume run --checkpoint-every 1", "--checkpoint-every cannot be changed"),
        ("char-lm --resume run --lr 0.5", "--lr cannot be changed with --resume"),
        ("digits --resume run", "run holds a run of char-lm, not of digits"),
        ("--resume sums --lr 0.5", "--lr cannot be changed with --resume: sums goes on"),
        ("--resume sums --text good.txt", "--text cannot be changed with --resume"),
        ("adding --resume run", "run holds a run of char-lm, not of adding"),
        ("char-lm --resume sums", "sums holds a run of adding, not of char-lm"),
    ],
)
def test_train(mistake, arguments, words):
    assert words in mistake("train", *arguments.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["translate", "nowhere", "1+1"], "nowhere holds no checkpoint"),
        (["translate", "corrupt", "1+1"], "no intact safetensors file"),
        (["translate", "run", "1+1"], "translate: expected a run of translate-dates or seq2seq,"),
        (["translate", "pairs", "1+1", "1+x"], "the character 'x' at position 2 is not among"),
        (["translate", "pairs", "1+1", "--beam", "0"], "beams ≥ 1"),
        (["translate", "pairs", "1+1", "--beam", "two"], "--beam"),
        (["translate", "pairs", "1+1", "--device", "tpu"], "expected one of cpu, cuda, strict"),
        (["attend", "hollow", "1+1"], "hollow holds no checkpoint"),
        (
            ["attend", "sums", "1+1"],
            "attend: expected a run of translate-dates, seq2seq, gpt or vit",
        ),
        (["attend", "run", "she"], "which have attention, got one of char-lm"),
        (["attend", "pairs", "1+1"], "attend: expected a model with attention"),
        (["attend", "attentive", "1-1"], "the character '-' at position 1"),
        (["attend", "attentive", ""], "a text of one character or more"),
        (["attend", "attentive"], "attend: expected a TEXT, got none"),
        (
            ["attend", "attentive", "1+1", "--image", "3"],
            "no --image for seq2seq but a TEXT, got 3",
        ),
        (
            ["attend", "attentive", "1+1", "--layer", "1"],
            "a Transformer to choose a layer or a head",
        ),
        (["attend", "attentive", "1+1", "--head", "x"], "--head"),
        (["attend", "transformer", "1+1", "--layer", "3"], "a layer from 1 to 2, got 3"),
        (["attend", "transformer", "1+1", "--layer", "0"], "a layer from 1 to 2, got 0"),
        (["attend", "transformer", "1+1", "--head", "5"], "a head from 1 to 4, got 5"),
        (["attend", "transformer", ""], "a text of one character or more"),
        (["attend", "gpt"], "attend: expected a TEXT, got none"),
        (["attend", "gpt", ""], "attend: expected a text of 1 to 4 characters, got one of 0"),
        (["attend", "gpt", "she s"], "attend: expected a text of 1 to 4 characters, got one of 5"),
        (["attend", "gpt", "sh?"], "the character '?' at position 2"),
        (["attend", "gpt", "she", "--layer", "2"], "a layer from 1 to 1, got 2"),
        (["attend", "gpt", "she", "--image", "0"], "no --image for gpt but a TEXT, got 0"),
        (["attend", "vit", "3"], "attend: expected no TEXT for vit but --image N, got '3'"),
        (["attend", "vit", "--image", "30"], "image: expected a number from 0 to 29, got 30"),
        (["attend", "vit", "--image", "-1"], "image: expected a number from 0 to 29, got -1"),
        (["attend", "vit", "--head", "3"], "a head from 1 to 2, got 3"),
        (["attend", "attentive", "1+1", "--out", "map.gif"], "ends in .png, .svg, .pdf"),
        (["attend", "attentive", "1+1", "--out", "no/map.png"], "No such file or directory"),
    ],
)
def test_translate_and_attend(mistake, arguments, words, monkeypatch):
    tasks.use(monkeypatch)
    assert words in mistake(*arguments)


@pytest.mark.parametrize("task", ["digits", "music", "vit", "translate-dates", "seq2seq"])
def test_data_that_is_nowhere(mistake, trained, task, monkeypatch):
    monkeypatch.setenv("TINYGRAD_SEQ_DATA", str(trained))
    monkeypatch.setitem(sys.modules, "pooch", None)
    line = mistake("train", task)
    assert "is not in" in line
    assert "install tinygrad-seq[data]" in line
    assert not (trained / "runs").exists()


def test_no_gpu(mistake):
    try:
        as_device("cuda")
    except TinygradSeqError:
        assert "device 'cuda'" in mistake("train", "--device", "cuda")
    else:
        pytest.skip("there is a GPU")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere holds no checkpoint"),
        (["corrupt"], "no intact safetensors file"),
        (["foreign"], "checkpoint: expected format"),
        (["run", "--prompt", "sea Ω"], "the character 'Ω' at position 4"),
        (["run", "--prompt", ""], "a prompt of one token or more"),
        (["run", "--temperature", "-1"], "temperature ≥ 0"),
        (["run", "--temperature", "hot"], "--temperature"),
        (["run", "--length", "-5"], "length ≥ 0"),
        (["run", "--seed", "-5"], "an integer ≥ 0"),
        (["sums"], "sample: expected a run of char-lm or gpt, whose model writes text, got one"),
        (["run", "--top-k", "0"], "top_k ≥ 1"),
        (["run", "--top-p", "1.5"], "top_p in (0, 1]"),
        (["pairs"], "got one of seq2seq"),
        (["run", "--device", "tpu"], "expected one of cpu, cuda, strict, got 'tpu'"),
    ],
)
def test_sample(mistake, arguments, words):
    assert words in mistake("sample", *arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gradcheck", "tanhh"], "tanh"),
        (["gradcheck", "tanh", "--device", "tpu"], "expected one of cpu, cuda, strict, got 'tpu'"),
        (["trian"], "trian"),
        (["--nonsense"], "--nonsense"),
        (["ops", "surplus"], "surplus"),
        (["info", "--loud"], "--loud"),
    ],
)
def test_other_commands(mistake, arguments, words):
    assert words in mistake(*arguments)


def test_a_changed_text_is_noticed(mistake, trained):
    shutil.copytree(trained / "run", trained / "moved")
    good = trained / "good.txt"
    before = good.read_bytes()
    good.write_bytes(before.replace(b"shore", b"coast"))
    try:
        assert "the text has changed" in mistake("train", "--resume", "moved")
    finally:
        good.write_bytes(before)


def test_a_folder_that_may_not_be_written(mistake, trained, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied", "locked")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    line = mistake("train", "--text", "good.txt", "--out", "locked/run", *TINY)
    assert "locked/run: no folder can be made: Permission denied" in line


def test_a_mistake_of_the_program_is_not_hidden(monkeypatch):
    monkeypatch.setattr(sys.modules["tinygrad_seq.cli.ops"], "formula", lambda op: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["ops"])
