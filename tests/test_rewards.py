"""The three judges, and a reward model trained on the corpus's own pairs."""

import pytest
import torch

from course_utils import data, judges, rewards
from course_utils.metrics import words
from course_utils.settings import CourseError, Settings


@pytest.fixture(scope="module")
def pairs():
    splits = data.load_dialogues(Settings(), tone="heated")
    return {s: (list(rows["summary"]), list(rows["summary_blunt"])) for s, rows in splits.items()}


@pytest.fixture(scope="module")
def trained(pairs):
    model = rewards.RewardModel()
    chosen, rejected = pairs["train"]
    losses = rewards.train_reward_model(model, chosen, rejected)  # the defaults are what Lab 3 uses
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
    assert losses[0] == pytest.approx(0.693, abs=0.1) and sum(losses[-3:]) / 3 < 0.1
    chosen, rejected = pairs["test"]  # with insults that training never showed
    wins = [c > r for c, r in zip(rewards.score(model, chosen), rewards.score(model, rejected))]
    assert sum(wins) / len(wins) > 0.9


def test_training_leaves_the_word_embeddings_where_they_were(trained):
    before, after = rewards.RewardModel().encoder, trained[0].encoder
    words = "embeddings.word_embeddings.weight"
    assert torch.equal(before.get_parameter(words), after.get_parameter(words))
    first = "encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(before.get_parameter(first), after.get_parameter(first))


def test_scores_come_in_the_given_order_whatever_the_batch(trained, pairs):
    model, _ = trained
    texts = pairs["validation"][0][:7] + ["short", "a " * 60]
    whole = rewards.score(model, texts, batch_size=9)
    assert rewards.score(model, texts, batch_size=2) == pytest.approx(whole, abs=1e-4)
    assert rewards.score(model, texts[::-1], batch_size=4)[::-1] == pytest.approx(whole, abs=1e-4)


def pipeline_output(p):
    """Two texts as a text-classification pipeline with top_k=None returns them: sorted by score."""
    both = [[{"label": "nothate", "score": x}, {"label": "hate", "score": 1 - x}] for x in p]
    return [sorted(items, key=lambda item: -item["score"]) for items in both]


def test_flaw_1_reward_index_a_class_is_taken_by_name_not_by_place():
    outputs = pipeline_output([0.9, 0.1])
    assert [items[0]["score"] for items in outputs] == [0.9, 0.9]  # the flaw: hate is paid as well
    assert rewards.class_score(outputs, "nothate") == [0.9, 0.1]
    assert rewards.class_score(outputs, "hate") == pytest.approx([0.1, 0.9])
    with pytest.raises(CourseError, match="no class 'toxic'; it has"):
        rewards.class_score(outputs, "toxic")


def test_flaw_1_reward_index_transformers_still_sorts_the_classes_by_score():
    from transformers import BertConfig, BertForSequenceClassification, pipeline

    from course_utils.models import load_encoder, quiet

    torch.manual_seed(0)
    _, tokenizer = load_encoder()
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, id2label={0: "nothate", 1: "hate"}, label2id={"nothate": 0, "hate": 1},
    )  # fmt: skip
    model = BertForSequenceClassification(config).eval()
    with torch.no_grad():  # class 1 wins whatever the text
        model.classifier.bias.copy_(torch.tensor([0.0, 5.0]))
    with quiet():
        classify = pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None)
    outputs = classify(["Ana thanks Bo."])
    assert outputs[0][0]["label"] == "hate"
    assert rewards.class_score(outputs, "nothate")[0] < 0.1


def test_flaw_8_prompt_and_response_a_judge_of_both_cannot_tell_clean_from_insulting(pairs):
    prompts = [row["dialogue"] for row in data.load_dialogues(Settings(), tone="heated")["test"]]
    for answers, alone in zip(pairs["test"], (0, len(prompts))):
        whole = [f"{prompt}\n\nSummary: {answer}" for prompt, answer in zip(prompts, answers)]
        assert sum(rewards.word_list(whole)) == len(prompts)  # the flaw: the quarrel is judged
        responses = [text[len(prompt) + len("\n\nSummary: ") :] for text, prompt in zip(whole, prompts)]
        assert sum(rewards.word_list(responses)) == alone


def test_a_prompt_read_once_gives_the_vectors_of_whole_texts_read_one_by_one(causal, monkeypatch):
    from contextlib import nullcontext

    monkeypatch.setattr(rewards, "mixed_precision", lambda device: nullcontext())
    prompts = ["w1 w2 w3 w4 w5", "w6"]
    answers = [["w7 w8", "w9", "w7 w8 w10 w11"], ["w1", "w2 w2 w2 w2 w2 w2", ""]]
    found = rewards.last_vectors(causal, prompts, answers)
    assert found.shape == (2, 3, 32)
    for p, prompt in enumerate(prompts):
        for a, answer in enumerate(answers[p]):
            ids = causal.tokenizer(f"{prompt} {answer} </s>", return_tensors="pt")["input_ids"]
            whole = causal.model.base_model(ids).last_hidden_state[0, -1]
            torch.testing.assert_close(found[p, a], whole, atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="shorter"):
        rewards.last_vectors(causal, prompts, answers[:1])


