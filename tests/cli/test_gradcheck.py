"""``tinygrad-seq gradcheck`` on code of the user's own, the audit and the parity tables."""

import os
import re
import sys

import pytest

import tinygrad_seq as tg
from tinygrad_seq import ops
from tinygrad_seq.cli import gradcheck_tables, main
from tinygrad_seq.cli.targets import shape_of
from tinygrad_seq.errors import ArgumentError

OWN = """
import numpy as np
import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.ops.primitive import Primitive
from tinygrad_seq.ops.sample import Integers, Sample

right = Primitive(lambda x: np.tanh(x), name="right").vjp(x=lambda g, out: g * (1 - out * out))
wrong = Primitive(lambda x: np.tanh(x), name="wrong").vjp(x=lambda g, out: g * (1 - out))
sampled = Primitive(lambda x: np.tanh(x), name="sampled", samples=[Sample((3,)), Sample((2, 2))],
                    ).vjp(x=lambda g, out: g * (1 - out * out))
flat = lambda g, x: g * (1 - np.tanh(x.data if isinstance(x, tg.Tensor) else x) ** 2)
once = Primitive(lambda x: np.tanh(x), name="once").vjp(x=flat)


def several():
    yield right, tg.randn(3)
    yield wrong, tg.randn(2)


def drawn():
    print("drawn", tg.randn(1).item())
    return right, [tg.randn(3)]


def both(x, y):
    return x * y + y


def where(x):
    print("device", x.device)
    return x * 2.0


def fails(x):
    helper(x)


def helper(x):
    raise KeyError("my own words")


def refused(x):
    return x @ np.ones((7, 2))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x):
        return tg.tanh(self.linear(x))


class Needs(Net):
    def __init__(self, size, depth=1):
        super().__init__()


class Broken(Net):
    def __init__(self):
        raise RuntimeError("cannot be made")


class Holder:
    net = Net()
    number = 3


def nothing():
    pass


def unlike(x):
    return x * (1.0 if x.device.type == "cpu" else 1.001)
"""


