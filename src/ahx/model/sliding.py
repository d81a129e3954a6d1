"""Decoding without end in constant memory: what no head may look at again is forgotten.

Heads of the kinds s, c and p see the last few tokens, the configuration before the one that is being written, and the
program. Everything else can go, and the model answers exactly as it would if it were still there: nothing is cut off,
approximated or computed anew.
"""

from collections.abc import Sequence

import torch

from ahx.model.decoding import Decoder
from ahx.model.positions import CursorState
from ahx.model.transformer import Transformer


class SlidingDecoder(Decoder):
    """One row, a program and a configuration, that is written on and on.

    Raises ValueError for a model with heads that see everything.
    """

    def __init__(self, model: Transformer, prompt: Sequence[int], room: int = 0) -> None:
        """`room` is the number of tokens kept at first; it grows with the configurations."""
        if "g" in "".join(model.config.heads) or model.coupling is None:
            raise ValueError("a window can slide over coupled, sequence and program heads only")
        super().__init__(model, 1, max(room, len(prompt)))
        row = torch.tensor([prompt])
        self.n_program = model.coupling.program(row).shape[-1]
        self.logits_V = self.start(row, torch.tensor([len(prompt)]))[0]

    @torch.inference_mode()
    def write(self, token: int) -> torch.Tensor:
        """Add one token; logits for the next: (V)."""
        if int(self.length_B) == self.memories[0].k_BSHD.shape[1]:
            self._forget()
        self.logits_V = self.step(torch.tensor([token]))[0]
        return self.logits_V

    def _forget(self) -> None:
        """Close the gap between the program and what the cursor's segment begins with; then, if need be, make room."""
        assert self.cursor is not None
        place_BT, cells_B, first_B, last_B, cursor_B, segment_B = self.cursor
        length, first = int(self.length_B), int(first_B)
        begin = max(self.n_program, min(int(place_BT[0, first]), length - self.model.config.window))
        kept, shift = length - begin, begin - self.n_program
        capacity = 2 * max(length if shift < length // 2 else 0, self.n_program + kept, length // 2)
        for memory in self.memories:
            for name in ("k_BSHD", "v_BSHD"):
                old = getattr(memory, name)
                new = old.new_zeros(1, capacity, *old.shape[2:])
                new[:, : self.n_program] = old[:, : self.n_program]
                new[:, self.n_program : self.n_program + kept] = old[:, begin:length]
                setattr(memory, name, new)
        places = place_BT.new_zeros(1, capacity + 1)
        n_cells = int(cells_B) - first
        places[:, :n_cells] = place_BT[:, first : first + n_cells] - shift
        self.cursor = CursorState(places, cells_B - first, first_B - first, last_B - first, cursor_B - first, segment_B)
        self.length_B = self.length_B - shift
        self.longest = int(self.length_B)
