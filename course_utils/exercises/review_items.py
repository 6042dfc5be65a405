"""Short questions on each notebook, asked again at the opening of later ones by ``review``.

Five a notebook, each option with its reason. The quizzes' questions come back as well.
"""

from __future__ import annotations

from .questions import Question


def _ask(id: str, text: str, right: str, *options: tuple[str, str]) -> Question:
    return Question(id, text, dict(zip("abc", options, strict=True)), right)


ITEMS = [
    # ------------------------------------------------------------ What language models do
    _ask(
        "what.r1", "A chat has outgrown the model's context window. What does the model know of its oldest turns?", "b",
        ("a summary that it made while reading them", "Between two calls a model keeps nothing at all."),
        ("only what the prompt that you send still holds", "What you do not send again is not there."),
        ("everything, but more weakly than the newest turns", "Turns outside the window are not weak: they are absent."),
    ),
    _ask(
        "what.r2", "max_new_tokens is 20, and a full answer would take 60 tokens. What do you get?", "c",
        ("a shorter answer that says the same in 20 tokens", "The model does not know of the limit, so it plans no shorter answer."),
        ("an error, since the limit is too small", "The limit is obeyed without a word."),
        ("the first 20 tokens of the long answer", "The limit cuts; token for token it is the same beginning."),
    ),
    _ask(
        "what.r3", "Two solved examples in the prompt help. Which weights of the model have they changed?", "a",
        ("none of them", "The examples are text to be continued. Send them again next time."),
        ("those of the last layer", "A change needs a gradient and an update; reading a prompt makes neither."),
        ("all of them, until the kernel stops", "Compare the weights' fingerprints before and after: they are equal."),
    ),
    _ask(
        "what.r4", "Two tokens have the logits 3 and 2. How do their probabilities compare?", "b",
        ("the first is 1.5 times as likely", "Logits are no shares: what counts is their difference, not their ratio."),
        ("the first is about 2.7 times as likely", "e to the power of 3, divided by e to the power of 2, is e: one point more means 2.7 times."),
        ("the first is chosen, the second has probability 0", "Every token keeps some probability; choosing comes after."),
    ),
    _ask(
        "what.r5", "A judge looks whether each wanted name occurs in the answer. A model repeats the whole sentence. What does it score?", "a",
        ("full marks, though it has found nothing", "All names are in the sentence. Precision has to count, too."),
        ("0, since it lists no names", "This judge asks for no list: it looks for letters."),
        ("a half, since only half of the words are names", "That would be close to precision, which this judge leaves out."),
    ),
    # ------------------------------------------------------------ A transformer from scratch
    _ask(
        "transformer.r1", "Why are attention scores divided by the root of the vectors' length?", "c",
        ("so that the weights add up to 1", "Softmax does that, with or without the division."),
        ("so that long vectors need less arithmetic", "The products are all computed; one division is added."),
        ("so that softmax does not put all weight on one key", "A product of d terms spreads like √d, and a flat softmax still learns."),
    ),
    _ask(
        "transformer.r2", "How does a causal mask hide the future from a query?", "a",
        ("it sets the scores to −∞ before softmax", "The weights become exactly 0, and the others still add up to 1."),
        ("it sets the weights to 0 after softmax", "Then the weights that are left no longer add up to 1."),
        ("it sets the values of later positions to 0", "Their scores would still take a share of the softmax."),
    ),
    _ask(
        "transformer.r3", '"dog bites man" and "man bites dog" without position vectors: what does attention make of "bites"?', "b",
        ("two vectors, since the order differs", "Nothing in the formula says which word came first."),
        ("the same vector in both", "Attention mixes a set of words. The position must be in the vectors."),
        ("a vector of zeros in both", "It still mixes the three words, by the same weights."),
    ),
    _ask(
        "transformer.r4", "Through how many steps must word 1 pass to reach word 400?", "c",
        ("399 in both a recurrent network and attention", "In attention word 400 looks at word 1 directly."),
        ("1 in both a recurrent network and attention", "A recurrent network hands its state from word to word."),
        ("399 in a recurrent network, 1 in attention", "That is why far words survive in attention, and why all positions train at once."),
    ),
    _ask(
        "transformer.r5", "A decoder is trained on the words A B C. Its inputs are START A B C. What are the labels?", "b",
        ("START A B C: each position repeats its input", "Then copying would be enough, and nothing would be predicted."),
        ("A B C END: at each position the next token", "The inputs are shifted by one, so no position holds the word it must predict."),
        ("C at every position: the last word", "Every position is a question of its own; that is why training is efficient."),
    ),
    # ------------------------------------------------------------ Three families
    _ask(
        "families.r1", "BERT picks 15 of 100 tokens; 12 of them become [MASK]. At how many positions is a loss computed?", "c",
        ("at 100", "A position that was not picked has the label −100: not asked."),
        ("at 12", "The picked tokens that stay or become random are asked for as well."),
        ("at 15", "The label is the original token at every picked position, whatever it became."),
    ),
    _ask(
        "families.r2", 'Only the last word of a sentence changes. In a decoder, what happens to the vector of "bank" in its middle?', "b",
        ("it moves, as all vectors do", "That is an encoder, where each word sees both sides."),
        ("it stays, since a decoder looks only to the left", "The vector was finished before the last word came."),
        ("it moves a little, since later words weigh less", "A masked weight is exactly 0, not small."),
    ),
    _ask(
        "families.r3", "A masked model ends at a loss of 2.1, a causal one at 3.4. Which one learnt more?", "a",
        ("these two numbers cannot say", "They answer different questions: one sees both sides, the other only the left."),
        ("the masked one, by 1.3 nats", "Its questions are easier. Compare them on one task that both can do."),
        ("the causal one, which had the harder task", "Harder questions cost more; that proves no learning."),
    ),
    _ask(
        "families.r4", "A new decoder reaches a training loss of 0.07; similar ones end near 4. What do you check first?", "b",
        ("whether the learning rate is too high", "A rate that is too high makes the loss large or infinite."),
        ("whether its mask lets it see the next token", "A loss that is too good is a reason to look for a leak."),
        ("whether the vocabulary is large enough", "A larger vocabulary makes the loss larger, if anything."),
    ),
    _ask(
        "families.r5", "In T5's span corruption, what does the decoder write?", "a",
        ("the hidden spans, each after its sentinel", "The rest stands in the encoder's input and need not be copied."),
        ("the whole sentence, with the gaps filled", "That is BART's way. T5's targets are short, and training is cheaper."),
        ("one token for each sentinel", "A span may be several tokens long; the sentinel only opens it."),
    ),
    # ------------------------------------------------------------ Building with language models
    _ask(
        "building.r1", "Your company's prices change each week. What do you try first?", "a",
        ("look the price up and put it into the prompt", "Retrieval: the documents change, the model does not."),
        ("fine-tune on this week's prices", "Next week the weights know the old ones."),
        ("a larger model", "A larger model does not know your prices either."),
    ),
    _ask(
        "building.r2", "The search found the right text for 90 of 100 questions. With it, 40 of these 90 answers are right. What do you improve first?", "b",
        ("the search", "It can win at most 10 answers; 50 are lost in reading."),
        ("how the model reads", "50 answers are lost there, and only 10 in finding."),
        ("the test set", "It did its work: it told the two apart."),
    ),
    _ask(
        "building.r3", "A model writes CALC(12 * 7). Who computes the product?", "c",
        ("the model, in its next token", "It would guess, and guess wrong for long numbers."),
        ("the tokenizer", "It only cuts text into tokens."),
        ("the program around the model, which puts the result into the text", "The model's words are data; the program does the work."),
    ),
    _ask(
        "building.r4", "What does a hub's model card tell you before you load anything?", "a",
        ("what the model is for, what it was trained on, where it fails", "Those are the questions a card should answer; a gap is an answer, too."),
        ("how good it will be at your task", "Only your own test set tells."),
        ("that its files cannot harm you", "That depends on the file format, not on the card."),
    ),
    _ask(
        "building.r5", "No prompt has been tried yet, and there are 5,000 examples. What is the next step?", "b",
        ("fine-tune at once: there are enough examples", "Enough for later. A prompt costs minutes."),
        ("try prompts, and measure on the test items", "The cheapest step first."),
        ("pre-train a model of your own", "Tens of thousands of times as expensive, and the last resort."),
    ),
    # ------------------------------------------------------------ Lab 1
    _ask(
        "lab1.r1", "At T = 1 two tokens stand 2 : 1. What is their ratio at T = 0.5?", "c",
        ("2 : 1", "That would be T = 1. Dividing the logits changes their difference."),
        ("1.4 : 1", "That is T = 2: the root of the ratio."),
        ("4 : 1", "The logits are doubled, so the ratio is squared."),
    ),
    _ask(
        "lab1.r2", "Probabilities .5, .3, .15, .05, and top-p with p = .7. Which tokens may be drawn?", "b",
        ("the first one", "It holds .5; the set must hold at least .7."),
        ("the first two", "The token that crosses p belongs to the set: .5 + .3 reaches .7."),
        ("the first three", "Two reach .7 already, and the smallest such set is kept."),
    ),
    _ask(
        "lab1.r3", "A dialogue, and no instruction: what does a language model most likely write?", "a",
        ("more dialogue", "It continues the text in a likely way. A task must be said or shown."),
        ("a summary of the dialogue", "Nobody asked for one. What usually follows a dialogue?"),
        ("a question what to do with it", "A chat format may lead to that; the bare text does not."),
    ),
    _ask(
        "lab1.r4", "A test file has one row per reference. Its first ten rows hold four dialogues. What is n?", "c",
        ("10, the rows", "Rows of one dialogue rise and fall together: they are no independent trials."),
        ("14, rows and dialogues", "One of the two is what was sampled."),
        ("4, the dialogues", "Average within a dialogue first; the interval is over dialogues."),
    ),
    _ask(
        "lab1.r5", "You want the same text on every call, whatever the seed. Which decoding gives it?", "a",
        ("greedy decoding", "It takes the likeliest token each time, and draws nothing."),
        ("sampling at T = 1", "It draws from the model's distribution: another seed, another text."),
        ("top-p with p = .9", "Top-p makes the set smaller and still draws from it."),
    ),
    # ------------------------------------------------------------ Compute and memory
    _ask(
        "compute.r1", "How much memory do 3 billion weights take in BF16?", "b",
        ("3 GB", "That is one byte per weight, as in INT8."),
        ("6 GB", "16 bits are 2 bytes."),
        ("12 GB", "That is FP32, with 4 bytes per weight."),
    ),
    _ask(
        "compute.r2", "FP32 training with Adam: how many bytes per weight, without activations?", "c",
        ("8", "Weight and gradient; Adam keeps more."),
        ("12", "You counted one running mean; Adam keeps two."),
        ("16", "Weight, gradient, and two running means, 4 bytes each."),
    ),
    _ask(
        "compute.r3", "A BF16 weight of 1.0 gets a thousand updates of +0.001. Where does it end?", "a",
        ("at 1.0", "BF16's next number after 1 is 1.0078; each update is less than half a step and is rounded away."),
        ("near 1.98", "That is FP16, whose steps are finer."),
        ("at 2.0", "That is FP32. Keep the weights in FP32 while training."),
    ),
    _ask(
        "compute.r4", "DDP on four GPUs: which part of the weights does each GPU hold?", "b",
        ("a quarter", "That is ZeRO stage 3."),
        ("all of them", "DDP shares out the rows of the batch and nothing else."),
        ("those of its own layers", "That is pipeline parallelism."),
    ),
    _ask(
        "compute.r5", "One row of a matrix has values a hundred times as large. INT8 uses one scale for the matrix. Who pays?", "c",
        ("the large row, which is cut off", "The scale is chosen so that the largest value just fits."),
        ("every row alike", "The large row uses the whole range."),
        ("the other rows, which keep few levels", "The step is set by the largest value. One scale per row repairs it."),
    ),
    # ------------------------------------------------------------ Scaling laws
    _ask(
        "scaling.r1", "About how many operations does training 2 billion weights on 10 billion tokens take?", "a",
        ("1.2 · 10²⁰", "6 · N · D = 6 · 2 · 10⁹ · 10¹⁰."),
        ("4 · 10¹⁹", "That is 2 · N · D: the forward pass alone."),
        ("2 · 10¹⁹", "That is N · D, without the 6."),
    ),
    _ask(
        "scaling.r2", "By Chinchilla's rule of thumb, how many tokens does a model with 3 billion weights want?", "b",
        ("3 billion", "One token per weight is far too few."),
        ("60 billion", "About 20 tokens per weight, for the lowest loss of a training budget."),
        ("900 billion", "More than the rule; wise if the model will be used very often."),
    ),
    _ask(
        "scaling.r3", "A loss follows N to the power −0.1. What does ten times N do to it?", "c",
        ("it falls to a tenth", "That would be an exponent of −1."),
        ("it falls by 0.1", "A power law multiplies; it does not subtract."),
        ("it is multiplied by 0.79", "10 to the power −0.1 is 0.79."),
    ),
    _ask(
        "scaling.r4", "Why is the loss halfway through a long run no measure of a shorter run?", "a",
        ("its learning rate is still high there", "A run planned to end there would have brought its rate down. The result can differ either way."),
        ("it has read other text", "In the comparison both had read the same text in the same order."),
        ("its weights began elsewhere", "Both began with the same weights."),
    ),
    _ask(
        "scaling.r5", "After training on legal and clinical text, the loss on plain prose has risen. What is this called?", "b",
        ("overfitting to the training sentences", "That would show on held-out legal text; there the loss fell."),
        ("forgetting", "The gain in one place was paid for in another. Mixing in general text lowers the price."),
        ("contamination", "Contamination makes a score too good."),
    ),
    # ------------------------------------------------------------ The words of a field
    _ask(
        "domains.r1", "A tokenizer learnt from general text meets a clinical term. What happens?", "a",
        ("the term is cut into several pieces", "Words that are rare in general text have no token of their own."),
        ("it becomes one unknown token", "A vocabulary with all bytes in it can write every word."),
        ("a token is added to the vocabulary", "The vocabulary is fixed when the tokenizer is built."),
    ),
    _ask(
        "domains.r2", "Tokenizer A cuts a text into twice as many tokens as tokenizer B. Which losses can be compared?", "c",
        ("nats per token", "The same loss, divided by twice as many tokens, looks half as large."),
        ("perplexities", "A perplexity is e to the loss per token, with the same fault."),
        ("bits per byte", "Both models read the same bytes."),
    ),
    _ask(
        "domains.r3", "What is continued pre-training?", "b",
        ("instruction tuning on a field's questions", "That needs questions and answers; this needs only the field's text."),
        ("next-token training of a trained model on the text of a field", "The objective stays, the text changes."),
        ("training a new model on general and special text", "BloombergGPT did that; then nothing is continued."),
    ),
    _ask(
        "domains.r4", "After training on legal and clinical text, the loss on plain prose is higher. What was the remedy?", "b",
        ("a higher learning rate on the field's text", "It makes the model forget more."),
        ("general text mixed into the training", "The model goes on meeting what it is to keep."),
        ("a longer context window", "The window does not change what the weights have kept."),
    ),
    _ask(
        "domains.r5", "BloombergGPT stopped at 569 of its 700 billion tokens. What was scarce?", "c",
        ("the GPUs' memory", "The weights fitted: they were divided among the GPUs."),
        ("the parameters", "About 50 billion were what the budget allowed."),
        ("new text of finance, and time to train", "By then the model no longer got better on held-out text."),
    ),
    # ------------------------------------------------------------ Instruction tuning
    _ask(
        "tuning.r1", "Labels of −100 stand at the prompt's positions. What does the loss do there?", "c",
        ("it teaches the model to write the prompt", "It would, if the labels were the prompt's ids."),
        ("it counts them as errors", "Neither as errors nor as hits."),
        ("it skips them", "The mean is taken over the answer's tokens only."),
    ),
    _ask(
        "tuning.r2", 'Prediction "a a b", reference "a b b". What is ROUGE-1?', "b",
        ("1.00", "The sets of words agree, but the second a has no partner, nor has one b."),
        ("0.67", "Clipped counts: one a and one b are shared, 2 of 3 on both sides."),
        ("0.33", "Two words are shared, not one."),
    ),
    _ask(
        "tuning.r3", "Two sentences hold the same words in another order. Which score sees the difference?", "a",
        ("ROUGE-L", "The longest common subsequence gets shorter; ROUGE-1 stays at 1."),
        ("ROUGE-1", "It counts words and does not see their order."),
        ("both", "ROUGE-1 is 1.0 for any order."),
    ),
    _ask(
        "tuning.r4", 'A judge calls an answer right if the expected word occurs in it. Expected: "positive". What slips through?', "c",
        ('"Positive."', "That one is right, and capitals may make such a judge miss it."),
        ('"good"', "The word does not occur, so the judge refuses it."),
        ('"not positive"', "A strict comparison of the cleaned answer refuses it."),
    ),
    _ask(
        "tuning.r5", "Half of the reviews are positive. A tuned model is right on 50 % of them. What has it shown?", "b",
        ("that it can tell half of the reviews apart", "How often would one and the same word be right?"),
        ("as much as a constant answer", "Saying \"positive\" every time scores 50 % too."),
        ("that tuning has failed", "It may have learnt the form of the answer; this score cannot show it."),
    ),
    # ------------------------------------------------------------ Lab 2
    _ask(
        "lab2.r1", "original = load(); tuned = original; train(tuned). What is score(original) now?", "a",
        ("the score of the trained model", "Both names are one object. Load a fresh model for each method."),
        ("the score before training", "An assignment makes no copy."),
        ("the mean of both", "There is only one model."),
    ),
    _ask(
        "lab2.r2", "A layer maps 1,000 numbers to 500. How many weights does LoRA of rank 4 add?", "c",
        ("2,000", "That is B alone or half of A: count both."),
        ("500,000", "That is the layer itself."),
        ("6,000", "4 · 1,000 for A and 500 · 4 for B."),
    ),
    _ask(
        "lab2.r3", "Full fine-tuning likes a rate of 1e-4. Where do you begin to search for LoRA's?", "b",
        ("at 1e-5, since fewer weights must carry the change", "Fewer weights want a larger step, not a smaller one."),
        ("at 1e-3, and compare on validation", "LoRA usually wants ten times the rate or more."),
        ("at 1e-4, so that the comparison is fair", "Fair is the best rate for each method."),
    ),
    _ask(
        "lab2.r4", "An adapter is merged into its base. How large is the model now?", "a",
        ("as large as the base", "The product has the shape of the weight, and is added into it."),
        ("base and adapter together", "That is the unmerged one."),
        ("as small as the adapter", "The adapter alone cannot answer."),
    ),
    _ask(
        "lab2.r5", "LoRA against full: the interval of the ROUGE difference reaches from −.03 to +.01. What may you write?", "c",
        ("LoRA is better by .01", "The interval holds 0 and both signs."),
        ("both are equally good", "It shows no difference; a small one may be there."),
        ("cannot tell; at most .03 either way", "Say what the interval rules out."),
    ),
    # ------------------------------------------------------------ LoRA from the inside
    _ask(
        "peft.r1", "LoRA at step 0, with B = 0: which matrix has a gradient?", "b",
        ("A", "Its gradient contains the factor B, which is 0."),
        ("B", "Its gradient contains A, which is random. After one step A has one too."),
        ("neither", "Then nothing could ever be learnt."),
    ),
    _ask(
        "peft.r2", "The update is (α / r) · B A. You double r and leave α. What happens to the factor?", "a",
        ("it is halved", "That is why many raise α with r."),
        ("it stays", "r stands in it."),
        ("it is doubled", "r stands below the line."),
    ),
    _ask(
        "peft.r5", "Eight of 576 directions hold two thirds of an update's squares. What does that make plausible?", "b",
        ("that the weight itself has rank 8", "The weight's first directions held far less."),
        ("that an update of rank 8 can be nearly enough", "It was measured: most of the gain was in those directions."),
        ("that 98 % of the weights can be deleted", "It is the *change* that is nearly of low rank."),
    ),
    _ask(
        "peft.r6", "Rank 4 is fed into a layer of 1,000 inputs and 1,000 outputs. Which share of the layer's weights is trained?", "b",
        ("0.4 %", "You counted A or B, not both."),
        ("0.8 %", "4 · 2,000 of 1,000,000."),
        ("4 %", "r · (in + out), divided by in · out."),
    ),
    _ask(
        "peft.r7", "A sweep compares ranks 4 and 64 at one learning rate. What may it fail to show?", "c",
        ("which of the two trains more weights", "That is counted, not measured."),
        ("which of the two takes more memory", "That is counted as well."),
        ("which is better at its own best rate", "The best rate can differ with the rank, so the axis mixes two things."),
    ),
    # ------------------------------------------------------------ Adapters and quantised bases
    _ask(
        "peft.r3", "What does prompt tuning train?", "c",
        ("the words of the prompt", "Words cannot be changed by a gradient; vectors can."),
        ("the embedding table", "It is frozen, like the rest of the model."),
        ("some vectors in front of the input", "They need not be any word's vector."),
    ),
    _ask(
        "peft.r4", "An INT8 base with LoRA on top. Into what do the updates go?", "a",
        ("into A and B, in 16 or 32 bits", "The base is only read."),
        ("into the INT8 weights", "An update is far smaller than one INT8 step."),
        ("into the scales of the INT8 rows", "They are fixed when the base is rounded."),
    ),
    _ask(
        "adapters.r1", "Two adapters of rank 4 are mixed half and half, exactly. Which rank may the mixture need?", "c",
        ("4", "Each has four directions of its own; together they need not fit into four."),
        ("16", "Ranks add; they do not multiply."),
        ("8", "Stack the As and the Bs: four directions from each."),
    ),
    _ask(
        "adapters.r2", "Why do four-bit formats give each block of 64 weights a scale of its own?", "a",
        ("one large weight then coarsens 63 others, not a whole row", "The scale follows the largest of those that share it."),
        ("so that the scales can be trained", "They are computed once and fixed."),
        ("because memory is read 64 bits at a time", "64 weights of 4 bits are 256 bits; the reason is precision."),
    ),
    _ask(
        "adapters.r3", "What is lost when an adapter is merged into its base?", "b",
        ("quality: the outputs change", "They are equal up to rounding."),
        ("the choice: it can no longer be switched off or exchanged", "The detour is part of the weights now."),
        ("speed: the layer has become larger", "The product has the weight's own shape."),
    ),
    # ------------------------------------------------------------ Reward models
    _ask(
        "reward.r1", "Six answers are ranked without ties. How many pairs can be learnt from it?", "c",
        ("6", "Those are the answers."),
        ("30", "You counted both orders of each pair."),
        ("15", "6 · 5 / 2."),
    ),
    _ask(
        "reward.r2", "All scores of a reward model are raised by 5. What happens to its preferences?", "a",
        ("they stay as they are", "Only differences count; the constant drops out."),
        ("they become surer", "A larger *difference* would do that."),
        ("they turn round", "The order is the same."),
    ),
    _ask(
        "reward.r3", "A reward model reads the summary alone. Which wrong summaries can it not tell from right ones?", "b",
        ("those with an insult", "The insult stands in the summary."),
        ("those of another dialogue", "To know what is true of a dialogue, one must read the dialogue."),
        ("those that break off", "The missing end shows in the summary."),
    ),
    _ask(
        "reward.r4", "In all training pairs the worse text is also the longer one. Which test shows what was learnt?", "c",
        ("held-out pairs of the same collection", "There, too, the longer text is the worse one: full marks for a ruler."),
        ("the training loss", "It falls for either reason."),
        ("pairs in which the better text is the longer one", "A model that learnt length fails here."),
    ),
    _ask(
        "reward.r5", "A language model that compares answers says A whatever stands there. What helps?", "b",
        ("to ask it more often", "It says A each time."),
        ("to ask in both orders and take the mean", "What the letter adds cancels; what is left is about the answers."),
        ("to put the better answer first", "You would have to know which one that is."),
    ),
    # ------------------------------------------------------------ Lab 3
    _ask(
        "lab3.r1", "How large is the KL between policy and reference before the first update?", "a",
        ("exactly 0", "Both compute the same numbers; anything else means a wrong reference."),
        ("about ln 2", "That is DPO's first loss."),
        ("it depends on the prompts", "Equal models agree on every prompt."),
    ),
    _ask(
        "lab3.r2", "ε = 0.2, advantage −1, ratio 0.7. What does this token add to PPO's gradient?", "c",
        ("a push that makes it likelier", "Its advantage is negative: it was worse than expected."),
        ("a push that makes it less likely", "It has become less likely by more than 1 − ε already."),
        ("none: the clipped term is constant", "min(−0.7, −0.8) is −0.8, which does not depend on the ratio."),
    ),
    _ask(
        "lab3.r3", "An answer gets a reward of +1 and a negative advantage. How can that be?", "b",
        ("the reward model made a mistake", "Perhaps, but it is not needed for this."),
        ("the value head had expected more", "The advantage is what came beyond the expectation."),
        ("the KL was zero", "Then nothing was taken off the reward."),
    ),
    _ask(
        "lab3.r4", "The reward climbs for a thousand updates. What must you look at before you are glad?", "a",
        ("the texts, and a judge that was not trained on", "The reward model is a proxy, and the policy learns what it overrates."),
        ("the value head's loss", "It says how well the reward is predicted, not whether it is deserved."),
        ("the mean of the whitened advantages", "It is 0 in every run."),
    ),
    _ask(
        "lab3.r5", "The policy is an adapter. How does Lab 3 get its reference without a second model?", "b",
        ("it saves the logits of all answers beforehand", "The answers are new in every iteration."),
        ("it switches the adapter off", "The base without the adapter is the model that training began with."),
        ("it takes the policy of the step before", "That moves; the reference must not."),
    ),
    # ------------------------------------------------------------ Beyond PPO
    _ask(
        "beyond.r1", "What is the first loss of DPO, when policy and reference are the same model?", "c",
        ("0", "−log σ(0) is not 0: there is no preference yet."),
        ("1", "σ(0) is one half."),
        ("ln 2", "−log of one half."),
    ),
    _ask(
        "beyond.r2", "With what does GRPO compare an answer's score?", "a",
        ("with other answers to the same prompt", "Their mean is the baseline, in place of a value head."),
        ("with all answers of the batch", "Then easy prompts would get praise for their bad answers."),
        ("with the reference's answer", "The reference enters by the KL."),
    ),
    _ask(
        "beyond.r3", "DPO's loss falls, and so does the probability of the chosen answers. Is that possible?", "b",
        ("no: the loss contains it with a minus", "It contains a difference of two."),
        ("yes, if that of the rejected ones falls faster", "Only the difference counts. Measure samples, not the loss."),
        ("only at a learning rate that is too high", "It happens at moderate rates, too."),
    ),
    _ask(
        "beyond.r4", "You take the best of 64 answers by a weak proxy. What surely rises?", "a",
        ("the proxy's own score", "It was chosen by it. What that is worth, another judge must say."),
        ("the quality that people see", "Only as far as the proxy knows it."),
        ("the diversity of the answers", "One answer is kept, whatever the others were."),
    ),
    _ask(
        "beyond.r5", "Which labels does constitutional AI take from people?", "c",
        ("comparisons of two answers", "A model compares, by the principles."),
        ("lists of forbidden words", "Principles are sentences, and a model applies them."),
        ("none on harmlessness: they write principles", "A model criticises, revises and compares; a weak judge is a weak teacher."),
    ),
    # ------------------------------------------------------------ Reasoning with verifiable rewards
    _ask(
        "reasoning.r1", "What is a verifiable reward?", "b",
        ("a score from a model that people have checked", "That is still a learnt judge."),
        ("a rule that a program applies, such as comparing a result", "No judge has to be trained, and none can be flattered."),
        ("a rating that two annotators agree on", "Agreement is not a program."),
    ),
    _ask(
        "reasoning.r2", "Eight samples per problem, and three of them are right in the mean. What does pass@8 count?", "c",
        ("the share of right samples, 3 of 8", "That is pass@1, estimated from eight."),
        ("the problems on which most samples agree", "That is majority voting, which needs no key to the answers."),
        ("the problems with at least one right sample", "It says what could be reached, if a checker picked."),
    ),
    _ask(
        "reasoning.r3", "All eight answers of a GRPO group are wrong. What does the group teach?", "a",
        ("nothing: every advantage is 0", "Equal rewards leave no difference to the group's mean."),
        ("to avoid all eight", "Without one better answer there is nothing to prefer."),
        ("the answer that was nearly right", "A rule of right or wrong does not see nearness."),
    ),
    _ask(
        "reasoning.r4", "A rule gives 1 if the right number *occurs* in the text. What will training find?", "b",
        ("shorter chains of thought", "Nothing in the rule asks for brevity."),
        ("texts that name many numbers", "Each further number is another chance."),
        ("correct expressions only", "They earn no more than a list of guesses does."),
    ),
    _ask(
        "reasoning.r5", "Majority voting over 16 samples helps a model most that is right in", "c",
        ("2 % of its samples, its errors all alike", "Then the majority is wrong, and surer of it."),
        ("98 % of its samples", "There is hardly anything left to gain."),
        ("45 % of its samples, its errors scattered", "No single wrong answer gets as many votes."),
    ),
    # ------------------------------------------------------------ Making it cheap
    _ask(
        "cheap.r1", "A row of weights is stored in INT8. What is its scale?", "a",
        ("its largest size divided by 127", "Then the largest weight becomes ±127."),
        ("its mean divided by 127", "A larger weight would not fit."),
        ("127 divided by its largest size", "That is the scale's inverse."),
    ),
    _ask(
        "cheap.r2", "Half of a matrix is set to 0 and saved as before. What becomes smaller?", "c",
        ("the file", "A stored zero takes as many bytes as any number."),
        ("the time of a product", "Zeros are multiplied like other numbers."),
        ("neither", "Only formats and kernels made for zeros gain from them."),
    ),
    _ask(
        "cheap.r3", "What does a student learn from in distillation?", "b",
        ("from the teacher's weights", "They have other shapes."),
        ("from the teacher's distribution over next tokens", "It says which other tokens would have done, too."),
        ("from the teacher's training texts alone", "Then the teacher would not be needed."),
    ),
    _ask(
        "cheap.r4", "What does a key-value cache save?", "a",
        ("computing earlier tokens again for each new one", "Their keys and values do not change."),
        ("memory", "It costs memory, to save time."),
        ("reading the weights", "They are read for every new token."),
    ),
    _ask(
        "cheap.r5", "Eight requests are answered in one batch. What does each of them notice?", "c",
        ("a quarter of the waiting", "A batch makes nobody's answer come sooner."),
        ("another text", "Up to rounding, each answer is its own."),
        ("perhaps a longer wait, while more are served in all", "Throughput against latency."),
    ),
]  # fmt: skip
