"""Words in every script, and the metrics that count them."""

import numpy as np
import pytest
import sacrebleu
from rouge_score import rouge_scorer, tokenizers

from course_utils import data, metrics
from course_utils.metrics import words

TEXTS = {
    "Arabic": "اشترت سارة تذكرتين للقطار المتأخر",
    "Chinese": "客服让用户明天再打电话。",
    "Greek": "Η Άννα αγόρασε δύο εισιτήρια",
    "Hebrew": "שרה קנתה שני כרטיסים לרכבת",
    "Hindi": "अन्ना ने दो टिकट खरीदे हैं",
    "Japanese": "アンナは遅い電車の切符を二枚買った。",
    "Khmer": "អាណាបានទិញសំបុត្រពីរ",
    "Korean": "안나는 늦은 기차표 두 장을 샀다",
    "Persian": "آنا دو بلیت می‌خرد و می‌رود",
    "Russian": "Анна купила два билета на поезд",
    "Tamil": "அன்னா இரண்டு டிக்கெட்டுகளை வாங்கினாள்",
    "Thai": "แอนนาซื้อตั๋วรถไฟสองใบ",
    "Vietnamese": "Anna mua hai vé tàu muộn",
}


@pytest.mark.parametrize("script", TEXTS)
def test_a_text_equals_itself_in_any_script(script):
    text = TEXTS[script]
    assert metrics.rouge_table([text], [[text]])[0] == pytest.approx([1, 1, 1])
    own = metrics.load("rouge").compute(predictions=[text], references=[text])
    assert own["rouge1"] == own["rougeL"] == 1
    assert metrics.load("bleu").compute(predictions=[text], references=[[text]])["score"] == pytest.approx(100)
    assert metrics.copy_rate(text, text) == 1


def test_numbers_in_other_digits_are_words_too():
    assert metrics.rouge_table(["१२३ ४५"], [["१२३ ४५"]]).tolist() == [[1, 1, 1]]
    assert metrics.rouge_table(["१२३"], [["४५६"]])[0, 0] == 0


def test_texts_that_share_a_number_are_not_the_same():
    # 40 is one of five words here and one of five there.
    table = metrics.rouge_table(["अन्ना ने 40 टिकट खरीदे"], [["राम की 40 किताबें खो"]])
    assert table[0, 0] == pytest.approx(1 / 5)


@pytest.mark.parametrize("text, expected", [
    ("L'été, à 9:30", ["l", "été", "à", "9", "30"]),
    ("हिन्दी में", ["हिन्दी", "में"]),
    ("明天见, Anna!", ["明", "天", "见", "anna"]),
    ("ตั๋วที่", ["ตั๋", "ว", "ที่"]),
    ("コーヒー", ["コ", "ー", "ヒ", "ー"]),
    ("une e\u0301cole", ["une", "école"]),
    ("snake_case ½ m²", ["snake", "case", "m"]),
    ("👍 …", []),
])  # fmt: skip
def test_words_by_hand(text, expected):
    assert words.words(text) == expected


# The same text in two ways of writing it.
WAYS = [
    ("It costs ４０ euros.", "It costs 40 euros."), ("Please ﬁnd the ﬂoor.", "Please find the floor."), ("Ｆｉｎｄ Ａｎａ．", "Find Ana."),
    ("Ana met Bo in a cafe\u0301.", "Ana met Bo in a caf\u00e9."), ("à l'e\u0301cole d'e\u0301te\u0301", "à l'école d'été"),
    ("ｶﾞｽを４０円", "ガスを40円"), ("か\u3099", "が"), ("\ufef3\ufe98\ufedc\ufee0\ufee2", "يتكلم"), ("𝟒𝟎 𝐟𝐢𝐧𝐝", "40 find"),
]  # fmt: skip


@pytest.mark.parametrize("one, other", WAYS)
def test_another_way_to_write_a_letter_or_digit_changes_no_metric(one, other):
    assert one != other and words.words(one) == words.words(other)
    want = metrics.rouge_table([other, "Find 40 of them"], [[other]] * 2)
    for pair in ((one, one), (one, other), (other, one)):
        assert (metrics.rouge_table([pair[0]], [[pair[1]]]) == want[:1]).all()
    assert (metrics.rouge_table(["Find 40 of them"], [[one]]) == want[1:]).all()
    for predicted, reference in ((one, other), (other, one)):
        found = metrics.load("rouge").compute(predictions=[predicted], references=[reference])
        assert found["rouge1"] == found["rougeLsum"] == 1
        assert metrics.copy_rate(predicted, reference, n=1) == metrics.length_ratio(predicted, [reference]) == 1
        assert metrics.fact_recall(predicted, [{"answer": reference.strip(".．")}]) == 1
    assert metrics.distinct_n([one, other], 1) == metrics.distinct_n([other, other], 1)


