"""One :class:`LLM` for every family of models: prompts in, answers out, in batches."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from . import kvcache, progress
from .decoding import check_parameters
from .settings import CourseError
from .weights import quiet

# Families of which the tests show that padding changes nothing; of others each model is asked itself.
TESTED = ("llama",)
# Under these names configs say for how many positions a model was built.
POSITIONS = ("max_position_embeddings", "max_encoder_position_embeddings", "max_decoder_position_embeddings", "max_seq_len")
TRIED_TOKENS = 3  # in each of the answers that are compared
# Nats: rounding moves the log-probability of a short answer by less, padding taken for text by more.
TOLERANCE, HALF_TOLERANCE = 1e-3, 0.25


@dataclass(frozen=True)
class Answer:
    """One generated text and how it came about."""

    text: str
    tokens: int  # generated tokens, the end-of-sequence token included
    ended: bool  # did the model stop by itself?
    log_prob: float  # sum of log p(token | before), nats, at temperature 1; NaN for beams or a penalty
    ids: tuple[int, ...] = ()  # the generated tokens


class LLM:
    """A model, its tokenizer and its family behind one interface.

    ``model`` and ``tokenizer`` are the plain transformers objects: nothing is hidden. ``family``
    is ``"decoder-only"`` or ``"encoder-decoder"``; ``context`` the number of positions the model
    was built for, or None where there is no such limit (T5's positions are relative).
    """

    def __init__(self, model, tokenizer, name: str):
        self.model, self.tokenizer, self.name = model, tokenizer, name
        config = model.config
        self.family = "encoder-decoder" if config.is_encoder_decoder else "decoder-only"
        self.context: int | None = next(iter(positions(config)), None)
        self.can_share = self.family == "decoder-only" and _sees_everything(_text(config))
        self.can_pad: bool | None = None  # not yet found out: see _find_out

    def __repr__(self) -> str:
        size = sum(p.numel() for p in self.model.parameters())
        return f"LLM({self.name}: {self.family}, {size:,} parameters, context {self.context})"

    def chat(self, messages: str | Sequence[dict]) -> str:
        """Render a conversation as the text the model was trained on, ready for its answer.

        ``messages`` is one user message, or ``[{"role": …, "content": …}, …]``. A model without a
        chat template (FLAN-T5) gets the contents, a blank line between two of them.

        Raises
        ------
        CourseError
            if the model's template refuses the messages (some know no system role).
        """
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        if self.tokenizer.chat_template is None:
            return "\n\n".join(message["content"] for message in messages)
        text = self._render(messages)
        if messages[-1]["content"].strip() not in text:  # templates of models that also see ask for parts
            parts = [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in messages]
            in_parts = self._render(parts)
            text = in_parts if messages[-1]["content"].strip() in in_parts else text
        return text

    def _render(self, messages: Sequence[dict]) -> str:
        from jinja2 import TemplateError

        try:
            return self.tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=True,
                enable_thinking=False,  # Qwen 3, SmolLM 3: a short answer leaves no room for thinking aloud
            )  # fmt: skip
        except (TemplateError, TypeError, ValueError) as error:
            raise CourseError(
                f"The chat template of {self.name} does not take these messages ({error}); leave a system message out, let "
                "user and assistant take turns, or write the prompt as plain text."
            ) from error

    def encode(self, text: str) -> list[int]:
        """Token ids of a prompt. What the tokenizer puts before each text (a BOS token, GLM's ``[gMASK]<sop>``) stands
        there once, also where the text begins with it, as a chat template writes it."""
        with quiet():  # its warning about long texts comes before our sentence about them
            plain, ids = (self.tokenizer(text, add_special_tokens=special)["input_ids"] for special in (False, True))
        added = range(len(ids) - len(plain), 0, -1)  # so many tokens before the text, the rest after it
        before = next((n for n in added if ids[n : n + len(plain)] == plain), 0)
        if before and plain[:before] == ids[:before]:
            ids = ids[before:]
        end = self.tokenizer.eos_token_id
        if self.family == "decoder-only" and ids[-1:] == [end] and not text.endswith(self.tokenizer.eos_token):
            ids = ids[:-1]  # some tokenizers close every text: the answer must not begin after the end
        return ids

    @property
    def begins_with(self) -> list[int]:
        """The token that the model's generation_config forces on each answer's beginning (the language that NLLB
        or mBART writes), or nothing. It is part of an answer, and of what training reads as one."""
        forced = self.model.generation_config.forced_bos_token_id
        return [] if forced is None or self.family == "decoder-only" else [forced]

    def encode_answer(self, text: str) -> list[int]:
        """Token ids of an answer as the model would write it: a forced beginning, the text, the end token."""
        ids = self.tokenizer(text.strip(), add_special_tokens=False)["input_ids"]
        return [*self.begins_with, *ids, self.tokenizer.eos_token_id]

    def generate(self, prompts: Sequence[str], **options) -> list[str]:
        """One answer text per prompt, in the prompts' order. Options as for :meth:`answer`."""
        return [answer.text for answer in self.answer(prompts, **options)]

    @torch.inference_mode()
    def answer(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int = 48,
        do_sample: bool = False,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        num_beams: int = 1,
        batch_size: int = 32,
        seed: int = 0,
        processors: Sequence = (),
    ) -> list[Answer]:
        """Generate in batches of similar length; same prompts and seed give the same answers.

        The beginning that all prompts of a batch share (an instruction, worked examples) and
        prompts that occur several times are read once, not once a row. Under ``torch.autocast`` the
        weights are cast once for the whole call (:func:`in_lower_precision`), not anew at every token.

        Parameters
        ----------
        prompts : texts as the model should see them (see :meth:`chat`).
        do_sample : False for greedy or beam search; temperature, top_k and top_p then play no role.
        processors : transformers' logits processors, applied to each step's scores. ``log_prob`` stays that
            of the scores before them. They see a batch: its rows are sorted by length.

        Beside a soft prompt (:func:`soft_tokens`), rows of a batch are of one length: peft's generation
        counts padding as positions. Nothing is shared or read ahead then.

        Raises
        ------
        ValueError
            for no prompts, an empty prompt, one that does not fit the context window together with
            ``max_new_tokens``, and generation parameters outside their range.
        """
        check_parameters(
            temperature=temperature, top_k=top_k, top_p=top_p, max_new_tokens=max_new_tokens,
            repetition_penalty=repetition_penalty, num_beams=num_beams,
        )  # fmt: skip
        rows = self.encode_all(prompts, max_new_tokens)
        self._find_out()
        options = {
            "max_new_tokens": max_new_tokens, "do_sample": do_sample, "num_beams": num_beams,
            "repetition_penalty": repetition_penalty, "use_cache": True,
        }  # fmt: skip
        if do_sample:
            options |= {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        order = sorted(range(len(rows)), key=lambda i: (len(rows[i]), rows[i]))
        answers: list[Answer | None] = [None] * len(rows)
        with (
            torch.random.fork_rng(devices=_cuda_devices()),
            quiet(),
            in_lower_precision(self.model),
            progress.Bar("writing answers", len(order)) as bar,
        ):
            torch.manual_seed(seed)
            groups = [list(group) for _, group in itertools.groupby(order, lambda i: self._group(len(rows[i]), max_new_tokens))]
            done = 0
            for batch in (batch for group in groups for batch in _equal_parts(group, batch_size)):
                tick = _ticking(bar, done, len(batch), max_new_tokens)
                found = self._answer_batch([rows[i] for i in batch], options, [*processors, tick])
                done += len(batch)
                for i, answer in zip(batch, found):
                    answers[i] = answer
        return answers

    def _group(self, length: int, max_new_tokens: int) -> int:
        """Prompts of lengths with the same number may be rows of one batch; it grows with the length."""
        limit = turning_point(self.model.config)
        if soft_tokens(self.model) or not self.can_pad:
            return length
        if limit is None or length + max_new_tokens <= limit:
            return 0
        return min(length, limit + 1)  # those that pass the limit while they are answered pass it together

    def encode_all(self, prompts: Sequence[str], max_new_tokens: int) -> list[list[int]]:
        """Token ids of several prompts; ValueError as :meth:`answer`."""
        if isinstance(prompts, str):
            raise ValueError("Give a list of prompts: generate([prompt]), not generate(prompt).")
        if not prompts:
            raise ValueError("There are no prompts: the list is empty.")
        rows = [self.encode(prompt) for prompt in prompts]
        soft = soft_tokens(self.model)
        for number, row in enumerate(rows):
            if not prompts[number].strip() or not row:
                raise ValueError(f"Prompt {number} is empty; write at least one word.")
            if max(row) >= self.model.get_input_embeddings().num_embeddings:
                raise ValueError(
                    f"Prompt {number} holds {self.tokenizer.convert_ids_to_tokens(max(row))!r}, a token that "
                    "the model has no embedding for: its tokenizer was enlarged and the model was not."
                )
            asked = soft + len(row) + (max_new_tokens if self.family == "decoder-only" else 0)
            if self.family == "encoder-decoder" and self.context and max_new_tokens > self.context:
                raise ValueError(
                    f"max_new_tokens={max_new_tokens} is more than the {self.context:,} positions of this model's decoder: "
                    "lower it."
                )
            if self.context and asked > self.context:
                raise ValueError(
                    f"Prompt {number} has {soft + len(row):,} tokens; with max_new_tokens={max_new_tokens} it "
                    f"does not fit the context window of {self.context:,}: shorten it or use fewer "
                    "examples."
                )
        return rows

    def _find_out(self) -> None:
        """May rows share the reading of their beginning (``can_share``), and stand beside longer ones (``can_pad``)?

        Some models count padding as text: they take no position ids (MPT, the decoder of a BART) or no mask
        (RWKV). So this very model answers two made-up prompts alone and side by side; what differs is not done.
        """
        if self.can_pad is not None or soft_tokens(self.model):
            return
        self.can_pad = True
        if self.family == "encoder-decoder" or self.model.config.model_type in TESTED:
            return
        special = set(self.tokenizer.all_special_ids)
        known = min(self.model.get_input_embeddings().num_embeddings, len(self.tokenizer))
        ids = [i for i in range(0, known, max(1, known // 64)) if i not in special]
        rows = [ids[:4] + ids[4:6], ids[:4] + ids[6:18]]  # a beginning that both share
        if len(ids) < 18 or (self.context or 32) < 32:
            return  # a toy
        options = {
            "max_new_tokens": TRIED_TOKENS, "do_sample": False, "num_beams": 1, "repetition_penalty": 1.0, "use_cache": True,
        }  # fmt: skip
        ways, self.can_share = [(self.can_share, True), (False, True), (False, False)], False
        with torch.random.fork_rng(devices=_cuda_devices()), quiet():
            alone = [self._answer_batch([row], options, [])[0] for row in rows]
            for self.can_share, self.can_pad in ways:
                if not self.can_pad or self._agree(alone, rows, options):
                    return

    def _agree(self, alone: list[Answer], rows: list[list[int]], options: dict) -> bool:
        try:
            found = self._answer_batch(rows, options, [])
        except (RuntimeError, TypeError, ValueError):  # a model that takes no cache from outside
            return False
        half = self.model.dtype != torch.float32 or torch.is_autocast_enabled(self.model.device.type)
        near = HALF_TOLERANCE if half else TOLERANCE
        return all(a.ids == b.ids and abs(a.log_prob - b.log_prob) < near for a, b in zip(alone, found))

    def _answer_batch(self, rows: list[list[int]], options: dict, processors: list) -> list[Answer]:
        from transformers import ForcedBOSTokenLogitsProcessor

        device, pad = self.model.device, self.tokenizer.pad_token_id
        can_share = self.can_share and options["num_beams"] == 1 and not soft_tokens(self.model)
        shared = _shared_length(rows) if can_share else 0
        longest = max(map(len, rows))
        # [shared prefix | padding | rest]: padding in the middle, hidden by the mask, so that the
        # prefix is the same columns in every row. An encoder counts its positions from the first
        # column on, whatever the mask says: its padding comes last.
        before = [len(r) if self.family == "encoder-decoder" else shared for r in rows]
        padding = [longest - len(r) for r in rows]
        ids = [r[:b] + [pad] * n + r[b:] for r, b, n in zip(rows, before, padding)]
        mask = [[1] * b + [0] * n + [1] * (len(r) - b) for r, b, n in zip(rows, before, padding)]
        ids, mask = torch.tensor(ids, device=device), torch.tensor(mask, device=device)
        extra = {}
        if can_share and longest > 1:
            extra["past_key_values"] = kvcache.read_prompts(
                self.model, ids, mask, shared, options["max_new_tokens"]
            )
        record = _LogProbs() if options["num_beams"] == options["repetition_penalty"] == 1 else None
        if self.begins_with:  # after the record, which notes the model's own probabilities
            processors = [ForcedBOSTokenLogitsProcessor(*self.begins_with), *processors]
            extra["forced_bos_token_id"] = None
        # The model's generation_config may hold defaults of its own: name every choice.
        output = self.model.generate(
            input_ids=ids, attention_mask=mask, pad_token_id=pad,
            logits_processor=[record, *processors] if record else processors, **options, **extra,
        )  # fmt: skip
        start = longest if self.family == "decoder-only" else 1  # T5 begins with a start token
        new = output[:, start:]
        return self.to_answers(new, record.finish(output) if record else None)

    def to_answers(self, new: torch.Tensor, log_probs: torch.Tensor | None = None) -> list[Answer]:
        """Generated tokens [rows, columns], each row cut at its first end token, as answers."""
        eos = self.model.generation_config.eos_token_id
        ends = torch.tensor(eos if isinstance(eos, list) else [eos], device=new.device)
        is_end = torch.isin(new, ends)
        ended = is_end.any(1)
        # By length, never by `ids != pad`: the pad token often *is* the end token.
        lengths = torch.where(ended, is_end.int().argmax(1) + 1, new.shape[1])
        answers = []
        for row, length, end in zip(range(len(new)), lengths.tolist(), ended.tolist()):
            text = self.tokenizer.decode(new[row, :length], skip_special_tokens=True).strip()
            total = log_probs[row, :length].sum().item() if log_probs is not None else float("nan")
            ids = tuple(new[row, :length].tolist())
            answers.append(Answer(text, length, end, total, ids))
        return answers


@contextmanager
def in_lower_precision(model):
    """Under ``torch.autocast``, the weights in its precision inside; the same fp32 weights after.

    Autocast by itself casts every weight in every forward pass. That is little beside reading a
    prompt and more than all the rest of a step of one token a row. Outside of autocast: nothing.
    """
    kind = model.device.type
    cast = torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind)
    own = [(p, p.data) for p in model.parameters() if cast and p.dtype == torch.float32]
    try:
        with torch.inference_mode(False):
            for p, weight in own:
                p.data = weight.to(cast)
        yield
    finally:
        for p, weight in own:
            p.data = weight


class _LogProbs:
    """A logits processor that changes nothing and notes log p of each chosen token.

    It runs before temperature, top-k and top-p, so it sees the model's own distribution, and keeps
    one step's distribution at a time instead of [rows, steps, vocabulary].
    """

    def __init__(self):
        self.last, self.chosen = None, []

    def __call__(self, input_ids, scores):
        self._note(input_ids[:, -1])
        self.last = scores.float().log_softmax(-1)
        return scores

    def _note(self, tokens) -> None:
        if self.last is not None:
            self.chosen.append(self.last.gather(1, tokens[:, None]).squeeze(1))

    def __deepcopy__(self, memo):
        return self  # peft's prompt tuning copies the options of generate: the notes belong here

    def finish(self, output) -> torch.Tensor:
        """Log-probabilities [rows, generated tokens]."""
        self._note(output[:, -1])
        return torch.stack(self.chosen, dim=1)


def turning_point(config) -> int | None:
    """Up to how many tokens positions turn in one way and, where the longest row has more, in another for all rows.

    None for most models. Phi-3's long versions (LongRoPE, Ding et al. 2024, arXiv:2402.13753) have frequencies for
    texts within the window they were first trained on and others for longer ones; transformers chooses by the batch.
    """
    rope = getattr(_text(config), "rope_parameters", None) or {}
    each = [rope, *(kind for kind in rope.values() if isinstance(kind, dict))]  # or a kind for each sort of layer
    return min((kind["original_max_position_embeddings"] for kind in each if kind.get("rope_type") == "longrope"), default=None)


def _text(config):
    """Of a model that also sees or hears, the part that writes."""
    return config if config.is_encoder_decoder else config.get_text_config()


def positions(config) -> list[int]:
    """How many positions a model was built for, as its config says; of LED the encoder's, then the decoder's.

    Empty where there is no such limit (T5's positions are relative).
    """
    text = _text(config)
    named = (getattr(text, name, None) or 0 for name in POSITIONS)
    return [number for number in named if number > 0]


def decoder_start(model) -> int:
    """The token that an encoder-decoder's decoder reads before an answer: the one ``generate`` begins after.

    The forward of some models puts another one there when it makes the decoder's input from labels (mBART and
    PLBart the label's last).
    """
    own, config = model.generation_config, model.config
    named = (own.decoder_start_token_id, getattr(config, "decoder_start_token_id", None), own.bos_token_id, config.pad_token_id)
    return next(token for token in named if token is not None)


def soft_tokens(model) -> int:
    """How many learnt vectors peft puts before a text's tokens: prompt tuning, p-tuning, prefix tuning.

    0 for a model without. peft's wrapper adds them: the model inside (``get_base_model``) knows nothing of
    them.
    """
    configs = getattr(model, "peft_config", {}).values()
    return sum(config.num_virtual_tokens for config in configs if config.is_prompt_learning)


def _sees_everything(config) -> bool:
    """Does every layer attend to all that came before? A window would be used up by padding in between."""
    if turning_point(config) is not None:
        return False  # what is read first would be read otherwise
    if "local" in getattr(config, "attention_layers", ()):  # GPT-Neo
        return False
    layers = getattr(config, "layer_types", None)
    if layers is None:  # Mistral's config says it without naming its layers
        return getattr(config, "sliding_window", None) is None
    return set(layers) == {"full_attention"}


def _shared_length(rows: list[list[int]]) -> int:
    """Number of first tokens all rows share, at most one less than the shortest row."""
    return len(os.path.commonprefix([row[:-1] for row in rows]))


def _equal_parts(items: list, most: int) -> list[list]:
    """As few parts as needed for at most ``most`` items each, of equal size."""
    step = -(-len(items) // -(-len(items) // most))
    return [items[start : start + step] for start in range(0, len(items), step)]


def _cuda_devices() -> list[int]:
    return list(range(torch.cuda.device_count()))


def _ticking(bar: progress.Bar, done: int, rows: int, tokens: int):
    """A logits processor that changes nothing and moves the bar by a token of ``rows`` answers."""
    steps = itertools.count(1)

    def tick(input_ids, scores):
        bar.at(done + rows * min(1, next(steps) / tokens))
        return scores

    return tick
