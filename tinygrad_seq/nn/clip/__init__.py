"""Gradient clipping, in place: by norms (of all gradients, of each, of each unit), or by value."""

from tinygrad_seq.nn.clip.gradients import (
    adaptive_clip_grad_,
    clip_each_grad_norm_,
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)

__all__ = [
    "adaptive_clip_grad_",
    "clip_each_grad_norm_",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]
