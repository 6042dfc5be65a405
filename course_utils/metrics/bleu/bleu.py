"""BLEU (Papineni et al. 2002) as a local `evaluate` module over sacrebleu: loads with no network."""

import datasets
import evaluate
import sacrebleu

from course_utils.metrics import words

_DESCRIPTION = (
    "Corpus BLEU by sacrebleu (0 to 100), with its n-gram precisions and brevity penalty."
)


class Bleu(evaluate.Metric):
    """`compute(predictions=[str], references=[[str]])` → {"score", "precisions", "bp", …}.

    `tokenize` is one of sacrebleu's tokenizers; by default the one that fits the references' script
    (`course_utils.metrics.words.bleu_tokenizer`). The result says which.
    """

    def _info(self):
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="Post, M. (2018). A Call for Clarity in Reporting BLEU Scores.",
            features=datasets.Features(
                {"predictions": text, "references": datasets.Sequence(text)}
            ),
        )

    def _compute(self, predictions, references, lowercase=False, tokenize=None):
        counts = {len(r) for r in references}
        if len(counts) != 1:
            raise ValueError("BLEU needs the same number of references for every prediction.")
        streams = [list(stream) for stream in zip(*references)]
        tokenize = tokenize or words.bleu_tokenizer([text for r in references for text in r])
        bleu = sacrebleu.corpus_bleu(predictions, streams, lowercase=lowercase, tokenize=tokenize)
        return {
            "score": bleu.score,
            "precisions": bleu.precisions,
            "bp": bleu.bp,
            "sys_len": bleu.sys_len,
            "ref_len": bleu.ref_len,
            "tokenize": tokenize,
        }
