"""One step of training: loss, gradients, clipping, update. Eager, or all of it compiled into one graph."""

import contextlib
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from ahx.data.token_rows import Row
from ahx.model.batches import Batch, to_batch
from ahx.model.scoring import token_losses
from ahx.model.transformer import Transformer
from ahx.training.optimizers import FlatParameters, Optimizer


class TrainingStep:
    """Learns from one batch of rows at a time.

    In a group of processes each takes every n-th row of the same batch. Losses are divided by the number of scored
    tokens in the *whole* batch and gradients are summed over the processes, so n processes take the same step
    as one. All gradients are in one tensor, so data parallelism needs a single all-reduce.
    """

    def __init__(
        self, model: Transformer, flat: FlatParameters, optimizer: Optimizer, separator: int,
        grad_clip: float = 1.0, autocast: bool = False, seed: int = 0, restart: int = -1,
    ) -> None:  # fmt: skip
        self.model, self.flat, self.optimizer = model, flat, optimizer
        self.separator, self.grad_clip, self.autocast, self.seed = separator, grad_clip, autocast, seed
        self.restart = restart
        self.device = flat.values.device
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)

    def __call__(self, rows: Sequence[Row], step: int, scale: float) -> Tensor:
        """Take step number `step` on `rows`; the mean loss per token before it, as a tensor."""
        self._begin(step)
        self.flat.gradients.zero_()
        if own := rows[self.rank :: self.world]:
            batch = to_batch(own, self.separator, self.device, restart=self.restart)
            total = scored_tokens(rows, self.separator, self.restart) if self.world > 1 else len(batch.scored_R)
            loss = self.loss(batch) / total
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation for it
            loss = loss.detach()
        else:
            loss = torch.zeros((), device=self.device)
        if self.world > 1:
            dist.all_reduce(self.flat.gradients)
            dist.all_reduce(loss)
        self.flat.clip(self.grad_clip)
        self.optimizer.step(scale)
        return loss

    def _begin(self, step: int) -> None:
        """Dropout depends only on the step, so a resumed run drops the same."""
        if not self.model.training:  # train() visits all modules
            self.model.train()
        if self.model.config.dropout:
            torch.manual_seed(hash((self.seed, step, self.rank)) % 2**63)

    def half(self) -> contextlib.AbstractContextManager[object]:
        """The context in which the model runs in bfloat16 if `autocast` is set."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.autocast else contextlib.nullcontext()

    def loss(self, batch: Batch) -> Tensor:
        """Summed cross-entropy of a batch's output tokens, in nats."""
        with self.half():
            logits_RV = self.model(batch.tokens_BT, batch.scored_R)
        return token_losses(logits_RV.float(), batch.target_R, "sum")


class CompiledStep(TrainingStep):
    """The same step as one compiled graph: forward, backward, clipping and update.

    The first step takes from seconds to minutes; after that small models run about twice as fast. Graphs need fixed
    shapes, so all batches are padded to `length` tokens and every position is scored, with weight 0 outside the output.
    """

    def __init__(self, *args: object, length: int, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.length = length
        # Kernels called from C++ instead of Python: a tenth of a step on a CPU, where models are small.
        options: dict[str, str | int | bool | Callable[..., object]] = {"cpp_wrapper": self.device.type == "cpu"}
        self.graph: Callable[..., Tensor] = torch.compile(self._step, fullgraph=True, dynamic=False, options=options)

    def __call__(self, rows: Sequence[Row], step: int, scale: float) -> Tensor:
        self._begin(step)
        batch = to_batch(rows, self.separator, self.device, self.length, self.restart)
        target_BT = torch.full_like(batch.tokens_BT, -100)
        target_BT.view(-1)[batch.scored_R] = batch.target_R
        scales = self.optimizer.scales(scale)
        return self.graph(batch.tokens_BT, target_BT, scales)

    def _step(self, tokens_BT: Tensor, target_BT: Tensor, scales: Tensor) -> Tensor:
        names = self.flat.names
        values = dict(zip(names, (p.detach() for p in self.flat.parameters), strict=True))

        def mean_loss(parameters: dict[str, Tensor]) -> Tensor:
            with self.half():
                logits_BTV = torch.func.functional_call(self.model, parameters, (tokens_BT,))
            return F.cross_entropy(logits_BTV.flatten(0, 1).float(), target_BT.flatten(), ignore_index=-100)

        loss: Tensor
        gradients, loss = torch.func.grad_and_value(mean_loss)(values)
        self.flat.gradients.copy_(torch.cat([gradients[name].flatten() for name in names]))
        self.flat.clip(self.grad_clip)
        self.optimizer.update(scales)
        return loss


def scored_tokens(rows: Sequence[Row], separator: int, restart: int = -1) -> int:
    """How many output tokens `rows` have."""
    if restart >= 0:
        return len(to_batch(rows, separator, restart=restart).target_R)
    return sum(len(row) - 1 - int((np.asarray(row) == separator).argmax()) for row in rows)
