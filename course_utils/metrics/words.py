"""What counts as a word, in any script: one definition for every metric of the course.

``rouge_score`` keeps the letters a to z and the digits only. So two different Hindi texts that share
a number score 1, two equal ones without a number score 0, and French *été* becomes *t*. Here a word
is a run of letters, their combining marks, and digits. In scripts that put no spaces between words
(Chinese, Japanese, Thai and others) each character counts as a word. Words of plain English are
exactly those of ``rouge_score``.

The same letter or digit may be written in several ways: ４０ and 40, ﬁnd and find, é in one character
or in two. :func:`one_form` makes them one, for every metric.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from functools import cache, lru_cache

import regex

# Scripts written without spaces between words.
UNSPACED = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
    r"\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Tham}\p{Tai_Viet}\p{Javanese}\p{Balinese}"
)
# The long-vowel mark of Japanese belongs to no script, and joiners show nothing by themselves.
_NO_SPACES = rf"[[{UNSPACED}ー]&&[\p{{L}}\p{{M}}]]"
_ALONE = rf"{_NO_SPACES}\p{{M}}*"
LETTER = r"[\p{L}\p{M}\p{Nd}]"
_WORD = regex.compile(rf"{_ALONE}|(?:(?!{_NO_SPACES}){LETTER})+", regex.V1)
_PIECE = regex.compile(rf"{_ALONE}|(?:(?!{_NO_SPACES})\S)+", regex.V1)
# A letter or digit that must not continue a word found in a text. Korean writes particles straight
# onto a word, so its letters do not count either.
SPACED = regex.compile(rf"[[\p{{L}}\p{{M}}\p{{Nd}}]--[\p{{Hangul}}ー{UNSPACED}]]", regex.V1)
VARIANTS = ("<wide>", "<narrow>", "<font>", "<initial>", "<medial>", "<final>", "<isolated>")  # Unicode's tags
_JOINERS = regex.compile("[\u200c\u200d]")
_LETTERS = regex.compile(r"[\p{L}\p{M}]")
_OTHER_LETTERS = regex.compile(r"[[\p{L}\p{M}\p{Nd}]--[A-Za-z0-9]]", regex.V1)  # and digits
_FOR_BLEU = (  # the first with a twentieth of the letters decides; sacrebleu's names
    ("char", regex.compile(rf"[[{UNSPACED}]--\p{{Han}}]", regex.V1)),
    ("zh", regex.compile(r"\p{Han}")),
    ("intl", regex.compile(r"[\p{L}--\p{Latin}]", regex.V1)),
)


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation.

    >>> words("Zoë's été, 2 tickets; हिन्दी 明天")
    ['zoë', 's', 'été', '2', 'tickets', 'हिन्दी', '明', '天']
    """
    return _WORD.findall(without_joiners(text))


def without_joiners(text: str) -> str:
    """Lower case, accents and letters in one form, no invisible joiners."""
    return _JOINERS.sub("", one_form(text).lower())


def one_form(text: str) -> str:
    """Letters and digits in their one plain form: of full or half width, ligatures, mathematical letters, accents.

    A part of Unicode's NFKC (UAX 15). What NFKC changes beyond the form is left alone: ² is not 2 and ½ is not 1⁄2,
    as ``rouge_score`` has it. ASCII stays as it is.

    >>> one_form("４０％ ﬁnd ｶﾞ cafe\\u0301 m²")
    '40% find ガ café m²'
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text.translate(_plain_forms()))


@cache
def _plain_forms() -> dict[int, str]:
    """Code point → plain form, of all that Unicode calls a variant of a letter, mark or digit."""
    found = {}
    for code in range(0x80, 0x1F000):
        tag = unicodedata.decomposition(chr(code)).partition(" ")[0]
        letter = tag == "<compat>" and unicodedata.category(chr(code))[0] == "L"  # ligatures and the like
        if letter or tag in VARIANTS:
            found[code] = unicodedata.normalize("NFKC", chr(code))
    return found


def pieces(text: str) -> list[str]:
    """What stands between spaces, punctuation included; unspaced scripts one character at a time."""
    return _PIECE.findall(one_form(text))


def first_pieces(text: str, n: int) -> str:
    """The text up to its ``n``-th piece, with single spaces."""
    ends = [found.end() for found, _ in zip(_PIECE.finditer(text), range(n))]
    return " ".join(text[: ends[-1]].split()) if ends else ""


def bleu_tokenizer(texts: Sequence[str]) -> str:
    """The one of sacrebleu's tokenizers that fits the texts' script.

    ``13a`` (its default) for Latin letters, ``zh`` for Chinese, ``char`` for Japanese, Thai and
    other scripts without spaces, ``intl`` (punctuation by Unicode) for the rest. Its Japanese and
    ``flores`` tokenizers need downloads.
    """
    joined = "\n".join(texts)
    enough = len(_LETTERS.findall(joined)) / 20  # a μ or a ツ in English texts is no other script
    return next((name for name, letters in _FOR_BLEU if len(letters.findall(joined)) > enough), "13a")


def rouge(columns: Sequence[str], use_stemmer: bool = True) -> Callable[[str, str], dict]:
    """``score(reference, prediction)`` as ``rouge_score`` gives it, for texts in any script.

    Two English texts are scored by ``rouge_score``'s own words, others by :func:`words`. English is
    what has at most one letter in a hundred beyond a to z: a *Käsekuchen* in it changes nothing.
    """
    from rouge_score.rouge_scorer import RougeScorer

    english = RougeScorer(columns, use_stemmer=use_stemmer)
    any_script = RougeScorer(columns, tokenizer=WordTokenizer(use_stemmer))

    def score(reference: str, prediction: str) -> dict:
        reference, prediction = one_form(reference), one_form(prediction)
        both = f"{reference} {prediction}"
        others = len(_OTHER_LETTERS.findall(both))
        if 100 * others <= len(_LETTERS.findall(both)):
            return english.score(reference, prediction)
        if another_language(reference):  # a garbled answer to an English text is none
            say_once(
                "ROUGE: words are letters and digits of any script, single characters where a script "
                "has no spaces (rouge_score alone keeps a to z and 0 to 9); only English is stemmed."
            )
        return any_script.score(reference, prediction)

    return score


def another_language(text: str) -> bool:
    """More letters beyond a to z than loan words and names bring."""
    text = one_form(text)
    others = len(_OTHER_LETTERS.findall(text))
    return others > 2 and 30 * others > len(_LETTERS.findall(text))


def warn_unless_english(texts: Sequence[str], sentence: str) -> None:
    """Print ``sentence``, once, where most of the texts are in another language (by :func:`another_language`)."""
    if 2 * sum(map(another_language, texts)) > len(texts):
        say_once(sentence)


class WordTokenizer:
    """:func:`words` in the form that ``rouge_score.RougeScorer(tokenizer=…)`` takes.

    As there, words of more than three letters are stemmed by Porter's rules (1980), which are
    English: only words of a to z and digits are.
    """

    def __init__(self, use_stemmer: bool = True):
        self.use_stemmer = use_stemmer

    def tokenize(self, text: str) -> list[str]:
        found = words(text)
        if not self.use_stemmer:
            return found
        return [_stem(word) if len(word) > 3 and word.isascii() else word for word in found]


@cache
def _stemmer():
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    return _stemmer().stem(word)


_said: set[str] = set()


def say_once(sentence: str) -> None:
    """Print a sentence the first time it is asked for."""
    if sentence not in _said:
        _said.add(sentence)
        print(sentence)
