"""Every exception the package raises, and ``expect``, the one way to report bad input.

Each class derives from ``TinygradSeqError`` and from the built-in a caller would catch, so both
``except tg.TinygradSeqError`` and ``except ValueError`` do what their authors meant.
"""

from __future__ import annotations


class TinygradSeqError(Exception):
    """The base of every exception this package raises on purpose."""


class ShapeError(TinygradSeqError, ValueError):
    """An array has the wrong rank or size."""


class DTypeError(TinygradSeqError, TypeError):
    """An array has a dtype that the operation does not take."""


class ArgumentError(TinygradSeqError, ValueError):
    """An argument is unknown, missing or out of range."""


class OutOfRangeError(TinygradSeqError, IndexError):
    """An index, label or token lies outside the axis it points into."""


class DeviceError(TinygradSeqError, RuntimeError):
    """Arrays live on different devices, or the device asked for cannot be used."""


class MissingDependencyError(TinygradSeqError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class GraphError(TinygradSeqError, RuntimeError):
    """The tape cannot give a right gradient: freed, changed in place since, or not connected."""


class DetachError(TinygradSeqError, TypeError):
    """A Tensor that requires grad was about to lose its history by accident."""


class AnomalyError(TinygradSeqError, ArithmeticError):
    """``detect_anomaly`` met a NaN or infinity; the message names the op and the line."""


class ModuleError(TinygradSeqError, AttributeError):
    """A Module lacks an attribute: it was never assigned, or ``super().__init__()`` not called."""


class GradcheckError(TinygradSeqError, AssertionError):
    """A gradient check did not pass; ``.report`` holds the details."""

    def __init__(self, message: str, report: object = None):
        super().__init__(message)
        self.report = report


class StateError(TinygradSeqError, ValueError):
    """A state dict, checkpoint or configuration does not fit, or cannot be read."""


class DataError(TinygradSeqError, ValueError):
    """A data file is missing, unreadable, corrupt or too small."""


def expect(
    ok: object, op: str, expected: str, got: object, error: type[TinygradSeqError] = ShapeError
) -> None:
    """Raise ``error`` in the package's one wording unless ``ok``.

    >>> expect(False, "lstm", "x of shape (T, B, 32)", (5, 33))
    Traceback (most recent call last):
    tinygrad_seq.errors.ShapeError: lstm: expected x of shape (T, B, 32), got (5, 33)
    """
    if not ok:
        raise error(f"{op}: expected {expected}, got {got}")