def test_a_wide_number_is_not_a_part_of_another_one():
    assert metrics.fact_recall("共１４０元", [{"answer": "40"}]) == 0
    assert metrics.fact_recall("Ana pays ４０％ of it.", [{"answer": "40%"}]) == 1
    assert metrics.fact_recall("５ m² and ½", [{"answer": "m2"}]) == 0  # a power and a fraction say something else


def test_the_courses_own_texts_are_in_their_one_form_already():
    """So English is what it was, to the last bit: neither text nor words change."""
    for rows in data.load_dialogues().values():
        for row in rows.to_list():
            texts = [row["dialogue"], *data.references(row), *(fact["answer"] for fact in row["facts"])]
            assert all(words.one_form(text) == text for text in texts)
    english = "Zoë’s café… “40–50” ½ m² ™ № € …"
    assert words.one_form(english) == english


def test_english_words_are_those_of_rouge_score():
    """Whole dialogues and all references of the test split, with and without the stemmer."""
    rows = data.load_dialogues()["test"].to_list()
    texts = [row["dialogue"] for row in rows] + [text for row in rows for text in data.references(row)]
    plain = [text for text in texts if text.isascii()]
    assert len(plain) > 250
    for stem in (False, True):
        theirs, ours = tokenizers.DefaultTokenizer(stem), words.WordTokenizer(stem)
        assert all(theirs.tokenize(text) == ours.tokenize(text) for text in plain)


def test_english_scores_equal_rouge_score_to_the_last_digit():
    rows = data.load_dialogues()["test"].to_list()
    first = [metrics.first_words(row["dialogue"]) for row in rows]
    columns = ("rouge1", "rouge2", "rougeL")
    scorer = rouge_scorer.RougeScorer(columns, use_stemmer=True)
    want = [
        [np.mean([scorer.score(text, p)[c].fmeasure for text in data.references(row)]) for c in columns]
        for p, row in zip(first, rows)
    ]
    assert (metrics.rouge_table(first, [data.references(row) for row in rows]) == np.array(want)).all()


def test_what_counts_as_a_word_is_said_once(capsys):
    words._said.clear()
    for _ in range(2):
        metrics.rouge_table([TEXTS["Hindi"]], [[TEXTS["Thai"]]])
    metrics.rouge_table(["Zoë met Ana in the café at nine in the evening, and then both went home by bus."], [["English"]])
    names = "Søren met Thérèse at the station, and then both of them walked along the river to the old library, which was closed."
    words._said.clear()
    metrics.rouge_table([names], [[names]])  # three accents in English
    metrics.rouge_table(["ß日本語 a"], [["Her plan is to travel by train."]])  # a garbled answer to an English text
    assert capsys.readouterr().out.count("ROUGE:") == 1


def test_a_letter_of_another_script_does_not_change_how_bleu_cuts_words():
    english = "Anna is going to a market for some bread and some milk the day after."
    assert words.bleu_tokenizer([english] * 3 + [english + r" ¯\_(ツ)_/¯ 5 μm"]) == "13a"


def test_that_the_encoder_reads_english_is_said_once_and_of_other_texts_only(capsys):
    from course_utils.metrics.similarity import Embedder
    from course_utils.models import load_encoder

    embedder = Embedder(*load_encoder())
    words._said.clear()
    embedder.encode(["Zoë met Ana in the café at nine in the evening, and then both went home by bus."])
    assert capsys.readouterr().out == ""
    for _ in range(2):
        embedder.encode([TEXTS["Hindi"], TEXTS["Thai"]])
    assert capsys.readouterr().out.count("MiniLM was trained on English") == 1
    with pytest.raises(ValueError, match="list of texts"):
        embedder.encode("hello")


@pytest.mark.parametrize("script, tokenizer", [
    ("Chinese", "zh"), ("Japanese", "char"), ("Thai", "char"), ("Russian", "intl"), ("Hindi", "intl"), ("Vietnamese", "13a"),
])  # fmt: skip
def test_bleu_takes_the_tokenizer_of_the_script(script, tokenizer):
    text = TEXTS[script]
    got = metrics.load("bleu").compute(predictions=[text[:-2]], references=[[text]])
    want = sacrebleu.corpus_bleu([text[:-2]], [[text]], tokenize=tokenizer)
    assert got["tokenize"] == tokenizer and got["score"] == want.score


def test_baselines_count_characters_where_there_are_no_spaces():
    dialogue = "安娜: 明天见。\n李: 好的，再见，别忘了票。"
    assert metrics.first_words(dialogue, 5) == "安娜: 明天"
    assert metrics.longest_turn(dialogue).startswith("好的")
    assert metrics.length_ratio("明天", ["明天见了"]) == 0.5
    assert metrics.distinct_n(["明天明天"], 1) == 0.5
