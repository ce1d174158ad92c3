"""Module and Parameter: registration, names, state, hooks, copies."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn, optim
from tinygrad_seq.errors import (
    ArgumentError,
    DTypeError,
    GraphError,
    ModuleError,
    ShapeError,
    StateError,
)


class Scale(nn.Module):
    """y = scale·x + shift, and a buffer that counts calls."""

    def __init__(self, n=3, device=None):
        super().__init__()
        self.scale = nn.Parameter(tg.full((n,), 2.0, device=device))
        self.shift = nn.Parameter(tg.zeros(n, device=device))
        self.register_buffer("calls", tg.zeros((), dtype="int64", device=device))
        self.register_buffer("note", tg.ones(2, device=device), persistent=False)

    def forward(self, x):
        return x * self.scale + self.shift


class Pair(nn.Module):
    """Two modules with a shared parameter, and the first one again under another name."""

    def __init__(self, device=None):
        super().__init__()
        self.first = Scale(device=device)
        self.second = Scale(device=device)
        self.second.shift = self.first.shift
        self.again = self.first

    def forward(self, x):
        return self.second(self.first(x))


def names(pairs):
    return [name for name, _ in pairs]


def test_attributes_are_registered_by_what_they_are():
    m = Scale()
    m.plain = tg.ones(3)  # a tensor, but no parameter
    assert names(m.named_parameters()) == ["scale", "shift"]
    assert names(m.named_buffers()) == ["calls", "note"]
    assert isinstance(m.scale, nn.Parameter)
    assert m.scale.requires_grad
    assert m.scale.is_leaf
    del m.scale, m.calls
    assert names(m.named_parameters()) == ["shift"]
    assert names(m.named_buffers()) == ["note"]


def test_what_is_shared_is_given_once():
    m = Pair()
    assert names(m.named_parameters()) == ["first.scale", "first.shift", "second.scale"]
    assert names(m.named_modules()) == ["", "first", "second"]
    assert names(m.named_children()) == ["first", "second"]
    assert len(list(m.parameters())) == 3
    assert len(list(m.buffers())) == 4
    assert names(m.named_parameters(recurse=False)) == []
    assert names(m.named_modules(prefix="net")) == ["net", "net.first", "net.second"]


@pytest.mark.oracle
def test_names_and_repr_equal_pytorchs(torch):
    def build(nn, tensor):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.w = nn.Parameter(tensor)
                self.body = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 1)))
                self.register_buffer("b", tensor)
                self.register_buffer("c", tensor, persistent=False)
                self.tied = self.body
                self.register_parameter("none", None)
                self.items = nn.ModuleList([nn.Linear(1, 1, bias=False)])
                self.w2 = self.w

        return Net()

    ours, theirs = build(nn, tg.ones(2)), build(torch.nn, torch.ones(2))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for method in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        assert names(getattr(ours, method)()) == names(getattr(theirs, method)()), method
    assert repr(ours) == repr(theirs)


def test_state_dict_holds_detached_tensors_that_share_memory():
    m = Pair()
    state = m.state_dict()
    assert list(state) == [f"{a}.{b}" for a in ("first", "second", "again")
                           for b in ("scale", "shift", "calls")]  # fmt: skip
    assert not any(t.requires_grad for t in state.values())
    assert state["first.scale"].data is m.first.scale.data
    # The version is shared too: a change through the state is seen by the tape.
    loss = (m.first.scale * m.first.scale).sum()
    state["first.scale"].fill_(0)
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


def test_load_state_dict_copies_and_converts(device):
    source, target = Scale(), Scale(device=device)
    source.scale.data[...] = [1, 2, 3]
    held = target.scale
    state = {k: v.to(dtype="float64") if v.dtype.kind == "f" else v
             for k, v in source.state_dict().items()}  # fmt: skip
    assert target.load_state_dict(state) == ([], [])
    assert target.scale is held
    assert held.requires_grad
    assert held.dtype == np.float32
    assert held.tolist() == [1, 2, 3]
    source.scale.data[...] = 9
    assert held.tolist() == [1, 2, 3]
    target.load_state_dict({**state, "scale": np.full(3, 4.0)})  # plain arrays are fine
    assert held.tolist() == [4, 4, 4]


def test_a_state_that_does_not_fit_changes_nothing_and_lists_everything():
    m = Pair()
    before = {k: v.numpy().copy() for k, v in m.state_dict().items()}
    state = {k: tg.full(v.shape, 7, dtype=v.dtype) for k, v in m.state_dict().items()}
    del state["again.calls"]
    state["second.scale"] = tg.ones(4)
    state["second.calls"] = tg.ones(())
    state["extra"] = tg.ones(1)
    state["first.shift"] = "no tensor"
    with pytest.raises(StateError) as caught:
        m.load_state_dict(state)
    text = str(caught.value)
    for part in ("load_state_dict: Pair", "missing 'again.calls'", "unexpected 'extra'",
                 "'second.scale' has shape (3,), got (4,)", "'first.shift' is no tensor but str",
                 "'second.calls' has dtype int64, got float32"):  # fmt: skip
        assert part in text
    for name, value in m.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    with pytest.raises(StateError, match="expected a mapping"):
        m.load_state_dict([1])


def test_wrong_shapes_alone_are_a_shape_error():
    with pytest.raises(ShapeError, match=r"'scale' has shape \(3,\), got \(1, 3\)"):
        Scale().load_state_dict({**Scale().state_dict(), "scale": tg.ones(1, 3)})


def test_lenient_loading_reports_what_it_passed_over():
    m = Scale()
    result = m.load_state_dict({"scale": tg.zeros(3), "other": tg.zeros(1)}, strict=False)
    assert result.missing_keys == ["shift", "calls"]
    assert result.unexpected_keys == ["other"]
    assert m.scale.tolist() == [0, 0, 0]
    with pytest.raises(ShapeError):  # a wrong shape is an error even so
        m.load_state_dict({"scale": tg.zeros(2)}, strict=False)


def test_train_and_eval_reach_every_module():
    m = Pair()
    assert m.training
    assert m.eval() is m
    assert not any(sub.training for sub in m.modules())
    assert m.train() is m
    assert all(sub.training for sub in m.modules())
    with pytest.raises(ArgumentError, match="train: expected True or False"):
        m.train("yes")


def test_to_keeps_parameters_and_takes_gradients_along(device):
    m = Pair()
    m(tg.ones(3)).sum().backward()
    held = dict(m.named_parameters())
    grads = {n: p.grad.numpy().copy() for n, p in held.items()}
    assert m.to(device, "float64") is m
    assert m.second.shift is m.first.shift  # still shared
    for name, p in m.named_parameters():
        assert p is held[name]
        assert p.requires_grad
        assert str(p.device).startswith(device)
        assert p.dtype == np.float64
        assert str(p.grad.device).startswith(device)
        assert p.grad.dtype == np.float64
        np.testing.assert_array_equal(p.grad.numpy(), grads[name])
    assert m.first.calls.dtype == np.int64
    assert m.first.note.dtype == np.float64
    assert str(m.first.calls.device).startswith(device)
    m(tg.ones(3, device=device, dtype="float64")).sum().backward()  # and gradients go on adding up
    np.testing.assert_array_equal(m.first.scale.grad.numpy(), 2 * grads["first.scale"])


def test_to_refuses_what_cannot_be_before_anything_changes():
    m = Scale()
    with pytest.raises(DTypeError, match="to: expected a floating dtype, got int64"):
        m.to(dtype="int64")
    with pytest.raises(ArgumentError):
        m.to("nowhere", "float64")
    assert m.scale.dtype == np.float32


def test_converting_after_recording_is_noticed():
    m = Scale()
    loss = (m.scale * m.scale).sum()
    m.to(dtype="float64")
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


def test_requires_grad_and_zero_grad():
    m = Pair()
    m(tg.ones(3)).sum().backward()
    m.zero_grad(set_to_none=False)
    assert all(p.grad.tolist() == [0, 0, 0] for p in m.parameters())
    m.zero_grad()
    assert all(p.grad is None for p in m.parameters())
    assert m.requires_grad_(False) is m
    assert not any(p.requires_grad for p in m.parameters())
    assert not m(tg.ones(3)).requires_grad
    assert all(p.requires_grad for p in m.requires_grad_().parameters())


def test_apply_visits_children_first():
    seen = []
    m = Pair()
    assert m.apply(seen.append) is m
    assert seen == [m.first, m.second, m]


def test_hooks_see_and_change_what_passes():
    m = Scale()
    pre = m.register_forward_pre_hook(lambda module, args: args[0] + 1)
    post = m.register_forward_hook(lambda module, args, out: out * 10)
    assert m(tg.ones(3)).tolist() == [40, 40, 40]
    pre.remove()
    pre.remove()
    assert m(tg.ones(3)).tolist() == [20, 20, 20]
    post.remove()
    assert m(tg.ones(3)).tolist() == [2, 2, 2]
    seen = []
    with m.register_forward_hook(lambda *given: seen.append(given), with_kwargs=True):
        out = m(x=tg.ones(3))
    assert len(seen) == 1
    assert seen[0][0] is m
    assert seen[0][1] == ()
    assert seen[0][3] is out
    m(tg.ones(3))
    assert len(seen) == 1
    with m.register_forward_pre_hook(lambda mod, a, k: (a, {"x": k["x"] * 0}), with_kwargs=True):
        assert m(x=tg.ones(3)).tolist() == [0, 0, 0]
    with pytest.raises(ArgumentError, match="expected a function"):
        m.register_forward_hook(3)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_keep_sharing_and_nothing_else(copied, device):
    m = Pair(device).eval()
    m.second.scale.requires_grad = False
    twin = copied(m)
    assert twin.again is twin.first
    assert twin.second.shift is twin.first.shift
    assert type(twin.first.scale) is nn.Parameter
    assert not twin.training
    assert twin.first.scale.requires_grad
    assert not twin.second.scale.requires_grad
    assert list(twin.state_dict()) == list(m.state_dict())
    assert twin.first.scale.device == m.first.scale.device
    with tg.no_grad():
        twin.first.scale.fill_(5)
        twin.first.note.fill_(5)
    assert m.first.scale.tolist() == [2, 2, 2]
    assert m.first.note.tolist() == [1, 1]


def test_parameter_shares_memory_and_refuses_integers():
    array = np.ones(3)
    p = nn.Parameter(array)
    assert p.data is array
    assert p.requires_grad
    base = tg.ones(3)
    product = base * nn.Parameter(tg.ones(3))
    view = nn.Parameter(base)
    assert isinstance(view * 2, tg.Tensor)
    assert not isinstance(view * 2, nn.Parameter)
    with tg.no_grad():
        view.fill_(0)  # the memory of base, which the product needs
    with pytest.raises(GraphError, match="changed in place"):
        product.sum().backward()
    assert nn.Parameter([1.0, 2.0]).dtype == np.float32
    with pytest.raises(DTypeError):
        nn.Parameter(tg.arange(3))
    assert not nn.Parameter(tg.arange(3), requires_grad=False).requires_grad


def test_a_forgotten_super_init_is_named():
    class Forgetful(nn.Module):
        def __init__(self):
            self.w = nn.Parameter(tg.ones(1))

    class Later(nn.Module):
        def __init__(self):
            self.n = 3

        def forward(self, x):
            return x

    with pytest.raises(ModuleError, match=r"Forgetful: call super\(\).__init__\(\) before"):
        Forgetful()
    with pytest.raises(ModuleError, match=r"was super\(\).__init__\(\) called"):
        Later()(1)
    with pytest.raises(ModuleError, match=r"call super\(\).__init__\(\) before register_buffer"):
        Later().register_buffer("b", None)


def test_missing_attributes_are_explained():
    m = Scale()
    with pytest.raises(ModuleError, match="Scale has no attribute 'sclae'; did you mean 'scale'"):
        _ = m.sclae
    assert not hasattr(m, "weight")
    with pytest.raises(ModuleError, match="Module has no forward; define forward"):
        nn.Module()(3)


@pytest.mark.parametrize(
    ("act", "match"),
    [
        (lambda m: setattr(m, "scale", tg.ones(3)), "a Parameter or None for 'scale', got Tensor"),
        (lambda m: setattr(m, "sub", 3), "a Module or None for 'sub', got int"),
        (lambda m: setattr(m, "calls", 3), "a Tensor or None for 'calls', got int"),
        (lambda m: m.register_buffer("w.x", None), "a name without a dot"),
        (lambda m: m.register_buffer("", None), "a name without a dot"),
        (lambda m: m.register_buffer("forward", None), "a free name"),
        (lambda m: m.register_buffer("training", None), "a free name"),
        (lambda m: m.register_buffer("b", 3), "a Tensor or None for 'b', got int"),
        (lambda m: m.register_buffer("b", m.scale), "a Tensor or None for 'b', got Parameter"),
        (lambda m: m.register_parameter("p", tg.ones(1)), "a Parameter or None for 'p'"),
        (lambda m: m.register_module("p", tg.ones(1)), "a Module or None for 'p'"),
    ],
)
def test_bad_assignments(act, match):
    m = Scale()
    m.sub = Scale()
    before = list(m.state_dict())
    with pytest.raises(ArgumentError, match=match):
        act(m)
    assert list(m.state_dict()) == before


def test_none_takes_the_place_of_a_parameter_buffer_or_module():
    m = Scale()
    m.sub = Scale()
    m.scale = m.calls = m.sub = None
    assert list(m.state_dict()) == ["shift"]
    m.calls = tg.ones(1)  # still a buffer
    assert list(m.state_dict()) == ["shift", "calls"]


def test_training_works_beside_the_current_device():
    """On a device that is not the current one; CuPy leaves finding the right one to us."""
    layer = nn.Linear(3, 2, device="strict:1")
    optimiser = optim.Adam(layer.parameters(), lr=0.1)
    layer(tg.ones(4, 3, device="strict:1")).sum().backward()
    assert nn.clip_grad_norm_(layer.parameters(), 0.1).device == layer.weight.device
    nn.clip_grad_value_(layer.parameters(), 0.05)
    before = layer.weight.numpy().copy()
    optimiser.step()
    np.testing.assert_allclose(layer.weight.numpy(), before - 0.1, rtol=1e-5)
    layer.zero_grad(set_to_none=False)
    twin = copy.deepcopy(layer).to("strict:0")
    layer.load_state_dict(twin.state_dict())
    nn.init.ones_(layer.weight)


def test_what_is_converted_gets_gradients_of_its_new_dtype():
    m = Scale().to(dtype="float64")
    m(tg.ones(3)).sum().backward()
    assert m.scale.grad.dtype == np.float64
