"""The commands at work: what they print, where, and with which exit status."""

import io
import json
import math
import os
import subprocess
import sys
from dataclasses import fields

import pytest

import tinygrad_seq as tg
from tests.support import tasks
from tinygrad_seq import models, nn, ops
from tinygrad_seq.cli import main
from tinygrad_seq.cli.layers import LAYERS
from tinygrad_seq.cli.models import MODELS
from tinygrad_seq.ops import registry
from tinygrad_seq.train import TASKS
from tinygrad_seq.train.log import read_log

TINY = ["--embedding", "4", "--hidden", "24", "--batch", "4", "--bptt", "8", "--steps", "60",
        "--look-every", "30", "--lr", "0.02"]  # fmt: skip
TEXT = "she sells sea shells by the sea shore.\n" * 30
COMMANDS = ("train", "sample", "translate", "attend", "color", "gradcheck", "ops", "info")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run on a text that repeats itself."""
    place = tmp_path_factory.mktemp("commands")
    (place / "text.txt").write_text(TEXT)
    arguments = ["train", "--text", str(place / "text.txt"), "--out", str(place / "run"), *TINY]
    assert main(arguments) == 0
    return place


@pytest.fixture
def call(capsys):
    """Run a command that succeeds; → what it printed."""

    def run(*arguments, status=0):
        capsys.readouterr()
        assert main(list(arguments)) == status
        seen = capsys.readouterr()
        assert seen.err == ""
        assert "\x1b" not in seen.out  # no control codes where there is no terminal
        assert max(map(len, seen.out.split("\n"))) <= 80
        return seen.out

    return run


@pytest.fixture
def outside(environment):
    """Run the command line in a process of its own."""

    def run(*arguments, cwd=None, **variables):
        command = [sys.executable, "-m", "tinygrad_seq", *arguments]
        env = {**environment, **variables}
        return subprocess.run(command, capture_output=True, timeout=120, cwd=cwd, env=env)

    return run


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(call, arguments):
    text = call(*arguments)
    for name in COMMANDS:
        assert f"\n  {name} " in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(call, command):
    assert f"Usage: tinygrad-seq {command}" in call(command, "--help")


@pytest.mark.parametrize("task", TASKS)
def test_train_lists_the_tasks_and_every_task_has_help(call, task):
    assert f"\n  {task} " in call("train", "--help")
    text = call("train", task, "--help")
    assert f"Usage: tinygrad-seq train {task}" in text
    # Where the default is None it depends on the others, and the help says what it is.
    for name, value in {f.name: f.default for f in fields(TASKS[task].Config)}.items():
        assert f"\n  --{name.replace('_', '-')} " in text, name
        flag = f"{'' if value else 'no-'}{name.replace('_', '-')}"
        shown = flag if isinstance(value, bool) else value
        assert value is None or f"[default:{shown}]" in "".join(text.split()), name


def test_version(call):
    assert call("--version") == f"tinygrad-seq {tg.__version__}\n"


def test_training_prints_the_whole_story(call, folder, monkeypatch):
    monkeypatch.chdir(folder)
    text = call("train", "--text", "text.txt", *TINY)
    for words in ("text.txt: 1,053 + 117 characters", "lstm with 24 units", "step 0: validation",
                  "step 30: validation", "nats per character", "bits per character", "  | ",
                  "nats", "bits/char", "tok/s", "|g|", "clipped", "left", "trigram add-0.1",
                  "bigram add-1", "unigram add-1", "uniform",
                  "in runs/char-lm: checkpoint.safetensors, log.jsonl"):  # fmt: skip
        assert words in text, words
    again = call("train", "--text", "text.txt", *TINY)
    assert "in runs/char-lm-2:" in again


def test_the_results_are_sorted_and_come_from_the_log(call, folder):
    text = call("train", "--resume", str(folder / "run"))  # finished: the end is shown again
    end = read_log(folder / "run" / "log.jsonl")[-1]
    assert f"{end['loss']:.3f}" in text
    rows = text.split("on the last 117 characters\n")[1].split("\n\n")[0].splitlines()[1:]
    values = [float(row.split()[-2]) for row in rows]
    assert values == sorted(values)
    assert len(values) == 5
    assert values[-1] == pytest.approx(math.log(13), abs=1e-3)


def options(task):
    """The tiny size of a task as command-line options."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in tasks.TINY[task].items()]


@pytest.fixture(scope="module")
def translators(tmp_path_factory):
    """Folders of runs on sums of two digits, with attention and without."""
    place = tmp_path_factory.mktemp("translators")
    with pytest.MonkeyPatch.context() as monkeypatch:
        tasks.use(monkeypatch)
        for name in ("none", "additive"):
            asked = ["--attention", name, "--out", str(place / name), "--hidden=16"]
            assert main(["train", "seq2seq", *options("seq2seq"), *asked]) == 0
    return place


