"""The quiz of week 3: ten questions on alignment and on shipping a model."""

from __future__ import annotations

from .questions import Question

EXERCISES: list[Question] = [
    Question(
        "quiz3.1",
        "People ranked four summaries of one dialogue from best to worst. How many pairs (chosen, "
        "rejected) can a reward model learn from this one ranking, if there are no ties?",
        {
            "a": ("3", "Those are the neighbours only. The best one also beats the last one: every two "
                  "summaries make a pair."),
            "b": ("4", "Four is the number of summaries. A pair takes two of them, in the order of the "
                  "ranking."),
            "c": ("6", "4 · 3 / 2 = 6: a ranking of n texts holds n(n − 1)/2 pairs. Keep pairs of one "
                  "dialogue on the same side of a split."),
            "d": ("12", "You counted both orders. In a pair the better text is the chosen one, so each two "
                  "summaries count once."),
        },
        "c",
        "Which two summaries can you compare, once you know the whole ranking?",
    ),
    Question(
        "quiz3.2",
        "A reward model gives the chosen answer 3.0 and the rejected one 1.0. A colleague subtracts 100 "
        "from every score it gives. What happens to its Bradley–Terry loss on this pair?",
        {
            "a": ("It stays the same", "The loss is −log σ(3 − 1): only the difference of the two scores "
                  "counts, and the constant drops out. That is why a reward has no zero of its own."),
            "b": ("It becomes negative, since the scores are", "The loss is minus the logarithm of a "
                  "probability, so it cannot be negative, whatever the signs of the scores."),
            "c": ("It rises by 100", "The constant stands in both scores. What is left of it in their "
                  "difference?"),
            "d": ("It goes to 0", "It would if the difference grew. Subtracting the same number from both "
                  "scores leaves the difference at 2."),
        },
        "a",
        "Write the loss down. Where do the two scores stand in it?",
    ),
    Question(
        "quiz3.3",
        "In RLHF a KL penalty is to keep the policy near what fine-tuning had taught it, over the whole run. "
        "Which model should it compare the policy with?",
        {
            "a": ("The reward model", "The reward model gives scores, not a distribution over next "
                  "words. KL needs two distributions over the same words."),
            "b": ("The raw pretrained model, before any fine-tuning", "Then the policy is far away at "
                  "the first step already, and the penalty pulls it back from what fine-tuning taught it."),
            "c": ("The policy of the step before, so that no single step can be large", "That keeps each step small, and lets many small "
                  "steps go anywhere. The leash must be tied to something that does not move."),
            "d": ("The model as it was when reinforcement learning began", "It is frozen. Then KL is exactly 0 "
                  "at the first step and measures only what reinforcement learning changed."),
        },
        "d",
        "What should the KL be at step 0?",
    ),
    Question(
        "quiz3.4",
        "You set the KL penalty's weight β to 0. What do you expect over a long run of PPO?",
        {
            "a": ("Training stops: without KL there is no gradient", "The score of the reward model gives a "
                  "gradient of its own. It is the brake that is missing, not the engine."),
            "b": ("The reward model's score may rise while the texts get worse", "Nothing holds the policy "
                  "near real language any more, and it finds what the reward model overrates: reward hacking."),
            "c": ("The policy stays at its starting point", "That would be a very large β. With 0 the policy "
                  "may move as far as it likes."),
            "d": ("The best possible model, since the reward is maximised freely", "The reward model is a "
                  "proxy. The further the policy goes, the less the proxy says about what you wanted."),
        },
        "b",
        "Is the reward what you want, or a measurement of it?",
    ),
    Question(
        "quiz3.5",
        "In PPO with ε = 0.2 a token has advantage +1 and its probability ratio is 1.5. What does this token "
        "contribute to the policy gradient?",
        {
            "a": ("A gradient that makes the token likelier", "It would at a ratio of 1.1. At 1.5 the token has "
                  "been made likelier by more than 1 + ε already."),
            "b": ("A gradient that makes the token less likely, back to 1.2", "Clipping takes a push away; it "
                  "does not push back. The minimum is flat there."),
            "c": ("No gradient", "min(1.5 · 1, 1.2 · 1) is the clipped, constant value, and a constant has no "
                  "gradient. With a negative advantage the same ratio would still have one."),
            "d": ("An error: ratios must lie between 0.8 and 1.2", "Ratios may be anything above 0. Clipping is in "
                  "the loss, not a limit on the policy."),
        },
        "c",
        "Write min(ratio · A, clip(ratio) · A) and ask whether it depends on the ratio here.",
    ),
    Question(
        "quiz3.6",
        "A log of a PPO run shows \"mean advantage\" close to 0 at every step. The advantages are whitened. "
        "What does this tell you about learning?",
        {
            "a": ("Little: whitening makes the mean 0 by construction", "Whitening subtracts the mean and divides "
                  "by the standard deviation. Look at the reward before whitening, and at judges the policy "
                  "never saw."),
            "b": ("The policy has stopped learning", "The mean would be 0 in the fastest-learning run as well. "
                  "Which advantages are positive is what teaches."),
            "c": ("The value head is perfect", "A perfect value head leaves advantages, too: it knows what "
                  "to expect, and answers turn out better or worse. The mean after whitening says nothing about it."),
            "d": ("The learning rate is too small: advantages should be maximised", "Advantages weight the tokens; "
                  "they are not the goal. Their mean stays at 0 whatever the learning rate."),
        },
        "a",
        "What does whitening do to the mean?",
    ),
    Question(
        "quiz3.7",
        "What is the value head for?",
        {
            "a": ("It gives the reward for a finished answer", "That is the reward model's work. The value head is "
                  "asked before the answer is finished."),
            "b": ("It predicts, at each token, the reward still to come",
                  "What beats the prediction is reinforced. As a baseline it leaves the direction of the gradient and lowers its variance. "
                  "At deployment it is thrown away."),
            "c": ("It chooses the next token once the model is deployed", "The language model's own output layer does. The value "
                  "head gives one number per token and is thrown away after training."),
            "d": ("It keeps the policy near the reference", "That is the KL penalty. The value head knows nothing of "
                  "the reference."),
        },
        "b",
        "How would you judge whether a reward of 0.7 is good or bad news?",
    ),
    Question(
        "quiz3.8",
        "You start DPO from the model that is also its reference. What is the loss of the first batch, and why?",
        {
            "a": ("0, since policy and reference agree", "The difference is 0, and the loss is −log σ(0). That is not "
                  "0: the model has no preference yet. (It is GRPO's loss that starts at 0.)"),
            "b": ("It depends on the score that the reward model gives", "DPO has no reward model: the log-ratio of "
                  "policy and reference plays its part."),
            "c": ("Infinite, since log 0 is", "The difference of the log-ratios is 0; σ of it is one half, and the "
                  "logarithm of one half is finite."),
            "d": ("ln 2, whatever the pairs",
                  "Policy and reference agree, so −log σ(0) = ln 2 ≈ 0.693. A first loss of anything else means a wrong reference, or dropout "
                  "left on."),
        },
        "d",
        "Put equal log-probabilities of policy and reference into −log σ(β · difference).",
    ),
    Question(
        "quiz3.9",
        "In constitutional AI, where do the preference labels for harmlessness come from?",
        {
            "a": ("From people who compare two answers", "That is RLHF. The point here is that people write the "
                  "principles, and do not compare the answers."),
            "b": ("From a model that judges and revises answers by written principles", "People write a few principles; "
                  "a model criticises, revises and compares. Its mistakes become the labels, so a weak judge is a "
                  "weak teacher."),
            "c": ("From a word list that blocks harmful answers", "A word list judges words. The method asks a model "
                  "which answer agrees with a written principle."),
            "d": ("There are none: the principles are put into every prompt at deployment", "The principles are used "
                  "while the training data is made. The trained model then works without them in its prompt."),
        },
        "b",
        "What do people write, and who compares?",
    ),
    Question(
        "quiz3.10",
        "You set half of a model's linear weights to 0 by magnitude and save it as before, in float32. What "
        "becomes smaller or faster?",
        {
            "a": ("Neither file nor time: a zero is stored and multiplied like any number", "Unstructured zeros pay only "
                  "with a sparse format and a kernel made for it. Removing whole layers or storing one byte per weight "
                  "pays at once."),
            "b": ("The file is half as large", "A zero in float32 takes four bytes like any other number. "
                  "Only a sparse format, or compression, would leave it out."),
            "c": ("It answers twice as fast, since half of the products are 0", "A dense matrix product does not look "
                  "at the values: it multiplies by 0 as well."),
            "d": ("File and time both fall to one quarter, as with INT8", "INT8 changes how each weight is stored. "
                  "Pruning changed the values and not the storage."),
        },
        "a",
        "How many bytes does the number 0.0 take in float32?",
    ),
]  # fmt: skip
