"""Seconds per episode of our PPO step against the known lab's way: a ratio within one run.

An episode is one answer and the training on it. Both sides get the same prompts, the same number of
answers to each, 24 tokens an answer (no token ends it), temperature 1 as in the
lab, fp32, the same threads, and a score that costs nothing.

Not all of the ratio is the same work done better. Part of it is the course's choice to train the last
layers only, so that the first ones are read once a rollout; the lab's adapter sits on all of them.
"""

import copy
import time
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model

from course_utils import rl, week3

PROMPTS, TOKENS = 3, 24
CONFIG = replace(week3.CONFIG, max_new_tokens=TOKENS, temperature=1.0)


class TheirWay:
    """PPO as the known lab runs it, through trl 0.11's ``PPOTrainer``, written out.

    Prompts are answered one at a time (with a key-value cache). The reference is a second, frozen copy.
    Every answer is a row with its prompt before it, padded to the longest of the batch, and each pass runs
    all layers and the output layer at all columns. LoRA sits on query and value of every layer. The
    statistics that trl computes in each minibatch (entropy and more, from all logits) are left out, in
    its favour.
    """

    def __init__(self, llm):
        config = LoraConfig(r=32, lora_alpha=32, target_modules=["q_proj", "v_proj"])
        self.tokenizer, self.pad = llm.tokenizer, llm.tokenizer.pad_token_id
        self.model = get_peft_model(llm.model, config)
        self.reference = copy.deepcopy(self.model).requires_grad_(False)
        self.head = torch.nn.Linear(llm.model.config.hidden_size, 1)
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.trained += self.head.parameters()
        self.optimizer = torch.optim.AdamW(self.trained, lr=3e-3)

    @torch.no_grad()
    def answer(self, asked):
        """One prompt at a time; [prompts, tokens]."""
        found = []
        for ids in asked:
            output = self.model.generate(
                input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)),
                max_new_tokens=TOKENS, do_sample=True, top_k=0, top_p=1.0, pad_token_id=self.pad,
            )  # fmt: skip
            found.append(output[0, len(ids) :])
        return torch.stack(found)

    def batch(self, asked, answers):
        """Ids and mask [rows, columns], padded on the right; where each answer token is predicted."""
        longest = max(map(len, asked)) + TOKENS
        lengths = torch.tensor([len(ids) + TOKENS for ids in asked])
        rows = [[*ids, *new] for ids, new in zip(asked, answers.tolist())]
        ids = torch.tensor([row + [self.pad] * (longest - len(row)) for row in rows])
        place = (lengths - TOKENS - 1)[:, None] + torch.arange(TOKENS)
        return ids, rl.response_mask(lengths, longest).long(), place

    def evaluate(self, model, batch):
        """Log-probabilities and values of the answers' tokens, from the logits of whole rows."""
        ids, mask, place = batch
        output = model(
            input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=True
        )
        values = self.head(output.hidden_states[-1]).squeeze(-1)
        scores = output.logits[:, :-1].log_softmax(-1)
        log_probs = scores.gather(-1, ids[:, 1:, None]).squeeze(-1)
        return log_probs.gather(1, place), values.gather(1, place)

    @torch.no_grad()
    def evaluate_all(self, model, batch, minibatch):
        """The same for many rows, a minibatch at a time."""
        rows = zip(*(x.split(minibatch) for x in batch))
        return [torch.cat(parts) for parts in zip(*(self.evaluate(model, part) for part in rows))]

    def step(self, asked, score, config):
        """One iteration; the seconds of its three parts."""
        began = time.perf_counter()
        answers = self.answer(asked)
        scores = torch.tensor(score(self.tokenizer.batch_decode(answers)))
        answered = time.perf_counter()
        batch, mask = self.batch(asked, answers), torch.ones_like(answers, dtype=torch.bool)
        old, values = self.evaluate_all(self.model, batch, config.minibatch)
        reference, _ = self.evaluate_all(self.reference, batch, config.minibatch)
        rewards = rl.rewards_per_token(scores, old, reference, mask, config.beta)
        advantages, returns = rl.gae(rewards, values, mask, config.gamma, config.lam)
        advantages = rl.whiten(advantages, mask)
        evaluated = time.perf_counter()
        for _ in range(config.epochs):
            for index in torch.randperm(len(asked)).split(config.minibatch):
                new, value = self.evaluate(self.model, [x[index] for x in batch])
                part = mask[index]
                loss = rl.policy_loss(new, old[index], advantages[index], part, config.clip)
                loss = loss + config.value_weight * rl.value_loss(
                    value, values[index], returns[index], part
                )
                self.optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.trained, config.max_grad_norm)
                self.optimizer.step()
        done = time.perf_counter()
        return {
            "generation": answered - began, "old and reference": evaluated - answered,
            "updates": done - evaluated,
        }  # fmt: skip


def score(texts):
    return [len(text) / 100 for text in texts]


def blunt():
    """The model that Lab 3 starts from, made to go on for ``TOKENS`` tokens: its end token ends nothing."""
    llm = week3.blunt_model()
    llm.model.generation_config.eos_token_id = llm.model.config.vocab_size
    return llm


@pytest.mark.slow
def test_a_ppo_episode_costs_at_most_a_fifth_of_the_known_labs(benchmark):
    policy, theirs = week3.make_policy(blunt()), TheirWay(blunt())
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-3)
    asked = week3.ask(policy.llm, week3.heated("train")[:PROMPTS])
    repeated = [policy.llm.encode(prompt) for prompt in asked for _ in range(CONFIG.group)]

    # Both compute the same numbers, on two answers of unequal prompts: the difference is time alone.
    rollout = rl.sample(policy, asked[:2], TOKENS, CONFIG.temperature, seed=0)
    with torch.no_grad():
        by_us = rl.evaluate(policy, rollout, CONFIG)[0]
        batch = theirs.batch(rollout.prompts, rollout.tokens)
        by_them = theirs.evaluate(theirs.model, batch)[0]
    assert torch.allclose(by_us, by_them, atol=1e-3)

    lab = replace(CONFIG, epochs=1, minibatch=4)  # the lab's own numbers, on one prompt's answers
    own = theirs.step(repeated[: CONFIG.group], score, lab)
    equal = theirs.step(repeated, score, CONFIG)
    stats = benchmark.pedantic(
        rl.step, args=(policy, optimizer, asked, score, CONFIG, 1), rounds=1, iterations=1
    )
    assert stats.length == TOKENS and stats.tokens == len(repeated) * TOKENS
    ours = benchmark.stats.stats.mean / len(repeated)
    print(f"\nours, {CONFIG.epochs} epochs: {ours:.2f} s an episode, n = {len(repeated)}")
    for name, seconds, n in (
        ("as many epochs", equal, len(repeated)),
        ("its own 1 epoch", own, CONFIG.group),
    ):
        each = sum(seconds.values()) / n
        parts = ", ".join(f"{part} {s / n:.2f}" for part, s in seconds.items())
        print(
            f"the lab's way, {name}: {each:.2f} s an episode, n = {n} ({parts}): {each / ours:.1f}×"
        )
    assert sum(equal.values()) / len(repeated) >= 5 * ours
