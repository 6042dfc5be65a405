"""ROUGE (Lin 2004) as a local `evaluate` module: loads with no network, same keys as the hub's."""

import datasets
import evaluate
from rouge_score import scoring

from course_utils.metrics import words

_DESCRIPTION = "ROUGE-1/2/L/Lsum F-measures by the rouge_score package, averaged over predictions."
_KEYS = ("rouge1", "rouge2", "rougeL", "rougeLsum")


class Rouge(evaluate.Metric):
    """`compute(predictions=[str], references=[str] or [[str]])` → {"rouge1": …, …} in [0, 1].

    With several references the best one counts (as in the hub's module); `use_aggregator=False`
    gives one value per prediction. Words are those of `course_utils.metrics.words`.
    """

    def _info(self):
        text = datasets.Value("string")
        several = {"predictions": text, "references": datasets.Sequence(text)}
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="Lin, C.-Y. (2004). ROUGE: A Package for Automatic Evaluation of Summaries.",
            features=[
                datasets.Features(several),
                datasets.Features({"predictions": text, "references": text}),
            ],
        )

    def _compute(self, predictions, references, use_stemmer=False, use_aggregator=True):
        score = words.rouge(_KEYS, use_stemmer)
        scores = []
        for texts, prediction in zip(references, predictions):
            found = [score(r, prediction) for r in ([texts] if isinstance(texts, str) else texts)]
            scores.append({key: max((f[key] for f in found), key=lambda s: s.fmeasure) for key in _KEYS})
        if not use_aggregator:
            return {key: [score[key].fmeasure for score in scores] for key in _KEYS}
        aggregator = scoring.BootstrapAggregator()
        for score in scores:
            aggregator.add_scores(score)
        result = aggregator.aggregate()
        return {key: result[key].mid.fmeasure for key in _KEYS}
