"""Retrieval over the dialogues: one matrix product against one pair at a time, in the same run."""

import time

import pytest
import torch

from course_utils import data, settings, tools

QUESTIONS, ROUNDS = 64, 20


@pytest.mark.slow
def test_one_matrix_product_is_twenty_times_one_pair_at_a_time(benchmark):
    rows = data.load_dialogues(settings.embedded())["test"]
    search = tools.Search(rows["dialogue"])
    questions = [fact["question"] for facts in rows["facts"] for fact in facts][:QUESTIONS]
    vectors, asked = search.vectors, search.embedder.encode(questions)

    start = time.perf_counter()
    alone = torch.tensor([
        [torch.nn.functional.cosine_similarity(a, v, dim=0).item() for v in vectors] for a in asked
    ])  # fmt: skip
    pair_by_pair = time.perf_counter() - start

    together = benchmark.pedantic(lambda: asked @ vectors.T, rounds=ROUNDS, warmup_rounds=2)
    ratio = pair_by_pair / benchmark.stats.stats.median
    pairs = len(asked) * len(vectors)
    print(f"\n{pairs:,} pairs: one at a time {pair_by_pair:.3f} s, at once {pair_by_pair / ratio:.6f} s: {ratio:.0f}×")
    assert torch.allclose(alone, together, atol=1e-5)
    # The helper gives the same order as the loop.
    best = [search.find(question, 1)[0][0] for question in questions[:8]]
    assert best == alone[:8].argmax(1).tolist()
    assert ratio >= 20
