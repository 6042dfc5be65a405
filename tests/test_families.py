"""The three small models: their text, their objectives, and that the committed weights are what they claim."""

import json
import math

import numpy as np
import pytest
import torch

from course_utils import families
from course_utils.settings import CourseError
from course_utils.studies import families as study


def test_no_test_sentence_occurs_in_training_and_all_its_words_do():
    train = set(families.sentences())
    for part in ("validation", "test"):
        assert not train & set(families.sentences(part))
        assert all(families.encode(sentence) for sentence in families.sentences(part))


def test_encoding_and_decoding_are_inverse():
    ids = families.encode("she [MASK] an old car")
    assert ids[0] == families.START and ids[2] == families.MASK and ids[-1] == families.END
    assert families.decode(ids) == "she an old car"


def test_the_best_word_is_no_special_token():
    scores = torch.zeros(len(families.vocabulary()))
    scores[families.END], scores[families.vocabulary().index("car")] = 0.7, 0.3
    assert families.best_word(scores) == "car"
    assert families.likeliest(scores, 2) == "</s> .70  car .30"


def test_an_unknown_word_is_named():
    with pytest.raises(CourseError, match="'zebra'"):
        families.encode("a zebra opens the door")


def test_sentences_of_one_length_are_together():
    groups = families.by_length(["i see cars", "the cat", "we see cats"])
    assert {length: len(ids) for length, ids in groups.items()} == {4: 1, 5: 2}
    assert families.decode(groups[5][1].tolist()) == "we see cats"


def test_encoder_and_decoder_begin_as_the_same_model():
    a, b = families.make("encoder").state_dict(), families.make("decoder").state_dict()
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Recorder(torch.nn.Module):
    """Remembers what it read; gives every token the same probability."""

    def forward(self, ids, attention_mask=None, labels=None):
        self.ids, self.mask, self.labels = ids, attention_mask, labels
        logits = torch.zeros(*ids.shape, len(families.vocabulary()))
        return type("Output", (), {"logits": logits, "loss": torch.tensor(0.5)})


def test_masking_has_berts_shares_and_never_touches_special_tokens():
    model, ids = Recorder(), torch.tensor([families.encode("she buys an old car in the evening")] * 3000)
    loss = families.masked_loss(model, ids, np.random.default_rng(0))
    assert loss.item() == pytest.approx(math.log(len(families.vocabulary())), rel=1e-5)
    assert model.mask.all() and model.mask.shape == (3000, 1, 10, 10)
    assert (model.ids[:, 0] == families.START).all() and (model.ids[:, -1] == families.END).all()
    masked = (model.ids == families.MASK)[:, 1:-1].float().mean().item()
    swapped = ((model.ids != ids) & (model.ids != families.MASK))[:, 1:-1].float().mean().item()
    assert masked == pytest.approx(0.15 * 0.8, abs=0.01) and swapped == pytest.approx(0.15 * 0.1, abs=0.005)


def test_holes_have_one_to_four_words_and_can_be_filled_again():
    model, rng = Recorder(), np.random.default_rng(0)
    ids, sizes = torch.tensor([families.encode("she buys an old car")] * 8), set()
    for _ in range(40):
        families.span_loss(model, ids, rng)
        for read, written in zip(model.ids.tolist(), model.labels.tolist()):
            at = read.index(families.HOLE)
            assert written[0] == families.HOLE and written[-1] == families.CLOSE
            assert read[:at] + written[1:-1] + read[at + 1 :] == ids[0].tolist()
            sizes.add(len(written) - 2)
    assert sizes == {1, 2, 3, 4}


def test_training_is_the_same_for_the_same_seed_and_lowers_the_loss():
    rows = ("i see cars", "we see cats", "the cat sees you", "the dogs see you")
    losses = [families.train(families.make("decoder"), families.causal_loss, 12, rows=rows) for _ in range(2)]
    assert losses[0] == losses[1] and losses[0][-1] < losses[0][0] - 0.2


def test_a_study_that_was_interrupted_goes_on(tmp_path):
    few = dict.fromkeys(families.NAMES, 2)
    study.main(tmp_path, few)
    first = json.loads((tmp_path / "log.json").read_text())
    assert set(first["models"]) == set(families.NAMES) and list(first["models"]["decoder"]["written"]) == ["0"]
    del first["models"]["decoder"]
    (tmp_path / "log.json").write_text(json.dumps(first))
    before = (tmp_path / "encoder.safetensors").stat().st_mtime_ns
    study.main(tmp_path, few)
    assert (tmp_path / "encoder.safetensors").stat().st_mtime_ns == before
    families.load("decoder", tmp_path)


def test_a_file_that_is_not_the_logged_one_is_refused(tmp_path):
    (tmp_path / "log.json").write_text((families.HERE / "log.json").read_text())
    (tmp_path / "decoder.safetensors").write_bytes((families.HERE / "encoder.safetensors").read_bytes())
    with pytest.raises(CourseError, match="not the file of log.json"):
        families.load("decoder", tmp_path)


def test_the_committed_models_have_the_losses_of_their_log():
    log = json.loads((families.HERE / "log.json").read_text())["models"]
    for name in families.NAMES:
        found = study.held_out_loss(name, families.load(name))
        assert found == pytest.approx(log[name]["held-out loss"], abs=0.002)
    assert sum(path.stat().st_size for path in families.HERE.iterdir()) < 5e6
