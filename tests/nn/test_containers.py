"""Sequential, ModuleList and ModuleDict."""

import pytest

import tinygrad_seq as tg
from tinygrad_seq import nn
from tinygrad_seq.errors import ArgumentError, ModuleError, OutOfRangeError


class Plus(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.n = nn.Parameter(tg.full((), n))

    def forward(self, x):
        return 2 * x + self.n

    def extra_repr(self):
        return f"{self.n.item():g}"


def numbers(modules):
    return [m.n.item() for m in modules]


def test_sequential_runs_in_order():
    m = nn.Sequential(Plus(1), Plus(10))
    assert m(tg.tensor(0.0)).item() == 12
    assert list(m.state_dict()) == ["0.n", "1.n"]
    named = nn.Sequential({"one": Plus(1), "ten": Plus(10)})
    assert named(tg.tensor(0.0)).item() == 12
    assert list(named.state_dict()) == ["one.n", "ten.n"]
    assert named.one is named[0]
    assert nn.Sequential()(3) == 3


def test_repr_is_a_tree():
    m = nn.Sequential(Plus(1), nn.ModuleDict({"a": nn.ModuleList([Plus(2)])}), nn.ModuleList())
    assert repr(m) == (
        "Sequential(\n  (0): Plus(1)\n  (1): ModuleDict(\n    (a): ModuleList(\n"
        "      (0): Plus(2)\n    )\n  )\n  (2): ModuleList()\n)"
    )


@pytest.mark.parametrize("kind", [nn.ModuleList, lambda ms: nn.Sequential(*ms)])
def test_they_behave_as_lists(kind):
    made = [Plus(i) for i in range(5)]
    m, expected = kind(made), list(made)
    assert len(m) == 5
    assert list(m) == expected
    assert m[-1] is made[4]
    assert made[2] in m
    for part in (slice(1, 4), slice(None, None, 2), slice(-2, None)):
        assert type(m[part]) is type(m)
        assert list(m[part]) == expected[part]
    assert m[1:3][0] is made[1]
    six, seven, eight = Plus(6), Plus(7), Plus(8)
    m[1], expected[1] = six, six
    del m[0], expected[0]
    m.insert(2, seven)
    expected.insert(2, seven)
    assert m.append(eight) is m
    assert m.pop(0) is expected.pop(0)
    expected.append(eight)
    del m[1:3], expected[1:3]
    assert list(m) == expected
    assert list(m.state_dict()) == [f"{i}.n" for i in range(len(expected))]
    assert list(m.extend([Plus(9)]))[:-1] == expected


def test_lists_add_up():
    a, b = nn.ModuleList([Plus(1)]), nn.ModuleList([Plus(2)])
    assert numbers(a + b) == [1, 2]
    assert len(a) == 1
    a += b
    assert numbers(a) == [1, 2]


def test_dict_behaves_as_a_dict():
    one, two = Plus(1), Plus(2)
    m = nn.ModuleDict({"a": one})
    m["b"] = two
    m.update({"c": Plus(3), "a": two})
    assert list(m) == list(m.keys()) == ["a", "b", "c"]
    assert numbers(m.values()) == [2, 2, 3]
    assert dict(m.items())["b"] is two
    assert "b" in m
    assert "z" not in m
    assert len(m) == 3
    assert m.pop("b") is two
    assert list(m) == ["a", "c"]
    del m["a"]
    assert list(m.state_dict()) == ["c.n"]
    m.clear()
    assert len(m) == 0


@pytest.mark.parametrize(
    ("act", "error", "match"),
    [
        (lambda: nn.Sequential(3), ArgumentError, "Sequential: expected a Module, got int"),
        (lambda: nn.ModuleList([None]), ArgumentError, "ModuleList: expected a Module, got None"),
        (lambda: nn.ModuleList([Plus(1)])[1], OutOfRangeError, "an index below 1, got 1"),
        (lambda: nn.ModuleList().pop(), OutOfRangeError, "an index below 0, got -1"),
        (lambda: nn.ModuleList([Plus(1)])(3), ModuleError, "ModuleList has no forward"),
        (lambda: nn.ModuleDict({"a": 3}), ArgumentError, "a Module for 'a', got int"),
        (lambda: nn.ModuleDict()["a"], OutOfRangeError, "ModuleDict"),
        (lambda: nn.ModuleDict({"keys": Plus(1)}), ArgumentError, "a free name"),
        (lambda: nn.ModuleDict({"a.b": Plus(1)}), ArgumentError, "without a dot"),
    ],
)
def test_bad_use(act, error, match):
    with pytest.raises(error, match=match):
        act()