@pytest.mark.parametrize("task", sorted(set(TASKS) - {"char-lm", "gpt"}))
def test_every_task_tells_its_story(call, task, tmp_path, monkeypatch):
    tasks.use(monkeypatch)
    monkeypatch.chdir(tmp_path)
    text = call("train", task, *options(task))
    end = read_log(tmp_path / "runs" / task / "log.jsonl")[-1]
    words = ["step 0: validation", "step 40: validation", "|g|", "clipped", "left", end["model"],
             f"on {end['held_out']}", *end["rivals"], f"in runs/{task}: checkpoint.safetensors",
             *(measure.words for measure in TASKS[task].measures)]  # fmt: skip
    for word in words:
        assert word in text, word
    trial = f"try: tinygrad-seq {TASKS[task].trial.format(f'runs/{task}')}"
    assert text.endswith(f"{trial}\n" if TASKS[task].trial else "curves.png\n")
    assert f"runs/{task}-2" in call("train", task, *options(task))


@pytest.mark.parametrize("asked", [[], ["music"]])
def test_resume_goes_on_with_the_task_that_the_folder_holds(call, asked, tmp_path, monkeypatch):
    tasks.use(monkeypatch)
    monkeypatch.chdir(tmp_path)
    first = call("train", "music", *options("music"))
    checkpoint = (tmp_path / "runs/music/checkpoint.safetensors").read_bytes()
    again = call("train", *asked, "--resume", "runs/music")  # finished: the end is shown again
    assert again.split("\n\non the test set")[1] == first.split("\n\non the test set")[1]
    assert ", from step 43" in again
    assert (tmp_path / "runs/music/checkpoint.safetensors").read_bytes() == checkpoint


def test_best_comes_first_whatever_best_means(call, tmp_path, monkeypatch):
    tasks.use(monkeypatch)
    text = call("train", "digits", *options("digits"), "--out", str(tmp_path / "run"))
    rows = text.split("accuracy  nats per image\n")[1].split("\n\n")[0].splitlines()
    shares = [float(row.split("%")[0].split()[-1]) for row in rows]
    assert shares == sorted(shares, reverse=True)


def test_a_picture_is_drawn_where_matplotlib_is(call, folder, monkeypatch):
    pytest.importorskip("matplotlib")
    (folder / "run" / "curves.png").unlink(missing_ok=True)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    text = call("train", "--resume", str(folder / "run"))
    assert "no picture: plots need matplotlib: pip install 'tinygrad-seq[plot]'" in text
    monkeypatch.undo()
    assert "curves.png" in call("train", "--resume", str(folder / "run"))
    assert (folder / "run" / "curves.png").exists()


