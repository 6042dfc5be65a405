"""A classifier as a judge: read by the names of its classes, whatever their order; or one sentence."""

import json

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, LlamaConfig, LlamaForCausalLM

from course_utils import judges, models, rewards
from course_utils.settings import CourseError, Settings, current

TEXTS = ["Ana thanks Bo.", "Bo calls Ana a clown, and she leaves.", "a " * 700 + "clown"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """``save(name, labels)``: a tiny classifier, the same weights for each class name."""
    _, tokenizer = models.load_encoder()
    root = tmp_path_factory.mktemp("judges")
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, num_labels=2, **sizes)
    one = BertForSequenceClassification(config).eval()
    with torch.no_grad():  # large enough that texts differ
        for p in one.parameters():
            p.normal_(0, 0.5)

    def save(name, labels, turned=False, **more):
        model = BertForSequenceClassification(BertConfig(**{**config.to_dict(), **more}))
        state = {k: v.clone() for k, v in one.state_dict().items()}
        if turned:
            for key in ("classifier.weight", "classifier.bias"):
                state[key] = state[key].flip(0)
        model.load_state_dict(state)
        if labels:
            model.config.id2label = dict(enumerate(labels))
            model.config.label2id = {label: i for i, label in enumerate(labels)}
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
        return root / name

    save.model, save.tokenizer = one, tokenizer
    return save


def judge(place, label=None):
    return judges.chosen(Settings(judge=f"{place}:{label}" if label else str(place)))


def test_the_toxic_class_is_found_in_either_order(saved):
    first = judge(saved("a", ["nothate", "hate"]))(TEXTS)
    second = judge(saved("b", ["hate", "nothate"], turned=True))(TEXTS)
    assert first == pytest.approx(second, abs=1e-6)
    with torch.no_grad():  # by hand, alone
        logits = saved.model(**saved.tokenizer(TEXTS[:1], return_tensors="pt")).logits[0]
    assert first[0] == pytest.approx(logits.softmax(-1)[1].item(), abs=1e-6)
    assert len({round(p, 3) for p in first}) == 3
    assert judge(saved("a", ["nothate", "hate"]))([]) == []


def test_of_classes_that_exclude_nothing_each_is_yes_or_no(saved):
    place = saved("several", ["insult", "toxic"], problem_type="multi_label_classification")
    with torch.no_grad():
        logits = saved.model(**saved.tokenizer(TEXTS[:1], return_tensors="pt")).logits[0]
    assert judge(place)(TEXTS[:1]) == pytest.approx([logits[1].sigmoid().item()], abs=1e-6)


@pytest.mark.parametrize(
    "labels, right",
    [
        (["nothate", "hate"], 1), (["HATE", "NON_HATE"], 0), (["toxic", "non-toxic"], 0),
        (["not-offensive", "offensive"], 1), (["neutral", "toxic"], 1), (["clean", "dirty"], 1),
        (["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"], 0),
        (["normal", "hate speech"], 1), (["rude", "No Abuse"], 0),
    ],
)  # fmt: skip
def test_the_toxic_class_by_its_name(labels, right):
    assert judges.toxic_class(dict(enumerate(labels)), "COURSE_JUDGE=x") == right


@pytest.mark.parametrize("labels", [["LABEL_0", "LABEL_1"], ["negative", "positive"], ["hate", "offensive", "neither"], ["LABEL_0"]])
def test_names_that_leave_it_open_are_asked_about(labels):
    named = dict(enumerate(labels))
    with pytest.raises(CourseError, match=rf"name it: COURSE_JUDGE=x:{labels[-1]}, say"):
        judges.toxic_class(named, "COURSE_JUDGE=x")
    assert judges.toxic_class(named, "COURSE_JUDGE=x", labels[0].lower()) == 0
    with pytest.raises(CourseError, match=f"no class 'nothing'; it has {labels[0]}"):
        judges.toxic_class(named, "COURSE_JUDGE=x", "nothing")


