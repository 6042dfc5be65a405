"""The policy: an adapter whose base is the reference, a value head, and what both say of a rollout.

This is the plain version: pad, run the model's own forward, take the columns before each response token.
:class:`~course_utils.rl.fast.FastPolicy` finds the same numbers with less work.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import nn

from ..finetune import release_memory
from ..llm import LLM, Answer, decoder_start, turning_point
from ..settings import CourseError
from .rollout import Rollout

NEVER = -1e4  # a logit: e to it is 0, and 0 times it too
SAME = 1e-3  # nats: rounding moves a log-probability by less
# Starts of LoRA that change the model's own weights, so that model and adapter together are what it was.
MOVE_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


class Policy:
    """A peft model whose adapter is the policy and whose base is the reference, and a value head.

    ``llm.model`` must carry the RL adapter alone: merge an earlier adapter into the weights first
    (``merge_and_unload``), or the reference would lack it. The value head is linear, starts at 0,
    and reads the last hidden states without sending gradients into them.

    Raises
    ------
    CourseError
        if the model carries no adapter, more than one, or one that is not all gone when it is switched off.
    """

    mixed = False  # does it compute in lower precision where the processor gains by it?

    def __init__(self, llm: LLM):
        if not hasattr(llm.model, "disable_adapter"):
            raise CourseError(
                "The policy has no adapter, so there is no reference to stay close to; wrap the "
                "tuned model with peft's get_peft_model first."
            )
        if len(llm.model.peft_config) > 1:
            raise CourseError(
                f"The model carries {len(llm.model.peft_config)} adapters, and with all of them off the "
                "reference would lack the earlier one; merge that into the weights first (merge_and_unload)."
            )
        if why := _not_the_reference(llm.model):
            raise CourseError(f"With its adapter off, this is not the model the policy starts from: {why}.")
        release_memory()  # a policy is one more model: what was freed before makes room
        self.llm = llm
        self.value_head = nn.Linear(self._width(), 1).to(llm.model.device)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)

    def parameters(self) -> list[nn.Parameter]:
        """What PPO trains: the adapter and the value head."""
        adapter = [p for p in self.llm.model.parameters() if p.requires_grad]
        return [*adapter, *self.value_head.parameters()]

    @torch.no_grad()
    def check_start(self) -> None:
        """Nothing, if policy and reference are one model, as they are before the first step.

        Raises
        ------
        CourseError
            if a token's log-probability differs: the adapter learnt something before.
        """
        tokens = torch.arange(1, 6)[None]
        probe = Rollout([[1, 2, 3]], tokens, tokens > 0, torch.tensor([True]), [""])
        acting, reference = (self.outputs(probe, off)[0].float().log_softmax(-1) for off in (False, True))
        gap = (acting - reference).abs().max().item()
        if gap > SAME:
            raise CourseError(
                f"Before its first step the policy is {gap:.2f} nats from its reference, so its adapter learnt "
                "something before; put that into the weights (merge_and_unload) and add a fresh adapter."
            )

    def outputs(
        self, rollout: Rollout, reference: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [rows, tokens, vocabulary] before each response token, and values [rows, tokens].

        Always in evaluation mode: dropout would make the ratio of two equal policies differ from 1.
        ``reference`` switches the adapter off, for this call only, also if it fails.
        """
        model = self.llm.model.eval()
        with model.disable_adapter() if reference else nullcontext():
            logits, hidden = self.forward(rollout)
        if self.llm.begins_with:  # a forced token is no choice of the policy's: probability 1, and no gradient
            first = torch.full_like(logits[:, :1], NEVER)
            first[..., self.llm.begins_with] = 0
            logits = torch.cat([first, logits[:, 1:]], 1)
        # detach: the value head learns from the hidden states and does not change them.
        return logits, self.value_head(hidden.detach().float()).squeeze(-1)

    def forward(self, rollout: Rollout) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and last hidden states that predict each response token, [rows, tokens, …].

        Row i is ``prompt + response + padding``. Nothing that counts stands after the padding, so
        positions and masks stay those of the model's own forward.
        """
        if self.llm.family == "encoder-decoder":
            return self._forward_seq2seq(rollout)
        model, tokens = self.llm.model.get_base_model(), rollout.tokens
        asked = [prompt for prompt in rollout.prompts for _ in range(rollout.group)]
        # A response's last token predicts nothing that counts: it is not read.
        rows = [prompt + row for prompt, row in zip(asked, tokens[:, :-1].tolist())]
        self._check_lengths(max(map(len, rows)))
        ids, attention_mask = pad(rows, self.llm.tokenizer.pad_token_id, model.device)
        # Logits are as many numbers per column as the vocabulary has tokens: from the shortest prompt's last token on is enough.
        first = min(map(len, asked)) - 1
        columns = torch.arange(first, ids.shape[1], device=model.device)
        out = model(
            input_ids=ids, attention_mask=attention_mask, logits_to_keep=columns,
            output_hidden_states=True, use_cache=False,
        )  # fmt: skip
        logits = out.logits[:, -len(columns) :]  # a model that knows no logits_to_keep gives all
        # A token is predicted one column earlier: the response's first by the prompt's last.
        before = torch.tensor([[len(p) - 1] for p in asked]) + torch.arange(tokens.shape[1])
        row = torch.arange(len(rows))[:, None]
        return logits[row, before - first], out.hidden_states[-1][row, before]

    def _forward_seq2seq(self, rollout: Rollout) -> tuple[torch.Tensor, torch.Tensor]:
        """The encoder reads the prompt, the decoder ``start + response``: column t predicts token t."""
        model = self.llm.model.get_base_model()
        asked = [prompt for prompt in rollout.prompts for _ in range(rollout.group)]
        ids, attention_mask = pad(asked, self.llm.tokenizer.pad_token_id, model.device)
        out = model(
            input_ids=ids, attention_mask=attention_mask, decoder_input_ids=self.decoder_ids(rollout),
            output_hidden_states=True, use_cache=False,
        )  # fmt: skip
        return out.logits, out.decoder_hidden_states[-1]

    def decoder_ids(self, rollout: Rollout) -> torch.Tensor:
        """What a decoder reads: the model's start token, then the response but its last token."""
        model = self.llm.model.get_base_model()
        start, tokens = decoder_start(model), rollout.tokens[:, :-1].to(model.device)
        return torch.cat([torch.full_like(rollout.tokens[:, :1], start).to(tokens), tokens], 1)

    def together(self, prompts: Sequence[int]) -> list[list[int]]:
        """The prompts (by position) in groups, each read in one forward pass: here, all at once."""
        return [list(prompts)]

    def write(
        self, prompts: Sequence[str], group: int, max_new_tokens: int, temperature: float, seed: int
    ) -> tuple[list[Answer], tuple[torch.Tensor, torch.Tensor] | None]:
        """``group`` sampled answers to each prompt, and no hidden states of frozen layers."""
        self._check_lengths(max(len(self.llm.encode(p)) for p in prompts) + max_new_tokens - 1)
        answers = self.llm.answer(
            [p for p in prompts for _ in range(group)],
            max_new_tokens=max_new_tokens, do_sample=True, temperature=temperature, seed=seed,
        )  # fmt: skip
        return answers, None

    def _check_lengths(self, longest: int) -> None:
        """A text that passes the model's turning point would be drawn in one way and read in another: CourseError."""
        limit = turning_point(self.llm.model.config)
        if limit is not None and longest > limit:
            raise CourseError(
                f"{self.llm.name} reads texts of more than {limit:,} tokens in another way than shorter ones, and here is one of "
                f"{longest:,}; shorten the prompts, or lower max_new_tokens."
            )

    def read_frozen(self, rollout: Rollout) -> Rollout:
        """The plain policy reads nothing ahead: the rollout as it is."""
        return rollout

    @torch.no_grad()
    def _width(self) -> int:
        """Numbers in a hidden state: the model is asked for one, on one token."""
        token = torch.zeros(1, 1, dtype=torch.long)
        one = Rollout([[0]], token, token == 0, torch.tensor([True]), [""])
        self.llm.model.eval()
        return Policy.forward(self, one)[1].shape[-1]


def _not_the_reference(model) -> str:
    """Why the model without its adapter is another one than training starts from, and what to do; or nothing."""
    config = model.active_peft_config
    if config.is_prompt_learning:
        return "a soft prompt is read by peft's wrapper alone, and the policy reads past it; use LoRA"
    start = str(getattr(config, "init_lora_weights", ""))
    if start.startswith(MOVE_THE_BASE):
        return f"{start} changes the model's own weights at its start; use init_lora_weights=True"
    if getattr(config, "bias", "none") not in ("none", False):
        return f"bias={config.bias!r} trains biases of the model itself; use bias='none'"
    weights = model.named_parameters()
    stay = [n for n, p in weights if p.requires_grad and model.base_model.prefix not in n and "modules_to_save" not in n]
    return f"{stay[0]} is trained and stays as it is; freeze it (requires_grad_(False))" if stay else ""


def pad(rows: list[list[int]], pad_id: int, device) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask [rows, longest], padded on the right; the mask comes from lengths."""
    longest = max(map(len, rows))
    ids = [row + [pad_id] * (longest - len(row)) for row in rows]
    real = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(real, device=device)
