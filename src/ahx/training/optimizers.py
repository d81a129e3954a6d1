"""AdamW and Muon, on parameters in one flat tensor.

A small model has dozens of small parameters; an optimiser that updates them one by one spends its time on calls, not
on arithmetic. Here all parameters are views into one tensor, and all gradients into another: AdamW is then six
operations for any model, the gradient norm is one, and several processes average their gradients in a single
all-reduce. (torch.optim would also import torch._dynamo, which costs 1.7 s at the first step.)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ahx.errors import CheckpointError


class FlatParameters:
    """Moves a model's parameters into one tensor `values`, with their gradients in another, `gradients`.

    Matrices of the blocks come last, those of equal shape side by side, so that Muon can treat each shape as one
    stack (n, rows, columns) without copying. The model still works: its parameters are views.
    """

    def __init__(self, model: nn.Module) -> None:
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        matrices = [(n, p) for n, p in named if n.startswith("blocks.") and p.dim() == 2 and n.endswith(".weight")]
        matrix_names = {name for name, _ in matrices}
        others = [(name, p) for name, p in named if name not in matrix_names]
        # Gains of norms and biases first: they are not decayed.
        others.sort(key=lambda item: item[1].dim() == 2 and ".bias." not in item[0])
        self.n_undecayed = sum(p.numel() for name, p in others if p.dim() < 2 or ".bias." in name)
        # The three projections in one `qkv` matrix (3C, C) are orthogonalised separately.
        shapes: dict[tuple[int, int], list[nn.Parameter]] = {}
        for _, p in matrices:
            rows, columns = p.shape
            shape = (columns, columns) if rows == 3 * columns else (rows, columns)
            shapes.setdefault(shape, []).append(p)
        ordered = [p for _, p in others] + [p for group in shapes.values() for p in group]
        name_of = {id(p): name for name, p in named}
        self.parameters, self.names = ordered, [name_of[id(p)] for p in ordered]
        self.n_other = sum(p.numel() for _, p in others)
        self.values = torch.cat([p.detach().flatten() for p in ordered])
        self.gradients = torch.zeros_like(self.values)
        at = 0
        for p in ordered:
            p.data = self.values[at : at + p.numel()].view(p.shape)
            p.grad = self.gradients[at : at + p.numel()].view(p.shape)
            at += p.numel()
        self.stacks: list[tuple[int, int, tuple[int, int]]] = []  # where the matrices of one shape begin and end
        at = self.n_other
        for shape, group in shapes.items():
            size = sum(p.numel() for p in group)
            self.stacks.append((at, at + size, shape))
            at += size

    def clip(self, most: float) -> Tensor:
        """Scale the gradient down to the norm `most` (0 leaves it); returns the norm before (Pascanu et al. 2013)."""
        norm: Tensor = self.gradients.norm()
        if most > 0:
            self.gradients.mul_((most / (norm + 1e-6)).clamp_max(1.0))
        return norm


@dataclass(frozen=True)
class OptimizerSettings:
    learning_rate: float = 3e-3
    muon_learning_rate: float = 0.02
    weight_decay: float = 0.0
    use_muon: bool = True
    betas: tuple[float, float] = (0.9, 0.98)
    epsilon: float = 1e-8
    momentum: float = 0.95


class Optimizer:
    """AdamW for everything, or Muon for the matrices of the blocks and AdamW for the rest."""

    def __init__(self, flat: FlatParameters, settings: OptimizerSettings) -> None:
        self.flat, self.settings = flat, settings
        self.n_adamw = flat.n_other if settings.use_muon else len(flat.values)
        self.mean = torch.zeros_like(flat.values)  # of gradients: AdamW's first moment, Muon's momentum
        self.square = torch.zeros_like(flat.values[: self.n_adamw])  # AdamW's second moment
        self.steps = 0

    def step(self, scale: float) -> None:
        """One update; `scale` multiplies the learning rates (the schedule)."""
        self.update(self.scales(scale))

    def scales(self, scale: float) -> Tensor:
        """The numbers that change from step to step, as one tensor (a compiled graph must not treat them as constants):
        AdamW's rate, the same with the bias of the first moment corrected, that of the second, and Muon's rate."""
        self.steps += 1
        beta1, beta2 = self.settings.betas
        rate = self.settings.learning_rate * scale
        corrected, correction = rate / (1 - beta1**self.steps), (1 - beta2**self.steps) ** -0.5
        numbers = [rate, corrected, correction, self.settings.muon_learning_rate * scale]
        return torch.tensor(numbers, dtype=torch.float32).to(self.flat.values.device, non_blocking=True)

    def update(self, scales: Tensor) -> None:
        """One update with the numbers of `scales`."""
        values, gradients, settings, n = self.flat.values, self.flat.gradients, self.settings, self.n_adamw
        rate, corrected, correction, muon_rate = scales.unbind()
        if settings.weight_decay:
            values[self.flat.n_undecayed : n].mul_(1 - rate * settings.weight_decay)
        adamw(values[:n], gradients[:n], self.mean[:n], self.square, corrected, correction, settings)
        if settings.use_muon:
            for a, b, shape in self.flat.stacks:
                value, gradient, mean = (x[a:b].view(-1, *shape) for x in (values, gradients, self.mean))
                muon(value, gradient, mean, muon_rate, settings)

    def state(self) -> dict[str, Tensor | int]:
        return {"mean": self.mean, "square": self.square, "steps": self.steps}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore a `state`. Raises CheckpointError for that of another model or optimiser."""
        for name, own in self.state().items():
            given = state.get(name)
            fits = given.shape == own.shape if isinstance(given, Tensor) and isinstance(own, Tensor) else False
            if not (fits or (type(given) is int and type(own) is int and given >= 0)):
                raise CheckpointError(
                    f"the checkpoint's state of the optimiser does not fit this model ({name}); train without --resume"
                )
        self.mean.copy_(state["mean"])
        self.square.copy_(state["square"])
        self.steps = state["steps"]


def adamw(
    value: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, rate: Tensor, correction: Tensor,
    settings: OptimizerSettings,
) -> None:  # fmt: skip
    """Loshchilov & Hutter 2019 (arXiv 1711.05101), in place; `rate` and `correction` carry the bias corrections."""
    beta1, beta2 = settings.betas
    mean.lerp_(gradient, 1 - beta1)
    square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    value.sub_(rate * mean / (square.sqrt() * correction + settings.epsilon))


def muon(value: Tensor, gradient: Tensor, mean: Tensor, rate: Tensor, settings: OptimizerSettings) -> None:
    """Momentum, orthogonalised (Jordan et al. 2024, "Muon"), on a stack (n, rows, columns), in place."""
    mean.lerp_(gradient, 1 - settings.momentum)
    update = orthogonalise(gradient.lerp(mean, settings.momentum))  # Nesterov
    rows, columns = value.shape[1:]
    if settings.weight_decay:
        value.mul_(1 - rate * settings.weight_decay)
    value.sub_(update * (max(1.0, rows / columns) ** 0.5 * rate))


def orthogonalise(x: Tensor) -> Tensor:
    """Roughly the nearest matrix with orthonormal rows or columns, by five Newton-Schulz iterations: (n, r, c) -> same.

    The quintic's coefficients are those of Jordan et al.: singular values end between about 0.7 and 1.2.
    """
    tall = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2) if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return x.transpose(1, 2) if tall else x
