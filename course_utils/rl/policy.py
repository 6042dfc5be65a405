"""The policy: an adapter whose base is the reference, a value head, and what both say of a rollout.

A decoder-only model reads each prompt once for all of its responses (:mod:`.layout`). The first
layers, if the adapter leaves them alone, are the same for the old, the new and the reference policy:
they are computed once a rollout.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import torch
from torch import nn

from ..models import LLM
from ..settings import CourseError
from .layout import frozen_layers, row_a_prompt, some_layers


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
        if len(llm.model.peft_config) > 1:
            raise CourseError(
                f"The model carries {len(llm.model.peft_config)} adapters, and with all of them off the "
                "reference would lack the earlier one; merge that into the weights first (merge_and_unload)."
            )
        self.llm = llm
        width = llm.model.get_base_model().get_output_embeddings().in_features
        self.value_head = nn.Linear(width, 1).to(llm.model.device)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)
        self.frozen = frozen_layers(llm)

    def parameters(self) -> list[nn.Parameter]:
        """What PPO trains: the adapter and the value head."""
        adapter = [p for p in self.llm.model.parameters() if p.requires_grad]
        return [*adapter, *self.value_head.parameters()]

    def outputs(self, rollout, reference: bool = False):
        """Logits [rows, tokens, vocabulary] before each response token, and values [rows, tokens].

        Always in evaluation mode: dropout would make the ratio of two equal policies differ from 1.
        ``reference`` switches the adapter off, for this call only, also if it fails.
        """
        model = self.llm.model.eval()
        with model.disable_adapter() if reference else nullcontext():
            hidden = self._hidden(model.get_base_model(), rollout)
            logits = model.get_base_model().get_output_embeddings()(hidden)
        return logits, self.value_head(hidden.detach().float()).squeeze(-1)

    @torch.no_grad()
    def read_frozen(self, rollout):
        """The rollout with its hidden states behind the frozen layers, which every pass starts from."""
        if not self.frozen:
            return rollout
        decoder = self.llm.model.eval().get_base_model().get_decoder()
        inputs = row_a_prompt(self.llm, rollout)
        caught = []
        with some_layers(decoder, 0, self.frozen) as layers:
            hook = layers[-1].register_forward_hook(lambda m, args, out: caught.append(out))
            try:
                decoder(**inputs, use_cache=False)
            finally:
                hook.remove()
        hidden = caught[0][0] if isinstance(caught[0], tuple) else caught[0]
        asked = max(map(len, rollout.prompts))
        shape = (len(hidden), rollout.group, -1, hidden.shape[-1])
        return replace(rollout, trunk=(hidden[:, :asked], hidden[:, asked:].reshape(shape)))

    def _hidden(self, base, rollout) -> torch.Tensor:
        """Last hidden states where the response tokens are predicted, [rows, tokens, width]."""
        if self.llm.family == "encoder-decoder":
            return self._hidden_seq2seq(base, rollout)
        decoder, inputs = base.get_decoder(), row_a_prompt(self.llm, rollout)
        if rollout.trunk is None:
            hidden = decoder(**inputs, use_cache=False).last_hidden_state
        else:
            asked, answered = rollout.trunk
            trunk = torch.cat([asked, answered.flatten(1, 2)], 1)
            with some_layers(decoder, self.frozen, None) as layers:
                hook = layers[0].register_forward_pre_hook(lambda m, args: (trunk, *args[1:]))
                try:
                    hidden = decoder(**inputs, use_cache=False).last_hidden_state
                finally:
                    hook.remove()
        asked, group = max(map(len, rollout.prompts)), rollout.group
        last = hidden[:, asked - 1, None].repeat_interleave(group, 0)  # predicts the first token
        rest = hidden[:, asked:].reshape(len(rollout.tokens), -1, hidden.shape[-1])
        return torch.cat([last, rest], 1)

    def _hidden_seq2seq(self, base, rollout) -> torch.Tensor:
        device, pad = base.device, self.llm.tokenizer.pad_token_id
        longest = max(map(len, rollout.prompts))
        ids = torch.tensor([p + [pad] * (longest - len(p)) for p in rollout.prompts], device=device)
        seen = torch.tensor(
            [[1] * len(p) + [0] * (longest - len(p)) for p in rollout.prompts], device=device
        )
        read = base.get_encoder()(input_ids=ids, attention_mask=seen)
        read.last_hidden_state = read.last_hidden_state.repeat_interleave(rollout.group, 0)
        tokens = rollout.tokens[:, :-1].to(device)
        start = torch.full((len(tokens), 1), base.config.decoder_start_token_id, device=device)
        hidden = base(
            encoder_outputs=read, attention_mask=seen.repeat_interleave(rollout.group, 0),
            decoder_input_ids=torch.cat([start, tokens], 1), output_hidden_states=True,
        ).decoder_hidden_states[-1]  # fmt: skip
        return hidden * base.model_dim**-0.5 if base.config.tie_word_embeddings else hidden