def test_a_label_that_is_named_is_taken(saved):
    place = saved("bare", None)
    with pytest.raises(CourseError, match="does not tell which of its classes is the toxic one"):
        judge(place)
    p, q = (judge(place, label)(TEXTS)[0] for label in ("LABEL_0", "LABEL_1"))
    assert p + q == pytest.approx(1)


def test_a_label_is_told_from_a_path():
    assert judges.split("org/name") == ("org/name", None)
    assert judges.split("org/name:hate") == ("org/name", "hate")
    assert judges.split("C:/judges/one") == ("C:/judges/one", None)
    assert judges.split("C:\\judges\\one:hate") == ("C:\\judges\\one", "hate")


def test_without_a_choice_it_is_the_embedded_one(monkeypatch):
    monkeypatch.delenv("COURSE_JUDGE", raising=False)
    assert judges.chosen() is rewards.profanity and "judge" not in str(current())
    monkeypatch.setenv("COURSE_JUDGE", "org/name:hate")
    assert current().judge == "org/name:hate" and "org/name:hate" in str(current())


def test_what_cannot_judge_is_one_sentence(saved, tmp_path, monkeypatch):
    place = saved("spoilt", ["nothate", "hate"])
    with pytest.raises(CourseError, match="COURSE_JUDGE=./nowhere does not exist"):
        judge("./nowhere")
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=60, **sizes)).save_pretrained(tmp_path)
    with pytest.raises(CourseError, match="LlamaForCausalLM, which does not classify texts"):
        judge(tmp_path)
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2}))
    with pytest.raises(CourseError, match="COURSE_JUDGE=.* is not whole: 16 of its weights are missing"):
        judge(place)
    (place / "model.safetensors").rename(place / "pytorch_model.bin")
    with pytest.raises(CourseError, match="COURSE_JUDGE=.* only a pickle, which could run code"):
        judge(place)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(CourseError, match="COURSE_JUDGE=org/name cannot be read"):
        judge("org/name", "hate")


def test_a_decoders_judge_reads_padding_as_its_tokenizer_does_and_a_scale_is_refused(tmp_path):
    from conftest import make_tokenizer
    from transformers import LlamaForSequenceClassification

    classes = {"id2label": {0: "neutral", 1: "toxic"}, "label2id": {"neutral": 0, "toxic": 1}}
    torch.manual_seed(0)
    model = LlamaForSequenceClassification(LlamaConfig(
        vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        initializer_range=0.5, pad_token_id=None, **classes,
    ))  # fmt: skip
    tokenizer = make_tokenizer()
    tokenizer.pad_token = "<unk>"
    model.save_pretrained(tmp_path / "decoder")
    tokenizer.save_pretrained(tmp_path / "decoder")
    judge = judges._load(str(tmp_path / "decoder"), None)
    texts = ["w3 w4 w5 w6 w7 w8 w9", "w10 w11"]
    with torch.no_grad():
        assert torch.allclose(judge(texts), torch.cat([judge([text]) for text in texts]), atol=1e-3)
    scale = BertForSequenceClassification(BertConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_labels=1,
        problem_type="regression",
    ))  # fmt: skip
    scale.save_pretrained(tmp_path / "scale")
    tokenizer.save_pretrained(tmp_path / "scale")
    with pytest.raises(CourseError, match="a number on a scale of its own"):
        judges._load(str(tmp_path / "scale"), None)


def test_a_tokenizer_that_was_enlarged_without_its_model_is_one_sentence(saved):
    place = saved("enlarged", ["nothate", "hate"])
    assert len(judge(place)(["a clown"])) == 1
    _, tokenizer = models.load_encoder()
    tokenizer.add_tokens(["clownish"])
    tokenizer.save_pretrained(place)
    with pytest.raises(CourseError, match="COURSE_JUDGE=.* holds 'clownish', a token that its model has no embedding for"):
        judge(place)
