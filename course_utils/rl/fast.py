"""The same policy with less work: prompts read once for all their responses, frozen layers read once.

A decoder-only model reads one row per prompt (:mod:`.layout`); an encoder-decoder encodes each prompt
once. The first layers, if the adapter leaves them alone, are the same for the old, the new and the
reference policy: they are computed once per rollout, and every pass starts behind them.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import torch

from ..models import LLM
from .layout import row_a_prompt
from .logprobs import response_mask
from .policy import Policy, pad
from .rollout import Rollout

# Nats: rounding in float32 moves a log-probability by some 1e-5, in half precision by some hundredths;
# a forgotten scale or mask moves it by whole nats.
TOLERANCE = {torch.float32: 1e-3}
HALF_TOLERANCE = 0.25


def fast_or_plain(llm: LLM) -> Policy:
    """A :class:`FastPolicy` if it agrees with the plain one on this very model, else the plain one.

    Raises
    ------
    CourseError
        as :class:`Policy`.
    """
    fast = FastPolicy(llm)
    if fast.agrees():
        return fast
    print(
        f"{llm.name}: the shortcuts of FastPolicy do not give this model's own log-probabilities, so the "
        "plain policy runs: slower, and right."
    )
    return Policy(llm)


class FastPolicy(Policy):
    """A :class:`Policy` whose log-probabilities, values and gradients are the plain one's.

    True for models whose logits are the output layer's of the last hidden state and whose attention
    follows the mask and the positions it is given. :meth:`agrees` finds out.
    """

    def __init__(self, llm: LLM):
        super().__init__(llm)
        self.frozen = frozen_layers(llm)

    @torch.no_grad()
    def agrees(self) -> bool:
        """Does the fast forward equal the plain one on a small ragged batch of random tokens?"""
        if self.llm.family == "decoder-only" and not self.llm.can_share:
            return False  # a window of attention that this small batch would not reach
        generator = torch.Generator().manual_seed(0)
        words = self.llm.model.get_input_embeddings().num_embeddings

        def random(*shape):
            return torch.randint(words, shape, generator=generator)

        mask = response_mask(torch.tensor([5, 2, 1, 4]), 5)
        probe = Rollout(
            [random(7).tolist(), random(3).tolist()], random(4, 5), mask, torch.ones(4).bool(), [""] * 4
        )
        self.llm.model.eval()
        try:
            found = self.forward(self.read_frozen(probe))
            wanted = Policy.forward(self, probe)
        except Exception:  # its forward takes no such mask, positions or layers: not ours to know which
            return False
        (logits, hidden), (own_logits, own_hidden) = (
            [x[mask.to(x.device)].float() for x in pair] for pair in (found, wanted)
        )
        nats = (logits.log_softmax(-1) - own_logits.log_softmax(-1)).abs().max()
        share = (hidden - own_hidden).abs().max() / own_hidden.abs().max()
        return bool(max(nats, share) < TOLERANCE.get(self.llm.model.dtype, HALF_TOLERANCE))

    def forward(self, rollout: Rollout) -> tuple[torch.Tensor, torch.Tensor]:
        """As :meth:`Policy.forward`, from one row per prompt, behind the frozen layers if they were read."""
        base = self.llm.model.get_base_model()
        if self.llm.family == "encoder-decoder":
            return self._forward_seq2seq(rollout)
        decoder, inputs = base.get_decoder(), self._inputs(rollout)
        if rollout.trunk is None:
            hidden = decoder(**inputs, use_cache=False).last_hidden_state
        else:
            asked, answered = rollout.trunk
            trunk = torch.cat([asked, answered.flatten(1, 2)], 1)
            with some_layers(decoder, self.frozen, None) as layers:
                # The first layer that is left reads the trunk instead of the embeddings.
                hook = layers[0].register_forward_pre_hook(lambda m, args: (trunk, *args[1:]))
                try:
                    hidden = decoder(**inputs, use_cache=False).last_hidden_state
                finally:
                    hook.remove()
        asked = max(map(len, rollout.prompts))
        # The prompt's last token predicts the first token of each of its responses.
        last = hidden[:, asked - 1, None].repeat_interleave(rollout.group, 0)
        rest = hidden[:, asked:].reshape(len(rollout.tokens), -1, hidden.shape[-1])
        hidden = torch.cat([last, rest], 1)
        return base.get_output_embeddings()(hidden), hidden

    def _forward_seq2seq(self, rollout: Rollout) -> tuple[torch.Tensor, torch.Tensor]:
        base, group = self.llm.model.get_base_model(), rollout.group
        ids, seen = pad(rollout.prompts, self.llm.tokenizer.pad_token_id, base.device)
        encoded = base.get_encoder()(input_ids=ids, attention_mask=seen)
        encoded.last_hidden_state = encoded.last_hidden_state.repeat_interleave(group, 0)
        out = base(
            encoder_outputs=encoded, attention_mask=seen.repeat_interleave(group, 0),
            decoder_input_ids=self.decoder_ids(rollout), output_hidden_states=True, use_cache=False,
        )  # fmt: skip
        return out.logits, out.decoder_hidden_states[-1]

    @torch.no_grad()
    def read_frozen(self, rollout: Rollout) -> Rollout:
        """The rollout with its hidden states behind the frozen layers, which every pass starts from."""
        if not self.frozen:
            return rollout
        decoder = self.llm.model.eval().get_base_model().get_decoder()
        caught = []
        with some_layers(decoder, 0, self.frozen) as layers:
            # Caught at the last frozen layer: what the decoder returns has gone through its final norm.
            hook = layers[-1].register_forward_hook(lambda m, args, out: caught.append(out))
            try:
                decoder(**self._inputs(rollout), use_cache=False)
            finally:
                hook.remove()
        hidden = caught[0][0] if isinstance(caught[0], tuple) else caught[0]
        asked = max(map(len, rollout.prompts))
        shape = (len(hidden), rollout.group, -1, hidden.shape[-1])
        return replace(rollout, trunk=(hidden[:, :asked], hidden[:, asked:].reshape(shape)))

    def _inputs(self, rollout: Rollout) -> dict[str, torch.Tensor]:
        """One row per prompt; the mask [prompts, 1, columns, columns] is added to the attention scores."""
        model = self.llm.model
        tokens = rollout.tokens[:, :-1].to(model.device)
        ids, positions, sees = row_a_prompt(rollout.prompts, tokens, self.llm.tokenizer.pad_token_id)
        hidden_from = torch.finfo(model.dtype).min
        mask = torch.where(sees, 0.0, hidden_from).to(model.dtype)[:, None]
        return {"input_ids": ids, "position_ids": positions, "attention_mask": mask}


def frozen_layers(llm: LLM) -> int:
    """How many of a decoder's first layers hold no trainable weight (0 where they cannot be split)."""
    base = llm.model.get_base_model()
    if not llm.can_share or base.get_input_embeddings().weight.requires_grad:
        return 0
    layers = getattr(base.get_decoder(), "layers", ())
    trained = [any(p.requires_grad for p in layer.parameters()) for layer in layers]
    return trained.index(True) if True in trained else 0


@contextmanager
def some_layers(decoder, start: int, stop: int | None):
    """The decoder with some of its layers only; all of them again after."""
    whole = decoder.layers
    decoder.layers = whole[start:stop]
    try:
        yield decoder.layers
    finally:
        decoder.layers = whole
