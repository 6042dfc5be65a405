"""Our transformer's training step against nn.Transformer of the same size: a ratio within one run."""

import time

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_utils import transformer as t

ROWS, LENGTH, WORDS, D, HEADS, HIDDEN, LAYERS = 128, 10, 500, 64, 4, 128, 2


class Theirs(nn.Module):
    """nn.Transformer between the same embeddings and the same output layer."""

    def __init__(self):
        super().__init__()
        self.source, self.target = nn.Embedding(WORDS, D), nn.Embedding(WORDS, D)
        self.core = nn.Transformer(D, HEADS, LAYERS, LAYERS, HIDDEN, 0.0, batch_first=True, norm_first=True)
        self.output = nn.Linear(D, WORDS)
        self.register_buffer("positions", t.sinusoids(64, D))

    def forward(self, source, target):
        x = self.source(source) + self.positions[: source.shape[1]]
        y = self.target(target) + self.positions[: target.shape[1]]
        hidden = source == t.PAD
        return self.output(self.core(
            x, y, tgt_mask=~t.causal_mask(target.shape[1]), tgt_is_causal=True,
            src_key_padding_mask=hidden, memory_key_padding_mask=hidden,
        ))  # fmt: skip


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_a_training_step_costs_at_most_1_3_of_pytorchs(benchmark):
    torch.manual_seed(0)
    source = torch.randint(3, WORDS, (ROWS, LENGTH))
    source[::3, -2:] = t.PAD
    target = torch.randint(3, WORDS, (ROWS, LENGTH))
    ours = t.Transformer(WORDS, WORDS, D, HEADS, HIDDEN, LAYERS)
    theirs = Theirs()
    count = [sum(p.numel() for p in m.parameters()) for m in (ours, theirs)]
    assert count[0] == count[1]

    def stepper(model):
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3)

        def step():
            loss = F.cross_entropy(model(source, target[:, :-1]).flatten(0, 1), target[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return step

    def seconds(step):
        start = time.perf_counter()
        step()
        return time.perf_counter() - start

    one, other = stepper(ours), stepper(theirs)
    for _ in range(3):  # warm up
        one(), other()
    # In turn, and the least of each: a busy moment of the machine then hits neither alone.
    times = [(seconds(one), seconds(other)) for _ in range(25)]
    mine, pytorchs = (min(column) for column in zip(*times))
    benchmark.pedantic(one, rounds=3)
    print(f"\nours {1e3 * mine:.1f} ms, nn.Transformer {1e3 * pytorchs:.1f} ms: ratio {mine / pytorchs:.2f}")
    assert mine <= 1.3 * pytorchs
