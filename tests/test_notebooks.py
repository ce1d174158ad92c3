"""The notebooks as they are committed: whole, executed, clean, and no larger than need be.

Whether they still run is what ``tests/tools/run_notebooks.py`` finds out.
"""

import ast
import base64
import json
import re
import struct
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tinygrad_seq.bench import Timing, read_results, write_results

nbformat = pytest.importorskip("nbformat", reason="nbclient is not installed")

FOLDER = Path(__file__).parents[1] / "notebooks"
RUNNER = Path(__file__).parent / "tools" / "run_notebooks.py"
NAMES = (
    "01_autograd",
    "02_bptt_by_hand",
    "03_vanishing_exploding",
    "04_truncation",
    "05_gates",
    "06_gradient_checking",
    "07_seq2seq_attention",
    "08_transformer",
    "09_cpu_gpu",
)
LARGEST = 500_000  # bytes of a notebook
FEWEST_ASSERTS = 5
#: an absolute path or a host is where it was made, not what it shows
ELSEWHERE = re.compile(r"(?<![\w.)])/(?:home|root|tmp|work|usr|opt|var|Users|private)/|[A-Z]:\\\\"
                       r"|localhost|https?://(?:\d+\.){3}\d+")  # fmt: skip


def load(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code_of(notebook):
    """The code cells that have something in them."""
    return [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]


def text_of(output):
    """Whatever of an output can be read."""
    data = output.get("data", {})
    return output.get("text", "") + "".join(v for k, v in data.items() if k.startswith("text/"))


def complaints(notebook):
    """Everything that a committed notebook must not be, in words; [] for a good one."""
    cells = code_of(notebook)
    found = []
    if [c.execution_count for c in cells] != list(range(1, len(cells) + 1)):
        found.append("not every code cell was executed, once, in order")
    outputs = [o for c in cells for o in c.outputs]
    if any(o.output_type == "error" for o in outputs):
        found.append("an error among the outputs")
    if any(o.get("name") == "stderr" for o in outputs):
        found.append("a warning among the outputs")
    if any(c.metadata for c in notebook.cells):
        found.append("metadata, such as the time of execution, in a cell")
    read = "\n".join([*(c.source for c in notebook.cells), *map(text_of, outputs)])
    found += [f"{match[0]!r} is a place" for match in ELSEWHERE.finditer(read)]
    asserts = sum(count_asserts(c.source) for c in cells)
    if asserts < FEWEST_ASSERTS:
        found.append(f"{asserts} asserts")
    pictures = [o.data["image/png"] for o in outputs if "image/png" in o.get("data", {})]
    if not any(has_size(picture) for picture in pictures):
        found.append("no picture")
    return found


def count_asserts(source):
    return sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(source)))


def has_size(picture):
    """Whether it is a PNG larger than a stamp."""
    png = base64.b64decode(picture)
    return png[:8] == b"\x89PNG\r\n\x1a\n" and min(struct.unpack(">II", png[16:24])) >= 100


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_fit_to_be_read(name):
    notebook = load(name)
    nbformat.validate(notebook)
    assert complaints(notebook) == []
    assert notebook.metadata.kernelspec.name == "python3"
    assert (FOLDER / f"{name}.ipynb").stat().st_size <= LARGEST
    assert notebook.cells[0].source.startswith("# ")


def test_no_other_data_lies_beside_them():
    files = [p for p in FOLDER.rglob("*") if p.is_file() and ".ipynb_checkpoints" not in p.parts]
    assert {p.stem for p in files if p.suffix == ".ipynb"} == set(NAMES)
    assert sum(p.stat().st_size for p in files if p.suffix != ".ipynb") <= LARGEST


def spoil_order(cells):
    cells[1].execution_count = None


def spoil_output(cells):
    cells[0].outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]


def spoil_stream(cells):
    cells[0].outputs = [nbformat.v4.new_output("stream", name="stderr", text="UserWarning")]


def spoil_path(cells):
    cells[0].outputs = [nbformat.v4.new_output("stream", text="see '/home/me/x'")]


def spoil_metadata(cells):
    cells[0].metadata["execution"] = {"iopub.execute_input": "2000-01-01T00:00:00Z"}


def spoil_asserts(cells):
    for cell in cells:
        cell.source = cell.source.replace("assert ", "_ = ")


def spoil_pictures(cells):
    for cell in cells:
        cell.outputs = [o for o in cell.outputs if "image/png" not in o.get("data", {})]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_order, "in order"),
        (spoil_output, "an error"),
        (spoil_stream, "a warning"),
        (spoil_path, "'/home/' is a place"),
        (spoil_metadata, "the time of execution"),
        (spoil_asserts, "0 asserts"),
        (spoil_pictures, "no picture"),
    ],
)
def test_a_spoiled_notebook_is_noticed(spoil, said):
    notebook = load("03_vanishing_exploding")
    spoil(code_of(notebook))
    assert [c for c in complaints(notebook) if said in c], complaints(notebook)


