"""The quiz at the end of week 2: fine-tuning, its measures, and PEFT."""

from __future__ import annotations

from .questions import Question

EXERCISES: list[Question] = [
    Question(
        "quiz2.1",
        "A base model continues \"What is the capital of Peru?\" with further questions. After instruction tuning on ten "
        "thousand pairs, none of them about Peru, it answers \"Lima\". What did the tuning add?",
        {
            "a": (
                "facts about the world, this one among them, that pretraining had left out",
                "No pair was about Peru, so this fact was there before. The pairs taught how to use it.",
            ),
            "b": (
                "mostly the habit of answering a request, by LIMA's reading",
                "No pair held the fact, so it was there before. The pairs teach that a question is answered, how, and when to stop.",
            ),
            "c": (
                "a longer context window",
                "The number of positions is fixed by the architecture and its pretraining, not by these pairs.",
            ),
            "d": (
                "a second model that prefers good answers",
                "No second model is trained here, and nothing is compared. Here the loss is still next-token cross-entropy.",
            ),
        },
        "b",
        "Where can the word Lima have come from, if no pair has it?",
    ),
    Question(
        "quiz2.2",
        "The pad token is also the end token. A collator sets the label to −100 wherever the id equals the pad id. "
        "What happens?",
        {
            "a": (
                "padding is ignored by the loss, which is what such a mask is for",
                "Padding is ignored, but so is each answer's real end token, which has the same id.",
            ),
            "b": (
                "the loss becomes infinite",
                "cross_entropy skips −100; the loss stays finite and looks healthy. That is what makes the fault hard to see.",
            ),
            "c": (
                "the model learns to answer with padding",
                "That is the opposite fault: padding kept as a label. Here the padding is masked, and more than the padding.",
            ),
            "d": (
                "the model is never taught to stop",
                "Each answer's end token is masked too. Labels and masks come from lengths, never from `ids != pad`.",
            ),
        },
        "d",
        "Which useful token has the same id as the padding?",
    ),
    Question(
        "quiz2.3",
        "Each dialogue has three rows, one for each reference. The rows are shuffled and cut 80 : 20. "
        "What is wrong with the test score?",
        {
            "a": (
                "most test dialogues were seen in training",
                "So the score is too good. Cut between sources, not between rows; and count one dialogue as one observation.",
            ),
            "b": (
                "20 % is too small for a test",
                "The size sets the width of the interval. Here something else makes the score wrong, however many rows there are.",
            ),
            "c": (
                "three references per dialogue make ROUGE too low",
                "The course averages over a dialogue's references: their number does not lower the score. The fault is in the split.",
            ),
            "d": (
                "it can be trusted only if the shuffle has a seed",
                "A seed makes a leak repeatable; it does not close it.",
            ),
        },
        "a",
        "Follow one dialogue's three rows through the shuffle.",
    ),
    Question(
        "quiz2.4",
        'The reference says "Bo will pay 40 euros on Monday." Which summary gets the lowest ROUGE-1?',
        {
            "a": (
                '"Bo will pay 90 euros on Monday."',
                "One word of seven differs: a wrong amount hardly costs anything in ROUGE-1, although it is false.",
            ),
            "b": (
                '"Bo will not pay 40 euros on Monday."',
                "All seven words are there and one is added: the negation is false, and nearly full marks.",
            ),
            "c": (
                '"The bill, 40, gets settled by him after the weekend."',
                "It may be true, but it shares a single word with the reference: overlap is not truth.",
            ),
            "d": (
                '"On Monday Bo will pay 40 euros."',
                "The same words in another order: ROUGE-1 cannot see order, and gives 1.0.",
            ),
        },
        "c",
        "Count shared words only, and do not ask what is true.",
    ),
    Question(
        "quiz2.5",
        "After training on one task, the task's score has risen. How do you find out whether the model has forgotten "
        "other things?",
        {
            "a": (
                "measure answers and text that no training touched, before and after",
                "Unrelated probes before and after, paired, with an interval. Mixing several tasks into training lowers the risk.",
            ),
            "b": (
                "look whether the training loss still falls",
                "The training loss knows only the trained task. Forgetting happens elsewhere.",
            ),
            "c": (
                "measure the loss on the validation split of the task that was trained, before and after",
                "Validation tells whether the task generalises to new inputs, not what happened to other tasks.",
            ),
            "d": (
                "it cannot have forgotten anything if LoRA was used, since the base is frozen",
                "The base weights are safe, and come back when the adapter is removed; with the adapter on, the outputs can be worse.",
            ),
        },
        "a",
        "What would change if something were forgotten?",
    ),
    Question(
        "quiz2.6",
        "Fine-tuning with Adam in fp32, without activations: a weight takes 4 bytes, its gradient 4, Adam's two averages 8. "
        "A model has 1 billion weights; LoRA trains 1 % of them beside it. How much memory do the two methods take?",
        {
            "a": (
                "full 4 GB, LoRA 0.04 GB",
                "You forgot gradients and averages for full fine-tuning, and the frozen weights for LoRA: they must still be in memory.",
            ),
            "b": (
                "full 16 GB, LoRA 0.16 GB",
                "LoRA's own 10 million weights take 0.16 GB, but the forward pass needs the frozen billion as well.",
            ),
            "c": (
                "both 16 GB, since gradients flow through every layer",
                "They flow *through* the frozen layers, but none is stored for a frozen weight, and Adam keeps nothing for it.",
            ),
            "d": (
                "full 16 GB, LoRA about 4.2 GB",
                "4 GB of frozen weights, plus 16 bytes for each of 10 million trained ones. What is left to shrink is the base: quantise it.",
            ),
        },
        "d",
        "For each of the frozen weights count 4 bytes, for each of the trained ones 16.",
    ),
    Question(
        "quiz2.7",
        "Full fine-tuning went well at a learning rate of 1e-4. With LoRA (B = 0 at the start) and the same rate, "
        "the loss hardly moves. What do you try first?",
        {
            "a": (
                "a much larger rank, because rank 8 cannot hold the task",
                "Rank may matter, but nothing shows that yet: with a rate this low, the capacity that is there is not being used.",
            ),
            "b": (
                "a learning rate many times higher, compared on validation",
                "A rate belongs to a method. LoRA's two thin matrices usually want ten times the rate or more; measure, do not copy.",
            ),
            "c": (
                "start B at random instead of zero, so that gradients can flow",
                "B gets a gradient at once, because A is random. A random B would only disturb the model at the start.",
            ),
            "d": (
                "choose the rate that gives the best test score",
                "Choosing on test makes the test a second validation split. Choose on validation, report on test.",
            ),
        },
        "b",
        "Which of the settings was chosen for another method?",
    ),
    Question(
        "quiz2.8",
        "You serve one base model with twenty LoRA adapters, one for each customer. Which statement is true?",
        {
            "a": (
                "merging all twenty into the base gives one model that serves everybody",
                "Their updates would be added together: each customer would get a mixture of all twenty.",
            ),
            "b": (
                "a merged adapter makes the model larger than the base",
                "(α / r) · B A has the shape of W and is added into it: the size does not change.",
            ),
            "c": (
                "kept apart, each can be switched on for its own request",
                "Small files and quick switching. Merged, one adapter saves the detour and fills a whole copy of the base.",
            ),
            "d": (
                "merging changes the outputs, so it needs another training run",
                "W x + (α / r) B A x = (W + (α / r) B A) x: the outputs agree up to rounding.",
            ),
        },
        "c",
        "W x + s B A x = (W + s B A) x.",
    ),
    Question(
        "quiz2.9",
        "QLoRA: a base in 4 bits and LoRA on top. What is trained, and in which precision?",
        {
            "a": (
                "the 4-bit weights, with gradients rounded to 4 bits",
                "An update far smaller than a 4-bit step would be rounded away. The base is frozen.",
            ),
            "b": (
                "the scales of the 4-bit blocks, since a quantised model has no other numbers",
                "The scales are fixed when the base is rounded. A frozen layer still passes gradients on to the adapters, which are numbers of their own.",
            ),
            "c": (
                "A and B, in 4 bits too, so that they can be added into the base",
                "The adapter stays in 16 or 32 bits: it is small, and it needs small steps.",
            ),
            "d": (
                "A and B, in 16 or 32 bits; the 4-bit base is only read",
                "Only the adapter trains; the base is dequantised where it is used. A and B can even make up for part of its rounding.",
            ),
        },
        "d",
        "How large is one step of a 4-bit grid, and how large one update?",
    ),
    Question(
        "quiz2.10",
        "A model scores 92 % on a public benchmark that is older than its training data. What follows?",
        {
            "a": (
                "it is right on 92 % of new questions of that kind",
                "Only if the benchmark's questions were not in its training data. With data from the whole web that is the question.",
            ),
            "b": (
                "little, until an overlap with its training data is ruled out",
                "Contamination makes recall look like skill: search for shared runs of words, or test on questions written later.",
            ),
            "c": (
                "public benchmarks are useless, since any of them may have been read",
                "Too strong: newer or private questions of the same kind show whether the score holds.",
            ),
            "d": (
                "the test is contaminated, for the model must have been trained on it",
                "It may be; age alone makes it possible, not certain. Search the training data for long shared runs of words.",
            ),
        },
        "b",
        "What could the model have read?",
    ),
]
