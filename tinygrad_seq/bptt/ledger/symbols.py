r"""The symbols of a ledger in TeX: δ of layer 1 at t + 1 is \\delta_{t+1}^{(1)}."""

from __future__ import annotations

import re

import numpy as np

from tinygrad_seq.bptt.ledger.writing import number

_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_LOWER = str.maketrans(_RAISED, "0123456789")
_TIME = r"\[t[+-]?1?\]"
# δ, a name, a prime, the layer, a subscript, the layer of a weight or a power, transposed
_ATOM = re.compile(
    rf"(δ?)([A-Za-z][A-Za-z0-9]*)?(′?)([{_RAISED}]*)(?:_({_TIME}|[a-z]+|\d+))?([{_RAISED}]*)(ᵀ?)"
)
_WORDS = {"⊙": r" \odot ", "−": "-", "σ": r"\sigma", "Π": r"\Pi ", "∂": r"\partial ", ">": " > "}
_FUNCTIONS = ("tanh", "max")


def tex(symbol: str, t: int | None = None) -> str:
    r"""A symbol at step t, or at any, in TeX.

    >>> print(tex("W_hh¹ᵀδ¹_[t+1]", 3))
    {W_{hh}^{(1)}}^{\top}\delta_{4}^{(1)}
    >>> print(tex("∂L_[t]/∂h_[t]"))
    \frac{\partial L_{t}}{\partial h_{t}}
    """
    if (words := re.fullmatch(r"(from [a-z ]+ to) (.*)", symbol)) is not None:
        return rf"\text{{{words[1]} }}{tex(words[2], t)}"
    if (fraction := re.fullmatch(r"∂([^/]+)/∂([^/]+)", symbol)) is not None:
        above, below = (tex(part, t) for part in fraction.groups())
        return rf"\frac{{\partial {above}}}{{\partial {below}}}"
    symbol = symbol.replace(", for n ", r",\text{ for n }")
    plain = re.split(r"(\\text\{.*?\})", symbol)
    return "".join(p if p.startswith("\\") else _translated(p, t) for p in plain)


def _translated(text: str, t: int | None) -> str:
    text = _ATOM.sub(lambda found: _atom(found, t), text)
    for word, written in _WORDS.items():
        text = text.replace(word, written)
    return text.replace("ᵀ", r"^{\top}").replace("…", r"\dots ")


def _atom(found: re.Match[str], t: int | None) -> str:
    delta, name, prime, layer, below, after, transposed = found.groups(default="")
    if not delta and not name and not prime:
        raised = (layer + after).translate(_LOWER)
        return f"^{{{raised}}}" * bool(raised) + (r"^{\top}" if transposed else "")
    if name in _FUNCTIONS:
        power = layer.translate(_LOWER)
        return rf"\{name}" + (f"^{{{power}}}" if power else "") + (" " if power else "")
    base = name if len(name) == 1 or not name else rf"\mathrm{{{name}}}"
    above = []
    if delta:
        base, above = r"\delta", [name] if name else []
    if not below.startswith("[") and after:  # a weight has its layer behind its subscript
        layer, after = after, ""
    if layer:
        above.append(f"({layer.translate(_LOWER)})")
    base += prime.replace("′", "'")
    written = base + (f"_{{{_time(below, t)}}}" if below else "")
    if above:
        written = _raised(base, below, ",".join(above), bool(prime), t)
    if after:
        written = (
            f"{{{written}}}^{{{after.translate(_LOWER)}}}"
            if above
            else (f"{written}^{{{after.translate(_LOWER)}}}")
        )
    if transposed:
        written = f"{{{written}}}^{{\\top}}" if above or prime else f"{written}^{{\\top}}"
    return written


def _raised(base: str, below: str, above: str, prime: bool, t: int | None) -> str:
    """The base with a subscript and what is raised; a prime is raised itself."""
    under = f"_{{{_time(below, t)}}}" if below else ""
    if prime:
        return rf"{base[:-1]}{under}^{{\prime {above}}}"
    return f"{base}{under}^{{{above}}}"


def _time(word: str, t: int | None) -> str:
    """[t+1] → t+1, or the step; another subscript as it is."""
    shifts = {"[t-1]": -1, "[t]": 0, "[t+1]": 1}
    if word not in shifts:
        return word
    return word[1:-1] if t is None else str(t + shifts[word])


# ---------------------------------------------------------------------- numbers


def tex_number(value: float, digits: int = 4) -> str:
    r"""1.250e-7 → 1.250 \\times 10^{-7}."""
    mantissa, e, exponent = number(value, digits).partition("e")
    if not np.isfinite(value):
        return {"nan": r"\mathrm{NaN}", "inf": r"\infty", "-inf": r"-\infty"}[str(float(value))]
    return rf"{mantissa} \times 10^{{{int(exponent)}}}" if e else mantissa


def tex_array(values: np.ndarray, most: int = 6, alone: bool = False) -> str:
    """A matrix, or a vector as a column; a number below 0 in brackets, unless it stands alone."""
    array = values.reshape(-1, 1) if values.ndim < 2 else values.reshape(-1, values.shape[-1])
    if array.size == 1:
        only = tex_number(float(array[0, 0]))
        return f"({only})" if "-" in only and not alone else only
    rows = [" & ".join(_cut([tex_number(float(v)) for v in row], most, r"\cdots")) for row in array]
    across = min(array.shape[1], most)
    between = " & ".join([r"\vdots"] * across)
    return r"\begin{bmatrix} " + r" \\ ".join(_cut(rows, most, between)) + r" \end{bmatrix}"


def _cut(words: list[str], most: int, dots: str) -> list[str]:
    return words if len(words) <= most else [*words[: most - 2], dots, words[-1]]