@pytest.fixture
def gpu_cells(monkeypatch):
    """What the cells about the GPU define, run by themselves; pictures are kept, not shown."""
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: None)
    plt.close("all")
    cells = {cell.id: cell.source for cell in load("09_cpu_gpu").cells}
    namespace: dict[str, object] = {}
    with plt.rc_context():
        for name in ("setup", "work", "kinds", "gpu"):
            exec(compile(cells[name], name, "exec"), namespace)
        yield namespace
    plt.close("all")


#: op → operations and bytes, as made up as the times
COUNTS = {"add": (1e3, 1e4), "matmul": (1.5e9, 1.5e7), "embedding": (1, 1)}


def timed(seconds):
    return asdict(Timing(seconds, seconds, seconds, seconds, 1, 1))


def made_up_rows():
    """No measurement: a GPU that needs 20 µs for anything and is a hundred times faster."""
    forward = {"add": 4e-6, "tanh": 4e-4, "lstm": 2e-2, "matmul": 3e-2}
    ops = [{"what": "forward", "name": name, "cpu": timed(t), "device": timed(2e-5 + t / 100)}
           for name, t in forward.items()]  # fmt: skip
    moves = [{"what": "transfer", "name": way, "bytes": size, "device": timed(1e-5 + size / 2e10)}
             for way in ("to device", "to host") for size in (4096, 1 << 20)]  # fmt: skip
    return [*moves, *ops]


def write_gpu(folder, dry_run=False, rows=None):
    about = {"nvidia": ["A made-up GPU"], "time": ""}
    rows = made_up_rows() if rows is None else rows
    write_results(folder / "gpu.json", "gpu", about, rows, device="cuda:0", dry_run=dry_run)


def test_gpu_results_are_drawn_where_there_are_any(tmp_path, gpu_cells):
    import matplotlib.pyplot as plt

    write_gpu(tmp_path)
    (tmp_path / "other.json").write_text(json.dumps({"schema": "another"}))
    [record] = gpu_cells["gpu_results"](tmp_path)
    assert record == read_results(tmp_path / "gpu.json")
    assert (
        gpu_cells["draw_gpu"](record, COUNTS) == 4e-4
    )  # tanh is the cheapest that the GPU does faster
    [figure] = map(plt.figure, plt.get_fignums())
    transfers, ops, roofs = figure.axes
    assert figure.get_suptitle() == "A made-up GPU"
    assert [len(line.get_xdata()) for line in transfers.lines] == [2, 2]
    assert [len(line.get_xdata()) for line in ops.lines[:4]] == [4, 2, 1, 1]
    cpu, roof = roofs.lines[:2]
    assert list(zip(cpu.get_xdata(), cpu.get_ydata(), strict=True)) == [(0.1, 0.25), (100, 50)]
    assert max(roof.get_ydata()) == 50  # matmul's speed; add's slope
    assert max(roof.get_ydata() / roof.get_xdata()) == pytest.approx(2.5)
    figure.canvas.draw()


def test_dry_runs_and_other_files_are_no_gpu_results(tmp_path, gpu_cells):
    assert gpu_cells["gpu_results"](tmp_path) == []
    write_gpu(tmp_path, dry_run=True)
    assert gpu_cells["gpu_results"](tmp_path) == []


@pytest.mark.parametrize(
    ("pairs", "even"),
    [
        ([], None),
        ([(1e-6, 2e-5)], None),
        ([(1e-6, 2e-5), (1e-3, 3e-5)], 1e-3),
        ([(1e-6, 2e-5), (1e-4, 3e-5), (1e-3, 2e-3)], None),
        ([(1e-4, 1e-5), (1e-3, 1e-5)], 1e-4),
    ],
)
def test_the_crossover_is_where_the_gpu_has_won_for_good(gpu_cells, pairs, even):
    assert gpu_cells["crossover"](pairs) == even


def test_a_partial_gpu_record_is_drawn_too(tmp_path, gpu_cells):
    write_gpu(tmp_path, rows=[])
    [record] = gpu_cells["gpu_results"](tmp_path)
    assert gpu_cells["draw_gpu"](record, COUNTS) is None


@pytest.mark.parametrize(
    ("cell", "said"), [("assert 0", "AssertionError"), ("import os; os._exit(3)", "Kernel died")]
)
def test_the_runner_names_notebook_and_cell(tmp_path, cell, said):
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    new = nbformat.v4
    cells = [new.new_markdown_cell("# A"), new.new_code_cell("1"), new.new_code_cell(cell)]
    nbformat.write(new.new_notebook(cells=cells), tmp_path / "wrong.ipynb")
    done = subprocess.run([sys.executable, RUNNER, tmp_path], capture_output=True, text=True)
    assert done.returncode == 1
    assert "wrong.ipynb, cell 2, counted from 0" in done.stderr
    assert said in done.stderr


def test_the_runner_leaves_files_alone_and_draws_inline(tmp_path):
    """Whatever backend the environment asks for."""
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    cell = "import matplotlib as m; assert 'inline' in m.get_backend(), m.get_backend()"
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    nbformat.write(book, tmp_path / "a.ipynb")
    before = (tmp_path / "a.ipynb").read_bytes()
    done = subprocess.run([sys.executable, RUNNER, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ +\d+\.\d s  a\.ipynb$", done.stdout, re.MULTILINE)
    assert (tmp_path / "a.ipynb").read_bytes() == before
