"""Optimisers and schedules of learning rates, with PyTorch's names, arguments and defaults."""

from tinygrad_seq.optim.adam import Adam, AdamW
from tinygrad_seq.optim.one_cycle import OneCycleLR
from tinygrad_seq.optim.optimizer import Optimizer
from tinygrad_seq.optim.plateau import ReduceLROnPlateau
from tinygrad_seq.optim.scheduler import LRScheduler, SequentialLR
from tinygrad_seq.optim.schedules import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    StepLR,
    WarmupCosineLR,
)
from tinygrad_seq.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "Optimizer",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "WarmupCosineLR",
]
