"""The quiz at the end of week 1: what a model does, how it is built, and what it costs."""

from __future__ import annotations

from .questions import Question

EXERCISES: list[Question] = [
    Question(
        "quiz1.1",
        "A model's context window holds 8,192 tokens. Your conversation has grown to 8,000 tokens, and you want "
        "room for an answer of up to 500. What do you do?",
        {
            "a": (
                "send all of it: the window limits the prompt, and 8,000 tokens fit",
                "The model reads its own words as well: each generated token takes a place in the same window.",
            ),
            "b": (
                "set max_new_tokens to 500, so that the model fits its answer into the room that is left",
                "max_new_tokens cuts an answer off; the model does not know of it and does not plan for it. The room "
                "is as small as before.",
            ),
            "c": (
                "take at least 308 tokens off the conversation, for example its oldest turns",
                "Prompt and completion share the window: 8,000 + 500 is 308 too many. What you drop is gone, so choose "
                "it with care, or replace it by a summary.",
            ),
            "d": (
                "send only the newest question: the model remembers what was said before it",
                "Between two calls the model keeps nothing. What you do not send again is not there.",
            ),
        },
        "c",
        "Which tokens take a place in the window: those you wrote, those the model writes, or both?",
    ),
    Question(
        "quiz1.2",
        "What made transformers so much better suited than recurrent networks to training on very large texts?",
        {
            "a": (
                "all positions of a text are trained at once, and attention links any two of them in one step",
                "A recurrent network takes its steps one after the other, and what it knows of a far word has passed "
                "through every step in between.",
            ),
            "b": (
                "they need less arithmetic, since attention grows in proportion to the length",
                "It grows with the *square* of the length: often more arithmetic. The gain is that nothing in it has to "
                "wait.",
            ),
            "c": (
                "they have no limit of length, while a recurrent network has to stop after some words",
                "It is the other way round: a recurrent network can read on for ever, and forgets. Standard attention "
                "is trained for a window of some length.",
            ),
            "d": (
                "they write all words of an answer at once",
                "A decoder still writes one token after the other, since each needs those before it. Training is what "
                "changed: there the whole text is known.",
            ),
        },
        "a",
        "What does the state of word 400 have to wait for, in either network?",
    ),
    Question(
        "quiz1.3",
        "One query and two keys, each four numbers long. The products query · key are 2.2 and 0; the values are the "
        "single numbers 8 and 0. What does scaled dot-product attention return, nearly? (e^1.1 ≈ 3, e^2.2 ≈ 9)",
        {
            "a": (
                "7.2",
                "That is 0.9 · 8: you took softmax of 2.2 and 0 as they are. What does *scaled* stand for?",
            ),
            "b": (
                "6",
                "2.2 / √4 = 1.1; softmax of 1.1 and 0 is nearly 3/4 and 1/4; 3/4 · 8 + 1/4 · 0 = 6.",
            ),
            "c": (
                "8.8",
                "That is 1.1 · 8: the score itself as a weight. A mixture cannot be larger than its largest value, and "
                "softmax sees to that.",
            ),
            "d": (
                "8",
                "You took the value of the best key alone. Attention mixes all values; the best key gets the largest "
                "weight, not all of it.",
            ),
        },
        "b",
        "Divide by the root of the keys' length, take softmax, mix the values.",
    ),
    Question(
        "quiz1.4",
        "Three jobs: (1) one vector for each document, for a search; (2) continuing any text, in a chat; "
        "(3) translating a sentence that is known as a whole. Which families were made for them, in this order?",
        {
            "a": (
                "decoder-only, encoder-only, encoder-decoder",
                "You have the first two exchanged. A chat is written from left to right: which family never looks to "
                "the right?",
            ),
            "b": (
                "encoder-only, encoder-decoder, decoder-only",
                "For the first job you are right. Of the other two, which has a source text that can be read in "
                "both directions before the first word is written?",
            ),
            "c": (
                "encoder-decoder for all three, since it holds both of the others",
                "It could be used for all three, but the search would carry a decoder that writes nothing, and a chat "
                "is one growing text, not a source and a target.",
            ),
            "d": (
                "encoder-only, decoder-only, encoder-decoder",
                "Seeing both sides makes a reader, seeing only the left makes a writer, and translation reads one text "
                "and writes another. Large decoder-only models are used for all three today.",
            ),
        },
        "d",
        "Who has to look at words to the right, and where do such words not exist yet?",
    ),
    Question(
        "quiz1.5",
        "You put five solved examples in front of a question, and the answers get better. Which statement is true?",
        {
            "a": (
                "no weight has changed: the examples are text to be continued, and must be sent each time",
                "In-context learning shows what is wanted. It costs tokens in every prompt; fine-tuning pays once, and "
                "changes weights.",
            ),
            "b": (
                "the model has taken a small training step on the five examples",
                "Training needs a loss, gradients and an update. Compare the weights before and after: equal to "
                "the last bit.",
            ),
            "c": (
                "the next prompt needs no examples any more, since the task has been learnt",
                "What was learnt is in the prompt, not in the model. Without the examples the next answer is zero-shot "
                "again.",
            ),
            "d": (
                "twice as many examples would make the gain twice as large",
                "The gain levels off, and examples use up the window. How much a few more are worth, a measurement on "
                "held-out questions tells.",
            ),
        },
        "a",
        "What is different in the model after the call?",
    ),
    Question(
        "quiz1.6",
        "Two tokens have the probabilities 0.8 and 0.2 at temperature 1. What are they at temperature 0.5?",
        {
            "a": (
                "0.67 and 0.33",
                "That is temperature 2. Dividing the logits by a number below 1 makes their difference larger.",
            ),
            "b": (
                "0.94 and 0.06",
                "Logits divided by 0.5 are doubled, so the ratio of the probabilities is squared: 4 becomes 16, and "
                "16/17 ≈ 0.94.",
            ),
            "c": (
                "1 and 0",
                "That is the limit, temperature towards 0: greedy decoding. At 0.5 the second token still gets drawn "
                "now and then.",
            ),
            "d": (
                "0.8 and 0.2: temperature changes the drawing, not the probabilities",
                "The order stays, the probabilities do not: the logits are divided by the temperature before softmax.",
            ),
        },
        "b",
        "The ratio of the two probabilities is e to the difference of the logits. What happens to that difference?",
    ),
    Question(
        "quiz1.7",
        "A model has 1 billion weights in FP32. How much memory do the weights take, and how much is it with all that "
        "training with Adam keeps for each weight? (The activations come on top.)",
        {
            "a": (
                "4 GB, and 8 GB",
                "You counted the weights and their gradients. What else does Adam remember for each weight?",
            ),
            "b": (
                "32 GB, and 128 GB",
                "FP32 means 32 *bits*. A byte has eight of them.",
            ),
            "c": (
                "4 GB, and 16 GB",
                "4 bytes each for the weight, its gradient and Adam's two running means. With a common allowance of 8 "
                "bytes for activations and scratch space the rule of thumb says 24.",
            ),
            "d": (
                "4 GB, and 12 GB",
                "Weight, gradient and one running mean. Adam keeps one of the gradient *and* one of its square.",
            ),
        },
        "c",
        "Count the numbers kept for each weight, four bytes each.",
    ),
    Question(
        "quiz1.8",
        "FP16 and BF16 both take 16 bits. Training in plain FP16 can break down with infinities where BF16 goes on. Why?",
        {
            "a": (
                "BF16 is the more precise of the two",
                "It is the coarser one: 7 bits of mantissa, against FP16's 10. Infinity is not a matter of precision.",
            ),
            "b": (
                "BF16 numbers are stored in 32 bits and only sent in 16",
                "They are stored in 16. Mixed precision may keep an FP32 copy of the weights beside them, but it does "
                "so with FP16 too.",
            ),
            "c": (
                "FP16 rounds more, and the rounding errors add up to infinity",
                "FP16 rounds *less* than BF16. It becomes infinite by a number that is too large for it.",
            ),
            "d": (
                "BF16 has as many exponent bits as FP32, so its range is far wider",
                "FP16 ends at 65,504. BF16 pays with precision: small updates are rounded away, which is why the "
                "weights themselves are usually kept in FP32.",
            ),
        },
        "d",
        "One part of the 16 bits buys range, the other precision.",
    ),
    Question(
        "quiz1.9",
        "You train on four GPUs, each with its own rows of the batch. What does each GPU store, with DDP "
        "and with ZeRO stage 3 (FSDP)?",
        {
            "a": (
                "DDP: a quarter of the weights; ZeRO-3: a quarter of the weights and of Adam's moments",
                "DDP shares out the rows only. That is why a model that does not fit on one GPU does not fit with DDP.",
            ),
            "b": (
                "DDP: all weights, gradients and moments; ZeRO-3: a quarter of each of the three",
                "In ZeRO-3 a layer's weights are gathered when they are needed and given back after; the price is more "
                "traffic. Activations are not shared out by either.",
            ),
            "c": (
                "DDP: everything; ZeRO-3: all weights, a quarter of the gradients and of the moments",
                "That is stage 2. What is left for the third stage to share out?",
            ),
            "d": (
                "DDP: everything; ZeRO-3: a quarter of everything, the activations of its rows included",
                "The activations belong to a GPU's own rows, and ZeRO leaves them whole. Fewer rows at a time, or "
                "recomputing, makes them smaller.",
            ),
        },
        "b",
        "Stage 1 shares out the moments. What does each further stage add?",
    ),
    Question(
        "quiz1.10",
        "Training costs about 6 · N · D operations (N parameters, D tokens). You have 1.2 · 10²² operations. Which plan "
        "follows Chinchilla's rule of about 20 tokens per parameter?",
        {
            "a": (
                "20 billion parameters, 100 billion tokens",
                "It uses the budget up, but with 5 tokens per parameter: too large a model, read too little. Many "
                "models before Chinchilla were planned like that.",
            ),
            "b": (
                "24.5 billion parameters, 490 billion tokens",
                "The ratio is 20, the cost six times the budget. You left the 6 out.",
            ),
            "c": (
                "1 billion parameters, 2,000 billion tokens",
                "It uses the budget up, with 2,000 tokens per parameter. That can be wise for a model that will be used "
                "very often, but it is not the lowest loss for this budget.",
            ),
            "d": (
                "10 billion parameters, 200 billion tokens",
                "With D = 20 N the cost is 120 N²; N² = 10²⁰. The rule aims at the lowest loss for a training "
                "budget; it does not count the cost of using the model.",
            ),
        },
        "d",
        "Put D = 20 N into 6 · N · D and solve for N.",
    ),
]
