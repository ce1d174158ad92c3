"""The tape as plain records."""

import gc
import weakref

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.errors import ArgumentError, GraphError, ShapeError


def leaf(*shape, dtype=np.float64):
    return tg.randn(*shape, dtype=dtype).requires_grad_()


def wires(g):
    """(op, argument, what it came from) of every input."""
    names = [node.op or node.name for node in g.nodes]
    return [(node.op, i.argument, names[i.node]) for node in g.nodes for i in node.inputs]


def test_ops_shapes_dtypes_and_wires():
    w, x = leaf(3, 2, dtype=np.float32), leaf(4, 3, dtype=np.float32)
    y = tg.tanh(x @ w)
    g = tg.graph((y * y).sum(), {"w": w, "x": x})
    assert [(n.kind, n.op, n.name, n.shapes, n.dtypes) for n in g.nodes] == [
        ("input", "", "w", ((3, 2),), ("float32",)),
        ("input", "", "x", ((4, 3),), ("float32",)),
        ("op", "matmul", "", ((4, 2),), ("float32",)),
        ("op", "tanh", "", ((4, 2),), ("float32",)),
        ("op", "mul", "", ((4, 2),), ("float32",)),
        ("op", "sum", "", ((),), ("float32",)),
    ]
    assert wires(g) == [
        ("matmul", "a", "x"), ("matmul", "b", "w"), ("tanh", "x", "matmul"), ("mul", "a", "tanh"),
        ("mul", "b", "tanh"), ("sum", "x", "mul"),
    ]  # fmt: skip
    assert g.outputs == (5,)
    assert all(node.grad_norm is None for node in g.nodes)


def test_an_op_with_several_outputs_is_one_node():
    layer = nn.LSTM(2, 3, dtype=np.float64)
    output, (_, c) = layer(leaf(4, 2, 2))
    g = tg.graph([output.sum(), c.sum()], layer)
    (lstm,) = [n for n in g.nodes if n.op == "lstm"]
    assert lstm.outputs[:3] == ("output", "h_n", "c_n")
    assert lstm.shapes[:3] == ((4, 2, 3), (2, 3), (2, 3))
    used = {lstm.outputs[i.output] for n in g.nodes for i in n.inputs if g.nodes[i.node] == lstm}
    assert used == {"output", "c_n"}
    assert len(g.outputs) == 2


def test_lists_are_numbered_and_constants_left_out():
    a, b = leaf(2), leaf(2)
    g = tg.graph(tg.concatenate([a, tg.ones(2, dtype=np.float64), b]), {"a": a, "b": b})
    assert wires(g) == [("concatenate", "arrays[0]", "a"), ("concatenate", "arrays[2]", "b")]


def test_names_come_from_modules_mappings_and_inner_tensors():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    x = tg.randn(4, 2)
    hidden = model[0](x)
    loss = model[1](hidden).sum()
    parameters = {name for name, _ in model.named_parameters()}
    assert {n.name for n in tg.graph(loss, model).nodes if n.kind == "parameter"} == parameters
    g = tg.graph(loss, {"net": model, "hidden": hidden})
    assert {n.name for n in g.nodes if n.kind == "parameter"} == {f"net.{n}" for n in parameters}
    assert [n.op for n in g.nodes if n.name == "hidden"] == ["linear"]
    model[0].requires_grad_(False)
    assert "0.weight" not in {n.name for n in tg.graph(model(x).sum(), model).nodes}


def test_gradient_norms_are_those_of_retained_gradients(device):
    w = tg.tensor(np.array([[1.0, -2.0], [0.5, 3.0]]), device=device, requires_grad=True)
    h = tg.tanh(w)
    y = h @ h  # h is used twice
    loss = (y * w).sum()
    g = tg.graph(loss, {"w": w, "h": h, "y": y}, gradients=True)
    assert w.grad is None
    for tensor in (h, y):
        tensor.retain_grad()
    loss.backward()
    norms = {n.name: n.grad_norm for n in g.nodes if n.name}
    for name, tensor in {"w": w, "h": h, "y": y}.items():
        expected = np.linalg.norm(tensor.grad.to("cpu").numpy())
        assert norms[name] == pytest.approx(expected, rel=1e-12), name
    assert g.nodes[-1].grad_norm == 1.0
    assert all(isinstance(n.grad_norm, float) for n in g.nodes)


def test_the_norm_of_an_op_with_several_outputs_is_of_all():
    layer = nn.LSTM(2, 3, dtype=np.float64)
    output, (_, c) = layer(tg.randn(4, 2, 2, dtype=np.float64))
    loss = (output**2).sum() + c.sum()
    g = tg.graph(loss, layer, gradients=True)
    (found,) = [n.grad_norm for n in g.nodes if n.op == "lstm"]
    assert found == pytest.approx(np.sqrt(4 * (output.numpy() ** 2).sum() + c.size))


def test_without_a_pass_of_its_own_it_shows_what_backward_left():
    w = leaf(3)
    h = tg.exp(w)
    h.retain_grad()
    loss = tg.sin(h).sum()
    loss.backward()
    g = tg.graph(loss, {"w": w})  # the graph itself is freed by now
    norms = [n.grad_norm for n in g.nodes]
    expected = [np.linalg.norm(t.grad.numpy()) for t in (w, h)]
    assert norms[:2] == pytest.approx(expected)
    assert norms[2:] == [None, None]


def test_nothing_is_kept_and_nothing_changes():
    w = leaf(3)
    h = tg.exp(w)
    loss = (h * h).sum()
    before = (w._node.extras, h._node.saved, h._node.extras)
    g = tg.graph(loss, {"w": w}, gradients=True)
    assert (w._node.extras, h._node.saved, h._node.extras) == before
    loss.backward()
    assert w.grad is not None
    arrays = [weakref.ref(t.data) for t in (w, h, loss)]
    del w, h, loss, before
    gc.collect()
    assert [ref() for ref in arrays] == [None] * 3
    assert len(g.nodes) == 4


def test_long_chains_need_no_recursion():
    x = leaf(2)
    y = x
    for _ in range(20_000):
        y = y * x
    g = tg.graph(y.sum(), gradients=False)
    assert len(g.nodes) == 20_002


def test_a_leaf_alone():
    x = leaf()
    (node,) = tg.graph(x, {"x": x}, gradients=True).nodes
    assert (node.name, node.grad_norm) == ("x", 1.0)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: tg.graph(tg.ones(2)), GraphError, "one without a history"),
        (lambda x: tg.graph(3.0), GraphError, "got float"),
        (lambda x: tg.graph(x * 2, gradients=True), ShapeError, "scalar"),
        (lambda x: tg.graph(x, {"a": tg.ones(2)}), ArgumentError, "requires grad for 'a'"),
        (lambda x: tg.graph(x, {"a": 3}), ArgumentError, "got int"),
    ],
)
def test_what_cannot_be_read_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call(leaf(3))


def test_a_freed_graph_has_no_more_gradients():
    loss = tg.exp(leaf(3)).sum()
    loss.backward()
    with pytest.raises(GraphError, match="freed"):
        tg.graph(loss, gradients=True)
