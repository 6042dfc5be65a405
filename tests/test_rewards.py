"""The three judges, and a reward model trained on the corpus's own pairs."""

import pytest
import torch

from course_utils import data, rewards
from course_utils.settings import CourseError, Settings


@pytest.fixture(scope="module")
def pairs():
    splits = data.load_dialogues(Settings(), tone="heated")
    return {s: (list(rows["summary"]), list(rows["summary_blunt"])) for s, rows in splits.items()}


@pytest.fixture(scope="module")
def trained(pairs):
    model = rewards.RewardModel()
    chosen, rejected = pairs["train"]
    losses = rewards.train_reward_model(model, chosen, rejected, epochs=2)
    return model, losses


def test_the_word_list_sees_words_and_not_parts_of_words():
    texts = ["You IDIOT!", "An idiotic plan.", "Ana buys bread.", "A pesto sauce", "two-faced"]
    assert rewards.word_list(texts) == [1, 1, 0, 0, 1]


def test_the_classifier_tells_plain_insults_and_takes_an_empty_list():
    nice, nasty = rewards.profanity(["Thank you for the bread.", "You are a pathetic idiot."])
    assert nice < 0.2 < 0.8 < nasty
    assert rewards.profanity([]) == []


def test_the_word_list_separates_blunt_from_neutral_by_construction(pairs):
    chosen, rejected = pairs["test"]
    assert sum(rewards.word_list(chosen)) == 0
    assert sum(rewards.word_list(rejected)) == len(rejected)


def test_training_learns_the_preference_and_generalises_to_unseen_insults(trained, pairs):
    model, losses = trained
    assert losses[0] == pytest.approx(0.693, abs=0.1) and sum(losses[-3:]) / 3 < 0.3
    chosen, rejected = pairs["test"]  # with insults that training never showed
    wins = [c > r for c, r in zip(rewards.score(model, chosen), rewards.score(model, rejected))]
    assert sum(wins) / len(wins) > 0.8


def test_scores_come_in_the_given_order_whatever_the_batch(trained, pairs):
    model, _ = trained
    texts = pairs["validation"][0][:7] + ["short", "a " * 60]
    whole = rewards.score(model, texts, batch_size=9)
    assert rewards.score(model, texts, batch_size=2) == pytest.approx(whole, abs=1e-4)
    assert rewards.score(model, texts[::-1], batch_size=4)[::-1] == pytest.approx(whole, abs=1e-4)


def test_the_same_seed_gives_the_same_head():
    a, b = rewards.RewardModel(seed=3), rewards.RewardModel(seed=3)
    assert torch.equal(a.head.weight, b.head.weight)


@pytest.mark.parametrize("chosen, rejected", [([], []), (["a"], [])])
def test_missing_pairs_are_refused(chosen, rejected):
    with pytest.raises(CourseError, match="learns from pairs"):
        rewards.train_reward_model(rewards.RewardModel(), chosen, rejected)
