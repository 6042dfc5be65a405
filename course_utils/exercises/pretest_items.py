"""Ten questions before each week. Each asks what the quiz's question of the same number asks.

Numbers, wording and the order of the options differ. No answer is judged before the quiz, so the
options carry no reasons.
"""

from __future__ import annotations

from .questions import Question


def _ask(id: str, text: str, right: str, *options: str) -> Question:
    return Question(id, text, {letter: (o, "") for letter, o in zip("abcd", options, strict=True)}, right)


WEEKS = {  # week → the quiz at its end, and its ten questions
    "week1": ("quiz1", [
        _ask(
            "pretest1.1", "A window holds 4,096 tokens. A report takes 3,900 of them, and its summary may take 400. What has to go?", "d",
            "no token: the summary is written outside the window",
            "no token, if max_new_tokens is set to 400 beforehand",
            "the whole report but its title: the model has read the rest before",
            "at least 204 tokens of the report",
        ),
        _ask(
            "pretest1.2", "One long text, a thousand processors. Why does training a transformer keep them busy, and training a recurrent network not?", "b",
            "a transformer reads only a part of the text",
            "no position has to wait for the result of the one before it",
            "a transformer's layers hold far fewer numbers each",
            "a recurrent network cannot be trained on a text this long at all",
        ),
        _ask(
            "pretest1.3", "One query and two keys, each nine numbers long. The products query · key are 3.3 and 0; the values are the single numbers "
            "4 and 0. What does scaled dot-product attention return, nearly? (e^1.1 ≈ 3, e^3.3 ≈ 27)", "a",
            "3", "3.9", "4", "4.4",
        ),
        _ask(
            "pretest1.4", "Three jobs: (1) answering in a conversation; (2) one vector for each review, for a classifier; (3) turning a finished "
            "article into a headline. Which families were made for them, in this order?", "c",
            "encoder-only, decoder-only, encoder-decoder",
            "decoder-only, encoder-decoder, encoder-only",
            "decoder-only, encoder-only, encoder-decoder",
            "encoder-decoder, encoder-only, decoder-only",
        ),
        _ask(
            "pretest1.5", "With three worked sums in front of it, a fourth sum is answered right. A minute later you want the fifth answered as well. What do you send?", "d",
            "the fifth sum alone: the model has learnt from the three",
            "the fifth sum, after saving the weights that the three have changed",
            "the fifth sum, and the word \"again\"",
            "the three worked sums once more, and the fifth",
        ),
        _ask(
            "pretest1.6", "Two tokens have the probabilities 0.9 and 0.1 at temperature 1. What are they at temperature 0.5?", "a",
            "0.99 and 0.01", "0.75 and 0.25", "1 and 0", "0.9 and 0.1",
        ),
        _ask(
            "pretest1.7", "A model has 3 billion weights in FP32. How much memory do the weights take, and how much is it with gradients and all that Adam keeps?", "c",
            "12 GB, and 24 GB", "12 GB, and 36 GB", "12 GB, and 48 GB", "96 GB, and 384 GB",
        ),
        _ask(
            "pretest1.8", "A gradient of 100,000 becomes infinite in FP16 and stays near 100,000 in BF16. What is the difference between the two formats?", "b",
            "BF16 has more bits in all",
            "more of BF16's bits are exponent",
            "BF16's mantissa is longer",
            "BF16 is rounded only at the end of a step",
        ),
        _ask(
            "pretest1.9", "Eight GPUs train one model. What does each of them store with DDP, and with ZeRO stage 1?", "c",
            "DDP: an eighth of everything; stage 1: everything",
            "DDP: everything; stage 1: an eighth of weights, gradients and moments",
            "DDP: everything; stage 1: weights and gradients, and an eighth of the moments",
            "DDP: an eighth of the weights; stage 1: an eighth of the moments as well",
        ),
        _ask(
            "pretest1.10", "You have 1.2 · 10²⁰ operations; training costs about 6 · N · D. Which plan follows Chinchilla's rule of about 20 tokens per parameter?", "a",
            "1 billion parameters, 20 billion tokens",
            "2 billion parameters, 10 billion tokens",
            "2.4 billion parameters, 49 billion tokens",
            "100 million parameters, 200 billion tokens",
        ),
    ]),
    "week2": ("quiz2", [
        _ask(
            "pretest2.1", "A model used to repeat questions. Tuned on requests and answers, it names the river through Cairo, which is in no pair. What did the tuning add?", "c",
            "the name of the river, put together from the other pairs",
            "a longer memory for the question",
            "the manner of answering a question",
            "a judge that picks the better of two answers",
        ),
        _ask(
            "pretest2.2", "End and padding have the same id, and every label with this id is set to −100. After fine-tuning the model writes on and on. Why?", "a",
            "the end of an answer was never a label",
            "the padding was learnt as if it were text",
            "the loss had become infinite",
            "the prompt was learnt together with the answers, and comes back in them",
        ),
        _ask(
            "pretest2.3", "Each patient gave five samples. The samples are shuffled, and a fifth of them is set apart as the test. What follows for the test score?", "d",
            "it is too low, since there are five samples of each",
            "it is fair, because the shuffle does not look at the patients",
            "it says little, because a fifth is too small for any test",
            "it is too good: the patients are known",
        ),
        _ask(
            "pretest2.4", 'The reference says "Ana sells her old bike on Friday." Which summary gets the lowest ROUGE-1?', "b",
            '"Ana sells her new bike on Friday."',
            '"A cycle changes hands before the week ends."',
            '"Ana never sells her old bike on Friday."',
            '"On Friday Ana sells her old bike."',
        ),
        _ask(
            "pretest2.5", "A model was tuned on summaries. Which numbers show whether it has become worse at sums?", "d",
            "its loss on the summaries it was trained on",
            "the quality of its summaries of new dialogues",
            "the number of weights that the training has changed",
            "its answers to sums, before and after",
        ),
        _ask(
            "pretest2.6", "Adam in fp32, without activations: a weight takes 4 bytes, its gradient 4, Adam's two averages 8. A model has 2 billion weights; "
            "LoRA trains 1 % of them beside it. How much memory do full fine-tuning and LoRA take?", "b",
            "8 GB, and 0.08 GB",
            "32 GB, and about 8.3 GB",
            "32 GB, and 0.32 GB",
            "32 GB for either",
        ),
        _ask(
            "pretest2.7", "LoRA went well at a learning rate of 2e-3. With full fine-tuning and the same rate, the loss explodes. What do you try first?", "a",
            "a rate many times lower, compared on validation",
            "a model with fewer layers, since this one is too deep for its data",
            "the rate with the best score on the test split",
            "a longer training run at the same rate",
        ),
        _ask(
            "pretest2.8", "A phone holds one base model and three adapters, for letters, jokes and poems. Which statement is true?", "c",
            "merged together, the three make one model that does each as well as its own adapter did",
            "merging one of them makes the base model larger",
            "the one that a request needs can be switched on for it",
            "a merged adapter has to be trained again, as its outputs differ",
        ),
        _ask(
            "pretest2.9", "The base is stored in 4 bits, and LoRA trains on top. Where does the update of a training step go?", "d",
            "into the 4-bit weights, rounded",
            "into A and B, which have 4 bits too",
            "into the scales that belong to the 4-bit weights",
            "into A and B, in 16 or 32 bits",
        ),
        _ask(
            "pretest2.10", "An exam of 2019 is on the web. A model trained on the web of 2023 gets 95 % of it right. What follows?", "b",
            "it would get 95 % of a new exam right",
            "little, until one knows whether the exam was in its training text",
            "it must have learnt the exam by heart, as all the web was read",
            "that exams cannot be used to measure language models",
        ),
    ]),
    "week3": ("quiz3", [
        _ask(
            "pretest3.1", "Five answers to one prompt are ranked without ties. How many pairs (better, worse) does the ranking hold?", "b",
            "5", "10", "20", "4",
        ),
        _ask(
            "pretest3.2", "A reward model gives 0.5 to the chosen and −0.5 to the rejected answer. Then 7 is added to all its scores. What happens to its loss on this pair?", "d",
            "it falls, since the chosen one has a higher score", "it rises by 7", "it becomes 0", "it is as before",
        ),
        _ask(
            "pretest3.3", "A model is fine-tuned, then trained by RLHF for a thousand steps. Compared with which model should the KL penalty measure its drift?", "a",
            "the fine-tuned one, kept frozen",
            "the one of the step before, a moving target",
            "the pretrained one, before it was fine-tuned",
            "the reward model",
        ),
        _ask(
            "pretest3.4", "Two runs of RLHF, one with a KL penalty, one without. In the second the reward model's score is far higher. What do you expect of its texts?", "c",
            "they are better, in proportion to the score",
            "they are those of the start, as there was no gradient without a penalty",
            "they may be worse: it found what the reward model overrates",
            "they are equal to those of the first run",
        ),
        _ask(
            "pretest3.5", "PPO with ε = 0.1: a token has advantage +2, and its ratio has grown to 1.3. What is its part in the gradient of the policy?", "d",
            "it is pushed up, twice as hard as by an advantage of +1",
            "it is pushed down, until its ratio is 1.1 again",
            "the step is refused, as a ratio may not be above 1.1",
            "it has no part: its term is constant",
        ),
        _ask(
            "pretest3.6", "\"In all my 100 updates the whitened advantages had mean 0.0, so nothing was learnt.\" What do you answer?", "b",
            "true: advantages must grow when a policy learns",
            "any run has this mean, by whitening",
            "true, unless the value head was perfect",
            "the learning rate must have been too small to move the mean",
        ),
        _ask(
            "pretest3.7", "An answer earns a reward of 0.7, and PPO makes it less likely. How does the value head explain that?", "a",
            "it had predicted more than 0.7",
            "it had judged the answer itself, and given it less",
            "it had chosen other tokens than the policy",
            "it had found the answer too far from the reference",
        ),
        _ask(
            "pretest3.8", "A DPO run reports 0.693 for its first batch, before any update. What does that tell you?", "c",
            "the pairs are too hard: it should begin at 0",
            "the reward model gives both answers of a pair the same score",
            "policy and reference agree, as they should",
            "half of the pairs are labelled the wrong way round",
        ),
        _ask(
            "pretest3.9", "What do people contribute to the harmlessness training of constitutional AI?", "b",
            "comparisons of many pairs of answers", "a list of principles in plain words", "a list of words that must not occur", "the prompt that is shown to the model at deployment",
        ),
        _ask(
            "pretest3.10", "A third of a model's weights is set to 0, and it is saved in float32 as before. How do file and answering time change?", "d",
            "the file shrinks by a third, the time does not",
            "the time falls by a third, the file does not shrink",
            "both fall by a third",
            "neither of the two changes",
        ),
    ]),
}  # fmt: skip