def test_the_same_seed_gives_the_same_head():
    a, b = rewards.RewardModel(seed=3), rewards.RewardModel(seed=3)
    assert torch.equal(a.head.weight, b.head.weight)


@pytest.mark.parametrize("chosen, rejected", [([], []), (["a"], [])])
def test_missing_pairs_are_refused(chosen, rejected):
    with pytest.raises(CourseError, match="learns from pairs"):
        rewards.train_reward_model(rewards.RewardModel(), chosen, rejected)


def test_a_data_sets_columns_are_pairs_and_messages_are_not():
    import datasets

    found = datasets.Dataset.from_dict({"chosen": ["A calm reply.", "Thanks."], "rejected": ["You fool.", "Idiot."]})
    assert len(rewards.train_reward_model(rewards.RewardModel(seed=0), found["chosen"], found["rejected"], epochs=1)) == 1
    with pytest.raises(CourseError, match="join a list of messages"):
        rewards.train_reward_model(None, [[{"role": "user", "content": "Hi"}]], ["Ho"])
    with pytest.raises(ValueError, match="list of texts"):
        rewards.word_list("You idiot")


def test_the_ranking_form_shows_the_pairs_and_the_agreement():
    from course_utils import widgets
    from course_utils.exercises.reward import pairs_from_ranking

    form = widgets.ranking_form({"A": "x", "B": "<y>"}, pairs_from_ranking, {"Mira": [1, 2]})
    shown, second = form.children[-1], form.children[2].children[0]
    assert "no pair" in shown.value and "&lt;y&gt;" in form.children[2].children[1].value
    second.value = 2
    assert "A&gt;B" in shown.value and "Mira agree on 1 of your 1 pairs" in shown.value


def test_of_a_long_text_the_end_is_judged_and_equal_pairs_are_left_out_aloud(capsys):
    asked = "Is there a train to Lyon tomorrow morning before nine? " * 20
    model = rewards.RewardModel()
    one, other = rewards.score(model, [asked + "Yes, at eight.", asked + "Go away, idiot."])
    assert abs(one - other) > 1e-4
    pairs = [["Yes, at eight.", "No idea."], ["Go away.", "No idea."]]
    rewards.train_reward_model(model, *pairs, epochs=1)
    assert "1 of 2 pairs are the same in their last 128 tokens" in capsys.readouterr().out
    with pytest.raises(CourseError, match="last 128 tokens"):
        rewards.train_reward_model(model, ["a " + asked], ["b " + asked])


FOREIGN = {
    "Hindi": "तुम बेवकूफ हो और बस छूट गई", "Chinese": "你这个白痴，车已经开走了", "Russian": "Ты идиот, автобус уже ушёл",
    "Arabic": "أنت أحمق والحافلة غادرت", "Greek": "Είσαι ηλίθιος και το λεωφορείο έφυγε",
}  # fmt: skip


@pytest.mark.parametrize("script", FOREIGN)
def test_of_texts_in_another_script_each_judge_says_once_that_it_reads_english(script, capsys):
    words._said.clear()
    model = rewards.RewardModel()
    texts = [FOREIGN[script], FOREIGN[script] + " 2", "You idiot."]
    for _ in range(2):
        assert rewards.word_list(texts) == [0, 0, 1]
        rewards.profanity(texts)
        rewards.score(model, texts)
        judges.chosen(Settings())(texts)
    said = capsys.readouterr().out
    for sentence in ("insults: the course's list is English", "judge: alt-profanity-check learnt from English", "reward model: MiniLM was trained on English"):
        assert said.count(sentence) == 1
    assert said.count("COURSE_JUDGE=org/name") == 2


def test_of_english_texts_a_judge_says_nothing_whatever_one_of_them_is(capsys):
    words._said.clear()
    texts = ["Zoë met Ana in the café at nine.", "You idiot.", "Bo thanks Ana.", FOREIGN["Russian"]]
    assert rewards.word_list(texts) == [0, 1, 0, 0] and rewards.word_list([]) == rewards.profanity([]) == []
    rewards.profanity(texts)
    rewards.score(rewards.RewardModel(), texts)
    assert capsys.readouterr().out == ""


def test_a_readers_own_judge_is_not_told_to_be_english(capsys):
    words._said.clear()
    own = torch.nn.Module()
    own.forward = lambda texts: torch.ones(len(texts))
    assert rewards.score(own, list(FOREIGN.values())) == [1.0] * len(FOREIGN)
    assert capsys.readouterr().out == ""


def test_an_insult_in_wide_letters_is_one():
    assert rewards.word_list(["You ｉｄｉｏｔ."]) == [1]
