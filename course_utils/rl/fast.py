"""The same policy with less work: prompts read once for all their responses, frozen layers read once.

A decoder-only model reads one row per prompt (:mod:`.layout`); an encoder-decoder encodes each prompt
once. The first layers, if the adapter leaves them alone, are the same for the old, the new and the
reference policy: they are computed once per rollout, and every pass starts behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import torch
from torch import nn

from ..finetune import mixed_precision, release_memory
from ..models import LLM
from .layout import row_a_prompt
from .logprobs import response_mask
from .policy import Policy, pad
from .rollout import Rollout
from .write import added, write

# Nats: rounding in float32 moves a log-probability by some 1e-5, in half precision by some hundredths;
# a forgotten scale or mask moves it by whole nats.
TOLERANCE = {torch.float32: 1e-3}
HALF_TOLERANCE = 0.25


def fast_or_plain(llm: LLM, mixed: bool = False) -> Policy:
    """A :class:`FastPolicy` if it agrees with the plain one on this very model, else the plain one.

    ``mixed`` is the fast one's; the plain one stays in the model's own precision.

    Raises
    ------
    CourseError
        as :class:`Policy`.
    """
    fast = FastPolicy(llm)
    if fast.agrees():
        return FastPolicy(llm, mixed)
    print(
        f"{llm.name}: the shortcuts of FastPolicy do not give this model's own log-probabilities, so the "
        "plain policy runs: slower, and right."
    )
    return Policy(llm)


class FastPolicy(Policy):
    """A :class:`Policy` whose log-probabilities, values and gradients are the plain one's.

    True for models whose logits are the output layer's of the last hidden state and whose attention
    follows the mask and the positions it is given. :meth:`agrees` finds out.

    ``mixed``: where the processor gains by it, the frozen linear weights are kept in bfloat16 from now on
    (half the memory) and all layers compute in it; adapter, value head and log-probabilities stay in
    float32. Rounding to 8 bits depends on what is computed together, so each prompt is read with its own
    responses alone: the same shapes in every pass, and the first ratio is exactly 1.
    """

    def __init__(self, llm: LLM, mixed: bool = False):
        super().__init__(llm)
        self.frozen, self.mixed = frozen_layers(llm), mixed
        kind = llm.model.device.type
        with self.precision():
            if torch.is_autocast_enabled(kind) and llm.model.dtype == torch.float32:
                halve_frozen(llm, torch.get_autocast_dtype(kind))

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
        with self.precision():
            if self.llm.family == "encoder-decoder":
                return self._forward_seq2seq(rollout)
            return self._forward_decoder(rollout)

    def _forward_decoder(self, rollout: Rollout) -> tuple[torch.Tensor, torch.Tensor]:
        base = self.llm.model.get_base_model()
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
        # A logit of 20 in bfloat16 is one of 19.875, 20 and 20.125: too rough for a log-probability.
        with torch.autocast(hidden.device.type, enabled=False):
            head = base.get_output_embeddings()
            return head(hidden.to(head.weight.dtype)), hidden

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

    def together(self, prompts: Sequence[int]) -> list[list[int]]:
        """As :meth:`Policy.together`; with ``mixed``, every prompt by itself."""
        return [[prompt] for prompt in prompts] if self.mixed else [list(prompts)]

    def precision(self):
        """bfloat16 arithmetic if ``mixed``, where the processor gains by it."""
        return mixed_precision(self.llm.model.device.type) if self.mixed else nullcontext()

    def write(self, prompts, group, max_new_tokens, temperature, seed):
        """As :meth:`Policy.write`; a decoder-only model's answers come side by side, with their trunk."""
        if self.llm.family == "encoder-decoder":
            with self.precision():  # frozen weights may be in bfloat16
                return super().write(prompts, group, max_new_tokens, temperature, seed)
        rows = self.llm.encode_all(prompts, max_new_tokens)
        with self.precision():
            tokens, trunk = write(self.llm, rows, group, max_new_tokens, temperature, seed, self.frozen)
        return self.llm.to_answers(tokens), trunk

    @torch.no_grad()
    def read_frozen(self, rollout: Rollout) -> Rollout:
        """The rollout with its hidden states behind the frozen layers, which every pass starts from."""
        if not self.frozen:
            return rollout
        decoder = self.llm.model.eval().get_base_model().get_decoder()
        caught = []
        with self.precision(), some_layers(decoder, 0, self.frozen) as layers:
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
        return {"input_ids": ids, "position_ids": positions, "attention_mask": added(sees, model.dtype)}


def frozen_layers(llm: LLM) -> int:
    """How many of a decoder's first layers hold no trainable weight (0 where they cannot be split)."""
    base = llm.model.get_base_model()
    if not llm.can_share or base.get_input_embeddings().weight.requires_grad:
        return 0
    layers = getattr(base.get_decoder(), "layers", ())
    trained = [any(p.requires_grad for p in layer.parameters()) for layer in layers]
    return trained.index(True) if True in trained else 0


def halve_frozen(llm: LLM, dtype: torch.dtype) -> None:
    """The weights of linear layers that no training touches, in ``dtype`` from now on: half their memory.

    Under autocast the results are the same to the last bit: it would round these weights in every pass.
    So that the model can also be called outside of it, its forward brings its own.
    """
    base = llm.model.get_base_model()
    head = set(base.get_output_embeddings().modules())  # several, where it carries an adapter
    for module in base.modules():
        if isinstance(module, nn.Linear) and module not in head and not module.weight.requires_grad:
            module.to(dtype)
    for p in base.parameters():
        if p.dtype != dtype:
            p.data = p.data.clone()  # else it would hold the whole file that all weights were read from
    release_memory()
    base.forward = torch.autocast(llm.model.device.type, dtype)(base.forward)


@contextmanager
def some_layers(decoder, start: int, stop: int | None):
    """The decoder with some of its layers only; all of them again after."""
    whole = decoder.layers
    decoder.layers = whole[start:stop]
    try:
        yield decoder.layers
    finally:
        decoder.layers = whole
