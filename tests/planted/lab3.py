"""Plausible wrong answers: id → [(answer, words of the message it gets)]."""

PLANTED = {}
