"""The policy, what it does with a batch of prompts, and its log-probabilities and values."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from ..models import LLM
from ..settings import CourseError
from .logprobs import response_mask


@dataclass(frozen=True)
class Rollout:
    """Prompts and the responses sampled for them. ``tokens`` [rows, longest] is padded on the right;
    ``mask`` is True at response tokens, the first end token included."""

    prompts: list[list[int]]
    tokens: torch.Tensor
    mask: torch.Tensor
    ended: torch.Tensor  # [rows]: did the response end by itself?
    texts: list[str]  # decoded responses only: a score of the prompt would not move the policy

    def rows(self, index: Sequence[int]) -> Rollout:
        """Some of the rows, their columns cut to the longest response among them."""
        index = list(index)
        longest = int(self.mask[index].sum(1).max())
        return Rollout(
            [self.prompts[i] for i in index], self.tokens[index, :longest],
            self.mask[index, :longest], self.ended[index], [self.texts[i] for i in index],
        )  # fmt: skip


class Policy:
    """A peft model whose adapter is the policy and whose base is the reference, and a value head.

    ``llm.model`` must carry the RL adapter alone: merge an earlier adapter into the weights first
    (``merge_and_unload``), or the reference would lack it. The value head is linear, starts at 0,
    and reads the last hidden states without sending gradients into them.
    """

    def __init__(self, llm: LLM):
        if not hasattr(llm.model, "disable_adapter"):
            raise CourseError(
                "The policy has no adapter, so there is no reference to stay close to; wrap the "
                "tuned model with peft's get_peft_model first."
            )
        self.llm = llm
        width = llm.model.get_base_model().get_output_embeddings().in_features
        self.value_head = nn.Linear(width, 1).to(llm.model.device)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)

    def parameters(self) -> list[nn.Parameter]:
        """What PPO trains: the adapter and the value head."""
        adapter = [p for p in self.llm.model.parameters() if p.requires_grad]
        return [*adapter, *self.value_head.parameters()]

    def outputs(self, rollout: Rollout, reference: bool = False):
        """Logits [rows, tokens, vocabulary] before each response token, and values [rows, tokens].

        Always in evaluation mode: dropout would make the ratio of two equal policies differ from 1.
        ``reference`` switches the adapter off, for this call only, also if it fails.
        """
        model = self.llm.model.eval()
        with model.disable_adapter() if reference else nullcontext():
            hidden = self._hidden(model.get_base_model(), rollout)
            logits = model.get_base_model().get_output_embeddings()(hidden)
        return logits, self.value_head(hidden.detach().float()).squeeze(-1)

    def _hidden(self, base, rollout: Rollout) -> torch.Tensor:
        """Last hidden states where the response tokens are predicted, [rows, tokens, width]."""
        device, pad = base.device, self.llm.tokenizer.pad_token_id
        prompts, tokens = rollout.prompts, rollout.tokens.to(device)
        longest = max(map(len, prompts))
        ids = torch.tensor([[pad] * (longest - len(p)) + p for p in prompts], device=device)
        seen = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=device)
        if self.llm.family == "encoder-decoder":
            start = torch.full((len(ids), 1), base.config.decoder_start_token_id, device=device)
            hidden = base(
                input_ids=ids, attention_mask=seen, output_hidden_states=True,
                decoder_input_ids=torch.cat([start, tokens[:, :-1]], 1),
            ).decoder_hidden_states[-1]  # fmt: skip
            return hidden * base.model_dim**-0.5 if base.config.tie_word_embeddings else hidden
        # [padding | prompt | response]: the columns before the responses are the last ones.
        mask = torch.cat([seen, rollout.mask.to(device).long()], 1)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        inputs = torch.cat([ids, tokens], 1)[:, :-1]
        hidden = base.get_decoder()(
            input_ids=inputs, attention_mask=mask[:, :-1], position_ids=positions[:, :-1],
            use_cache=False,
        ).last_hidden_state  # fmt: skip
        return hidden[:, longest - 1 :]


def sample(
    policy: Policy, prompts: Sequence[str], max_new_tokens: int, temperature: float, seed: int
) -> Rollout:
    """Phase 1: the policy answers. Plain sampling: with top-k or top-p the policy that acts would
    not be the one whose log-probabilities are computed."""
    llm = policy.llm
    answers = llm.answer(
        prompts, max_new_tokens=max_new_tokens, do_sample=True, temperature=temperature, seed=seed
    )
    longest = max(a.tokens for a in answers)
    pad = llm.tokenizer.pad_token_id
    tokens = torch.tensor([[*a.ids, *[pad] * (longest - a.tokens)] for a in answers])
    return Rollout(
        [llm.encode(p) for p in prompts], tokens,
        response_mask(torch.tensor([a.tokens for a in answers]), longest),
        torch.tensor([a.ended for a in answers]), [a.text for a in answers],
    )  # fmt: skip