def at(words):
    """The line of ``own.py`` with these words."""
    (number,) = [n for n, line in enumerate(OWN.splitlines(), 1) if words in line]
    return f"(own.py, line {number})"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with ``own.py``, which is the current one; nothing of it stays imported."""
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    before, path = set(sys.modules), list(sys.path)
    yield tmp_path
    assert sys.path == path
    for name in set(sys.modules) - before:
        if not name.startswith("tinygrad_seq"):
            del sys.modules[name]


@pytest.fixture
def call(capsys):
    """Run ``gradcheck``; → its status and what it printed."""

    def run(*arguments):
        capsys.readouterr()
        status = main(["gradcheck", *arguments])
        seen = capsys.readouterr()
        assert seen.err == ""
        assert max(map(len, seen.out.splitlines())) <= 80
        return status, seen.out

    return run


@pytest.fixture
def mistake(capsys):
    """Run ``gradcheck`` with a mistake; → the one line that it is answered with."""

    def run(*arguments):
        capsys.readouterr()
        assert main(["gradcheck", *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line.removeprefix("error: ")

    return run


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["own:right", "--shape", "3"], 0, "gradcheck: pass (full, float64, 9 derivatives)"),
        (["own.py:right", "--shape", "3"], 0, "pass"),
        (["./own.py:right", "--shape", "2,3", "--fast"], 0, "pass (fast, float64, 2 random"),
        (["own:wrong", "--shape", "3"], 1, "worst: d out["),
        (["own:wrong", "--shape", "3", "--fast", "--seed", "9"], 1, "seed 9, direction"),
        (["own:sampled"], 0, "own:sampled: 2 checked, 0 failed"),
        (["own:several"], 1, "own:several: 2 checked, 1 failed"),
        (["own:drawn"], 0, "drawn"),
        (["own:both", "--shape", "2,3", "--shape", "()"], 0, "d out / d y"),
        (["own:once", "--shape", "3"], 0, "gradcheck: pass"),
        (["own:once", "--shape", "3", "--order", "2"], 1, "gradgradcheck: wrong"),
        (["own:right", "--shape", "3", "--order", "2"], 0, "gradgradcheck: pass"),
        (["own:wrong", "--shape", "3", "--order", "2"], 1, "gradcheck: wrong"),
        (["own:Net", "--shape", "4,3"], 0, "d out / d linear.weight"),
        (["own:Holder.net", "--shape", "4,3"], 0, "d out / d linear.weight"),
        (["own:where", "--shape", "2"], 0, "device cpu"),
        (["own:where", "--shape", "2", "--device", "strict"], 0, "device strict"),
        (["own:Net", "--shape", "4,3", "--device", "strict"], 0, "pass"),
        (["own:drawn", "own:right"], 2, ""),
        (["own:drawn", "own:several"], 1, "1 failed"),
        (["own:right", "--shape", "3", "--parity", "strict"], 0, "parity: pass (cpu and strict"),
        (["own:unlike", "--shape", "3", "--parity", "strict"], 1, "parity: apart (cpu and strict"),
        (["own:right", "--shape", "3", "--audit"], 0, "right by x"),
        (["own:wrong", "--shape", "3", "--audit"], 1, "gradcheck: wrong"),
    ],
)
def test_code_of_the_users_own(here, call, mistake, arguments, status, words):
    if status == 2:
        assert "--shape" in mistake(*arguments)
        return
    found, text = call(*arguments)
    assert found == status
    assert words in text


def test_the_seed_decides_the_numbers(here, call):
    texts = [call("own:drawn", *more)[1] for more in ([], ["--seed", "0"], ["--seed", "5"])]
    assert texts[0] == texts[1] != texts[2]
    shaped = [call("own:wrong", "--shape", "3", "--seed", s)[1] for s in "01"]
    analytic = [re.search("analytic.*", text)[0] for text in shaped]
    assert analytic[0] != analytic[1]
    assert str(tg.default_device()) == "cpu"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["own:rigth"], "there is no 'rigth' in own; did you mean 'right'?"),
        (["own:Holder.nte"], "there is no 'nte' in own; did you mean 'net'?"),
        (["own:Holder.number"], "a function, a module or its class, got Holder.number, which is"),
        (["owm:right"], "expected a module that can be imported from here, or the path of a .py"),
        (["absent.py:right"], "expected a Python file, got absent.py, which does not exist"),
        (["own:"], "expected MODULE:FUNCTION, got 'own:'"),
        ([":right"], "expected MODULE:FUNCTION, got ':right'"),
        (["own:right tanh"], "expected MODULE:FUNCTION"),
        (["own:fails", "--shape", "3"],
         "own:fails raised KeyError: 'my own words' " + at("raise KeyError")),
        (["own:refused", "--shape", "3,4"], "own:refused raised ShapeError: matmul: cannot take"),
        (["own:refused", "--shape", "3,4"], at("np.ones((7, 2))")),
        (["own:Broken", "--shape", "3"], "RuntimeError: cannot be made " + at("cannot be made")),
        (["own:Needs", "--shape", "3"], "made without arguments; else write a function that"),
        (["own:Needs", "--shape", "3"], "got one that needs size"),
        (["own:right"], "expected --shape for each of: x (or a function without parameters"),
        (["own:Net"], "expected --shape for each of: x"),
        (["own:Holder"], "expected objects that can be called, got a Holder"),
        (["own:both", "--shape", "3"], "expected --shape for each of: x, y, got 1"),
        (["own:right", "--shape", "3", "--shape", "4"], "each of: x, got 2"),
        (["own:nothing"], "own:nothing: expected (fn, inputs) to be returned"),
        (["own:right", "--shape", "3.5"], "--shape: expected sizes such as 3,4"),
        (["own:right", "--shape", "-3"], "--shape: expected sizes"),
        (["own:right", "--order", "3", "--shape", "3"], "--order 1 or 2, got 3"),
        (["own:right", "--shape", "3", "--device", "tpu"], "expected one of cpu, cuda, strict"),
        (["own:right", "--shape", "3", "--parity", "tpu"], "expected one of cpu, cuda, strict"),
        (["tanh", "own:right"], "names, or MODULE:FUNCTION, but not both, got tanh, own:right"),
        (["tanh", "--shape", "3"], "it is for MODULE:FUNCTION"),
        (["tanh", "--seed", "3"], "it is for MODULE:FUNCTION and --parity"),
        (["tanh", "--parity", "strict", "--fast"], "no --fast, got it: it does not go with"),
        (["tanh", "--parity", "strict", "--audit"], "no --audit"),
        (["tanh", "--parity", "strict", "--order", "2"], "no --order"),
        (["tanh", "--parity", "strict", "--device", "strict"], "no --device"),
        (["tanh", "--audit", "--order", "2"], "no --order, got it: it does not go with --audit"),
        (["tahn", "--parity", "strict"], "did you mean 'tanh'"),
        (["tahn", "--audit"], "did you mean 'tanh'"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(here, mistake, arguments, words):
    assert words in mistake(*arguments)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import absent_library\n", "ModuleNotFoundError: No module named 'absent_library'"),
        ("x = 1 +\n", "bad.py raised SyntaxError: invalid syntax"),
        (
            "x = 1\ny = x / 0\n",
            "bad.py raised ZeroDivisionError: division by zero (bad.py, line 2)",
        ),
        ("raise SystemExit(3)\n", "bad.py raised SystemExit: 3 (bad.py, line 1)"),
    ],
)
@pytest.mark.parametrize("form", ["bad.py", "bad"])
def test_a_module_that_cannot_be_imported(here, mistake, text, words, form):
    (here / "bad.py").write_text(text)
    line = mistake(f"{form}:f")
    assert words.replace("bad.py raised", f"{form} raised") in line
    assert "bad.py, line" in line


def test_modules_of_a_package_and_beside_a_file(here, call):
    inner = here / "package"
    inner.mkdir()
    (inner / "__init__.py").write_text("")
    (inner / "part.py").write_text("from own import right\n")
    assert call("package.part:right", "--shape", "3")[0] == 0
    (inner / "beside.py").write_text("import sibling\nright = sibling.right\n")
    (inner / "sibling.py").write_text("from own import right\n")
    assert call(os.path.join("package", "beside.py") + ":right", "--shape", "3")[0] == 0
    (here / "random.py").write_text("from own import right\n")  # named as a module that is loaded
    assert call("random.py:right", "--shape", "3")[0] == 0
    assert not hasattr(sys.modules.get("random"), "right")


def test_parity_of_ops_and_layers(call):
    status, text = call("tanh", "softmax", "nn.Linear", "equal", "--parity", "strict")
    assert status == 0
    rows = {line.split()[0]: line.split() for line in text.splitlines()}
    assert rows["tanh"][4:] == ["0", "pass"]
    assert rows["nn.Linear"][1] == "layer"
    assert rows["equal"][1:] == ["op", "no", "gradient"]
    assert "elements by error" in text
    assert text.endswith("3 checked, 0 failed\n")


def test_parity_that_fails(call, monkeypatch):
    from tinygrad_seq.ops.primitive import Primitive
    from tinygrad_seq.ops.sample import Sample

    unlike = lambda x: x * (1.0 if hasattr(x, "flags") and not hasattr(x, "get") else 1.01)
    op = Primitive(unlike, name="unlike", samples=[Sample((3,))]).vjp(x=lambda g: g)
    monkeypatch.setitem(ops.registry, "unlike", op)
    status, text = call("tanh", "unlike", "--parity", "strict")
    assert status == 1
    assert "unlike((3,)): apart" in text
    assert text.endswith("2 checked, 1 failed: unlike\n")


def test_audit_of_ops(call):
    status, text = call("tanh", "mul", "--audit", "--fast")
    assert status == 0
    assert [line.split()[0] for line in text.splitlines()][:3] == ["name", "tanh", "mul"]
    assert text.splitlines()[-1].endswith(" corruptions, 0 missed")


def test_an_audit_that_misses_something_fails(call, monkeypatch):
    from tinygrad_seq.gradcheck import mutation

    loose = lambda *args, **options: mutation.audit_all(*args, rtol=0.5, atol=0.5, **options)
    monkeypatch.setattr("tinygrad_seq.cli.gradcheck_tables.audit_all", loose)
    status, text = call("tanh", "--audit")
    assert status == 1
    assert "missed:" in text
    assert not text.endswith(" 0 missed\n")


@pytest.mark.parametrize("more", [[], ["--parity", "strict"], ["--audit"]])
def test_without_names_it_is_everything(call, monkeypatch, more):
    few = {name: ops.registry[name] for name in ("tanh", "mul")}
    monkeypatch.setattr(ops, "registry", few)
    monkeypatch.setattr("tinygrad_seq.cli.gradcheck_tables.registry", few)
    for table in ("LAYERS", "MODELS"):
        rows = [row for row in getattr(gradcheck_tables, table) if row[0] == "nn.Linear"]
        monkeypatch.setattr(gradcheck_tables, table, rows)
    status, text = call(*more)
    names = [line.split()[0] for line in text.splitlines() if " pass" in line or " op " in line]
    assert status == 0
    assert names == ["tanh", "mul"] + ([] if more == ["--audit"] else ["nn.Linear"])


def test_fast_goes_for_ops_too(call, monkeypatch):
    seen = []
    real = ops.registry["tanh"]
    assert call("tanh", "--fast")[0] == 0
    from tinygrad_seq.gradcheck import suite

    check = suite.check_op
    monkeypatch.setattr(suite, "check_op", lambda *a, **k: seen.append(a) or check(*a, **k))
    call(real.name, "--fast", "--order", "2")
    assert seen == [("tanh", "cpu", 2, True)]


@pytest.mark.parametrize(
    ("text", "shape"),
    [("3", (3,)), ("3,4", (3, 4)), (" 3 , 4 ", (3, 4)), ("(3,)", (3,)), ("()", ()), ("0", (0,))],
)
def test_shapes(text, shape):
    assert shape_of(text) == shape


@pytest.mark.parametrize("text", ["", ",", "3;4", "a", "-1", "3x4", "3 4", "³"])
def test_what_is_no_shape(text):
    with pytest.raises(ArgumentError, match="--shape: expected sizes such as 3,4"):
        shape_of(text)


def test_help_says_how_inputs_come(call):
    status, text = call("--help")
    assert status == 0
    for words in ("MODULE:FUNCTION", "--shape", "returns (fn, inputs), or yields several",
                  "--seed", "--audit", "--parity", "softclip"):  # fmt: skip
        assert words in text
