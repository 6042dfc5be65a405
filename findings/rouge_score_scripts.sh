#!/usr/bin/env bash
# rouge_score gives 0 to a Hindi summary that equals its reference, and 1 to two Russian ones that share a number.
#
# Library   rouge-score 0.1.2
# Expected  identical texts score 1 in any script; texts without a common word score 0
# Seen      Hindi .00, Chinese .00, English 1.00; two Russian texts that share only "40" score 1.00
# Why       the tokenizer keeps a-z and 0-9 only; nothing is printed. A course or a leaderboard in another
#           script measures which digits two texts share.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"${PYTHON:-python3}" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet rouge-score==0.1.2
"$place/venv/bin/python" - <<'END'
import sys

from rouge_score import rouge_scorer

scorer = rouge_scorer.RougeScorer(["rouge1"], use_stemmer=False)
cases = [
    ("English, identical", "The trains are late today.", "The trains are late today.", 1.0),
    ("Hindi, identical", "आज ट्रेनें देर से चल रही हैं।", "आज ट्रेनें देर से चल रही हैं।", 0.0),
    ("Chinese, identical", "今天火车晚点。", "今天火车晚点。", 0.0),
    ("Russian, a shared number", "Анна купила 40 яблок.", "Поезд опоздал, мест было 40.", 1.0),
]
as_seen = True
for name, reference, text, seen in cases:
    found = scorer.score(reference, text)["rouge1"].fmeasure
    as_seen &= abs(found - seen) < 1e-6
    print(f"{name:26s} ROUGE-1 {found:.2f} (seen {seen:.2f})")
sys.exit(0 if as_seen else 1)
END
