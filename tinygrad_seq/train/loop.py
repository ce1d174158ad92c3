"""The loop over updates: gradients, clipping, rate, step; now and then a look and a save."""

from __future__ import annotations

import math
from collections.abc import Callable

from tinygrad_seq.errors import AnomalyError
from tinygrad_seq.nn import clip_grad_norm_
from tinygrad_seq.train.evaluate import evaluating
from tinygrad_seq.train.flow import flow
from tinygrad_seq.train.log import Event
from tinygrad_seq.train.run import Run
from tinygrad_seq.train.stopwatch import Stopwatch

Report = Callable[[Event], None]


def fit(
    run: Run,
    report: Report,
    save: Callable[[], None],
    stop: Callable[[], bool] = lambda: False,
    seconds: float = 0.0,
) -> bool:
    """Train until the last step, or until ``stop()``; → whether the last step was reached.

    ``report`` is told of losses, validations and samples; ``save`` is called now and then, and
    always before returning. ``seconds`` were trained before. A loss that is not finite raises
    AnomalyError, and nothing is saved.
    """
    config, parameters = run.config, list(run.model.parameters())
    watch = Stopwatch(seconds)
    if run.step == 0:
        look(run, report)
        save()
    while run.step < config.steps:
        watch.start()
        for loss, items in run.task.updates(run):
            norm = float(clip_grad_norm_(parameters, config.clip or math.inf))
            for group in run.optimizer.param_groups:
                group["lr"] = config.learning_rate(run.step)
            run.optimizer.step()
            run.optimizer.zero_grad()
            run.count(float(loss), norm)
            watch.stop(items)

            if not math.isfinite(run.loss_sum):
                raise AnomalyError(_diverged(run))
            last = run.step == config.steps
            if last or run.step % config.log_every == 0:
                report(_summary(run, norm, watch))
            if run.step % config.look_every == 0 and not last:
                look(run, report)
            stopping = stop()
            if stopping or last or run.step % config.checkpoint_every == 0:
                save()
            if stopping or last:
                return last
            watch.start()
    return True


def look(run: Run, report: Report) -> None:
    """See how far the model has come: its score on held-out data, and something that it does."""
    with evaluating(run.model):
        report({"event": "validation", "step": run.step, **run.task.validate(run.model)})
        if run.config.flow:
            report(flow(run))
        text = run.task.show(run.model, run.step)
        if text is not None:
            report({"event": "sample", "step": run.step, "text": text})


def finish(run: Run, report: Report) -> None:
    """The last look, and the test: the model's score beside its rivals'."""
    look(run, report)
    with evaluating(run.model):
        score = run.task.test(run.model)
    report(
        {
            "event": "end",
            "step": run.step,
            "model": run.task.describe_model(),
            **score,
            "held_out": run.task.held_out,
            "rivals": run.task.rivals(),
        }
    )


def _summary(run: Run, norm: float, watch: Stopwatch) -> Event:
    epoch = {"epoch": run.step / n} if (n := run.task.updates_per_epoch) else {}
    seconds, items = watch.lap()
    return {
        "event": "train",
        "step": run.step,
        **epoch,
        **run.task.score(run.take_mean_loss()),
        "grad_norm": norm,
        "clipped": run.clipped / run.step,
        "lr": run.config.learning_rate(run.step - 1),
        f"{run.task.items[0]}_per_second": items / max(seconds, 1e-9),
        "seconds": watch.total,
    }


def _diverged(run: Run) -> str:
    lr, clip = run.config.lr, run.config.clip
    cure = f"a smaller --lr than {lr:g}, or a smaller --clip than {clip:g}"
    if not clip:
        cure = f"--clip 1, or a smaller --lr than {lr:g}"
    return f"the loss stopped being a finite number at step {run.step}: try {cure}"
