"""The loop over windows of a text: truncated backpropagation through time, step by step."""

from __future__ import annotations

import math
from collections.abc import Callable

from tinygrad_seq.backend import Generator
from tinygrad_seq.bptt import TruncatedBPTT
from tinygrad_seq.data import baselines
from tinygrad_seq.errors import AnomalyError
from tinygrad_seq.nn import clip_grad_norm_
from tinygrad_seq.train.evaluate import evaluate
from tinygrad_seq.train.log import Event
from tinygrad_seq.train.run import CharRun, write
from tinygrad_seq.train.stopwatch import Stopwatch

Report = Callable[[Event], None]

SAMPLE_LENGTH = 240


def fit(
    run: CharRun,
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
    bptt = TruncatedBPTT(config.bptt, config.bptt)
    watch = Stopwatch(seconds)
    if run.step == 0:
        look(run, report)
        save()
    while run.step < config.steps:
        inputs, targets = run.rest_of_epoch()
        watch.start()
        for window in bptt.run(run.model.loss, inputs, targets, run.state):
            norm = float(clip_grad_norm_(parameters, config.clip or math.inf))
            run.optimizer.param_groups[0]["lr"] = config.learning_rate(run.step)
            run.optimizer.step()
            run.optimizer.zero_grad()
            run.count(float(window.loss), norm)
            # The text begins again after its last window, with a state of zeros.
            run.state = None if run.step % run.streams.windows == 0 else window.state
            watch.stop()

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


def look(run: CharRun, report: Report) -> None:
    """See how far the model has come: its loss on the validation text, and what it writes."""
    loss = evaluate(run.model, run.validation, run.config.batch)
    report({"event": "validation", "step": run.step, **_units(loss), "streams": run.config.batch})
    generator = Generator(run.config.seed + run.step)  # of its own: training must not notice
    text = write(run.model, run.vocabulary, run.prompt, SAMPLE_LENGTH, generator=generator)
    report({"event": "sample", "step": run.step, "text": text})


def finish(run: CharRun, report: Report) -> None:
    """The last look: the whole validation text in one stream, beside count models."""
    look(run, report)
    loss = evaluate(run.model, run.validation)
    rivals = baselines(run.training, run.validation, len(run.vocabulary))
    report(
        {
            "event": "end",
            "step": run.step,
            "model": run.config.model,
            **_units(loss),
            "characters": len(run.validation),
            "baselines": {rival.name: rival.loss for rival in rivals},
        }
    )


def _summary(run: CharRun, norm: float, watch: Stopwatch) -> Event:
    loss, windows = run.take_mean_loss()
    tokens = run.config.batch * run.config.bptt
    return {
        "event": "train",
        "step": run.step,
        "epoch": run.step / run.streams.windows,
        **_units(loss),
        "grad_norm": norm,
        "clipped": run.clipped / run.step,
        "lr": run.config.learning_rate(run.step - 1),
        "tokens_per_second": windows * tokens / max(watch.lap(), 1e-9),
        "seconds": watch.total,
    }


def _units(loss: float) -> dict[str, float]:
    return {"loss": loss, "bits_per_character": loss / math.log(2)}


def _diverged(run: CharRun) -> str:
    return (
        f"the loss stopped being a finite number at step {run.step}: try a smaller --lr than "
        f"{run.config.lr:g}, or a smaller --clip than {run.config.clip:g}"
        if run.config.clip
        else f"the loss stopped being a finite number at step {run.step}: try --clip 1, "
        f"or a smaller --lr than {run.config.lr:g}"
    )