def test_every_line_of_the_log_is_json(folder):
    lines = (folder / "run" / "log.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[0])["versions"]["tinygrad_seq"] == tg.__version__
    assert all(json.loads(line)["event"] for line in lines)


def test_sample_goes_on_from_the_prompt(call, folder):
    run = str(folder / "run")
    text = call("sample", run, "--prompt", "she sells ", "--length", "40", "--seed", "3")
    assert text.startswith("she sells ")
    assert text == call("sample", run, "--prompt", "she sells ", "--length", "40", "--seed", "3")
    assert text != call("sample", run, "--prompt", "she sells ", "--length", "40", "--seed", "4")
    greedy = ["sample", run, "--prompt", "she ", "--length", "10", "--temperature", "0"]
    assert call(*greedy, "--seed", "1") == call(*greedy, "--seed", "2")
    assert call("sample", run, "--prompt", "she", "--length", "0") == "she\n"


def test_sample_draws_from_the_likeliest_only(call, folder):
    asked = ["sample", str(folder / "run"), "--prompt", "she ", "--length", "12"]
    best = call(*asked, "--temperature", "0")
    assert call(*asked, "--top-k", "1", "--seed", "5") == best
    assert call(*asked, "--top-p", "1e-9", "--seed", "6") == best
    assert call(*asked, "--temperature", "9", "--seed", "5") != best


def test_a_gpt_is_trained_and_sampled_from(call, folder, tmp_path, monkeypatch):
    tasks.use(monkeypatch)
    monkeypatch.chdir(tmp_path)
    run = "runs/gpt"
    text = call("train", "gpt", *options("gpt"), f"--text={folder / 'text.txt'}")
    for words in ("GPT, 2 layers of 2 heads, width 8", "4 x 7 characters", "trigram add-0.1",
                  f"try: tinygrad-seq sample {run}"):  # fmt: skip
        assert words in text, words
    asked = ["sample", run, "--prompt", "she sells sea ", "--length", "20"]
    assert call(*asked).startswith("she sells sea ")
    assert call(*asked) == call(*asked) != call(*asked, "--seed", "7")
    assert call(*asked, "--top-k", "1") == call(*asked, "--temperature", "0")


@pytest.mark.parametrize("how", [[], ["--beam", "3"], ["--device", "strict"]])
def test_translate_says_a_line_for_each_text(call, translators, monkeypatch, how):
    run = str(translators / "additive")
    said = call("translate", run, "1+2", "", "9+9", *how)
    assert said.count("\n") == 3
    assert said.split("\n")[1] == ""
    assert set(said) <= set("0123456789\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("1+2\r\n\n9+9\n"))
    assert call("translate", run, *how) == said


def test_nothing_to_translate(call, translators, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert call("translate", str(translators / "none")) == ""


def test_attend_draws_with_blocks_or_into_a_picture(call, translators, tmp_path, monkeypatch):
    run = str(translators / "additive")
    texts = [f"4+{b}" for b in range(10)]
    answers = call("translate", run, *texts).splitlines()
    text, said = next((text, said) for text, said in zip(texts, answers, strict=True) if said)
    above, *rows = call("attend", run, text).splitlines()
    assert above == f"  {text}"
    assert "".join(row[0] for row in rows) == said
    assert set("".join(row[1:] for row in rows)) <= set(" ░▒▓█")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    picture = tmp_path / "map.png"
    assert call("attend", run, text, "--out", picture.name).startswith(f"{said}: ")
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def attentive(tmp_path_factory):
    """Folders of runs of Transformers that translate, write and see."""
    place = tmp_path_factory.mktemp("attentive")
    (place / "text.txt").write_text(TEXT)
    asked = {"translate-dates": ["--model=transformer", "--heads=2", "--layers=2", "--hidden=8"],
             "gpt": [f"--text={place / 'text.txt'}"], "vit": []}  # fmt: skip
    with pytest.MonkeyPatch.context() as monkeypatch:
        tasks.use(monkeypatch)
        for name, more in asked.items():
            tiny = [word for word in options(name) if not word.startswith("--embedding")]
            assert main(["train", name, *tiny, *more, "--out", str(place / name)]) == 0
    return place


def test_a_transformer_translates_and_its_maps_are_drawn(call, attentive):
    run = str(attentive / "translate-dates")
    texts = [f"{day} may" for day in range(10, 20)]
    answers = call("translate", run, *texts).splitlines()
    assert call("translate", run, *texts, "--device", "strict").splitlines() == answers
    assert set("".join(call("translate", run, *texts, "--beam", "3"))) <= set("0123456789-\n")
    text, said = next((text, said) for text, said in zip(texts, answers, strict=True) if said)
    drawn = {}
    for which in ((), ("--layer", "1"), ("--layer", "2"), ("--layer", "2", "--head", "1")):
        drawn[which] = call("attend", run, text, *which)
        above, *rows = drawn[which].splitlines()
        assert above == f"  {text.replace(' ', '␣')}"
        assert "".join(row[0] for row in rows) == said
    assert call("attend", run, text, "--device", "strict") == drawn[()]
    assert len(set(drawn.values())) > 1


def test_a_gpt_looks_back_in_a_text(call, attentive, tmp_path, monkeypatch):
    run, text = str(attentive / "gpt"), "she sel"
    above, *rows = call("attend", run, text).splitlines()
    assert above == "  she␣sel"
    assert "".join(row[0] for row in rows) == "she␣sel"
    for place, row in enumerate(rows):
        assert set(row[1:]) <= set(" ░▒▓█")
        assert len(row) <= place + 3  # nothing of what is to come
        assert "█" in row  # the darkest in each row is what it looked at most
    assert rows[0] == "s █"  # there is but one to look at
    found = [call("attend", run, text, "--layer", layer, "--head", head).count("█")
             for layer in "12" for head in "12"]  # fmt: skip
    assert min(found) >= 1
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    picture = tmp_path / "map.svg"
    assert call("attend", run, text, "--out", picture.name) == f"{text}: map.svg\n"
    assert all(f"<!-- {words} -->" in picture.read_text() for words in ("after", "looked at"))


def test_a_digit_and_what_was_looked_at_in_it(call, attentive, tmp_path, monkeypatch):
    tasks.use(monkeypatch)
    run = str(attentive / "vit")
    _, labels = tasks.little_mnist(train=False)
    first, *rows = call("attend", run).splitlines()
    assert first.startswith(f"test image 0: a {labels[0]}, read as ")
    assert len(rows) == 3
    assert call("attend", run, "--image", "0", "--device", "strict").splitlines() == [first, *rows]
    assert call("attend", run, "--image", "4").startswith(f"test image 4: a {labels[4]}, ")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    said = call("attend", run, "--layer", "1", "--head", "2", "--out", "digit.png")
    assert said == f"{first}: digit.png\n"
    picture = tmp_path / "digit.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_gradcheck_passes_and_shows_a_line_for_each(call):
    text = call("gradcheck", "tanh", "matmul", "nn.LSTM", "nn.Linear")
    assert "4 checked, 0 failed" in text
    assert [line.split()[3] for line in text.splitlines()[1:5]] == ["pass"] * 4


def test_gradcheck_covers_every_layer(call):
    containers = {"Module", "Sequential", "ModuleList", "ModuleDict"}
    classes = {n for n, c in vars(nn).items() if isinstance(c, type) and issubclass(c, nn.Module)}
    assert {f"nn.{n}" for n in classes - containers} <= {name for name, _ in LAYERS}
    assert f"{len(LAYERS)} checked, 0 failed" in call("gradcheck", *(name for name, _ in LAYERS))


def test_gradcheck_covers_every_model(call):
    public = [m for m in models.__all__ if m != "arrangements"]
    public += [f"arrangements.{n}" for n, c in vars(models.arrangements).items()
               if isinstance(c, type) and c.__module__ == models.arrangements.__name__]  # fmt: skip
    names = [name for name, _ in MODELS]
    for model in public:
        assert any(name.split()[0] == model for name in names), model
    assert f"{len(MODELS)} checked, 0 failed" in call("gradcheck", *names)


def test_gradcheck_on_the_stand_in_device(call):
    assert "2 checked, 0 failed" in call("gradcheck", "tanh", "nn.LSTM", "--device", "strict")


def test_gradcheck_of_the_second_order(call):
    assert "1 checked, 0 failed" in call("gradcheck", "tanh", "--order", "2")


def test_gradcheck_fails_on_a_wrong_derivative(call, monkeypatch):
    rules = dict(ops.tanh.rules)
    try:
        ops.tanh.vjp(x=lambda g, out: g * (1 - out))
        text = call("gradcheck", "tanh", "exp", status=1)
    finally:
        ops.tanh.vjp(**{name: rule.fn for name, rule in rules.items()})
    assert "2 checked, 1 failed: tanh" in text
    assert "wrong" in text


def test_ops_lists_every_op(call):
    text = call("ops")
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line[:1].isalpha()}
    assert set(registry) <= set(rows)
    assert rows["tanh"] == ["np.tanh", "any"]
    assert rows["argmax"] == ["np.argmax", "-"]
    assert "gradient for x, h0, c0, w_ih, w_hh, b_ih, b_hh" in text
    assert max(map(len, text.splitlines())) <= 80
    assert rows["lstm"][-1] == "any*"
    assert "Hyperbolic tangent" in text


def test_info_tells_what_there_is(call, monkeypatch, tmp_path):
    monkeypatch.setenv("TINYGRAD_SEQ_DATA", str(tmp_path / "gone"))
    text = call("info")
    for words in ("numpy", "BLAS", "threads", "device cpu", "device cuda", "float32", "data folder",
                  "there is no such folder"):  # fmt: skip
        assert words in text.replace("\n                ", " "), words


def test_the_module_can_be_run(outside):
    done = outside("--version")
    assert done.returncode == 0
    assert done.stdout.decode() == f"tinygrad-seq {tg.__version__}\n"


def test_a_mistake_in_a_process_of_its_own(outside, tmp_path):
    done = outside("train", "--text", "missing.txt", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.startswith(b"error: no file 'missing.txt'")
    assert done.stderr.count(b"\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_ascii_terminal_gets_question_marks_not_a_traceback(outside):
    done = outside("ops", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert b"?out/?x" in done.stdout


def test_a_reader_that_leaves_is_no_error(environment):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "tinygrad_seq", "ops"]
    with os.fdopen(write, "wb") as pipe:
        done = subprocess.run(
            command, stdout=pipe, stderr=subprocess.PIPE, timeout=120, env=environment
        )
    assert done.returncode == 1
    assert done.stderr == b""


def test_ctrl_c_anywhere_is_no_traceback(monkeypatch, capsys):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["tinygrad_seq.cli.ops"], "formula", interrupt)
    assert main(["ops"]) == 130
    assert "Traceback" not in capsys.readouterr().err
