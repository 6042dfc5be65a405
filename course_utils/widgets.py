"""Interactive extras. Each follows a static figure that tells the same story without a kernel."""

from __future__ import annotations

import torch

from . import decoding
from .models import LLM


def decoding_explorer(llm: LLM):
    """Sliders for temperature, top-k and top-p over the model's next word, and a text made with them.

    The chart shows the likeliest words of the processed distribution; "Write" samples a text.
    """
    import ipywidgets as w

    prompt = w.Textarea("Yesterday my neighbour bought a", description="prompt", rows=3)
    temperature = w.FloatSlider(1.0, min=0.1, max=2.0, step=0.1, description="temperature")
    top_k = w.IntSlider(0, min=0, max=100, description="top-k (0: off)")
    top_p = w.FloatSlider(1.0, min=0.05, max=1.0, step=0.05, description="top-p")
    limit = w.IntSlider(30, min=1, max=100, description="max tokens")
    seed = w.IntText(0, description="seed")
    write, chart, text = w.Button(description="Write"), w.HTML(), w.HTML()
    options = (temperature, top_k, top_p)
    cache: dict[str, torch.Tensor] = {}

    def logits() -> torch.Tensor:
        if prompt.value not in cache:  # one forward pass a prompt, none a slider
            cache.clear()
            cache[prompt.value] = next_logits(llm, prompt.value)
        return cache[prompt.value]

    def draw(_=None) -> None:
        if prompt.value.strip():
            row = decoding.process(logits(), t=temperature.value, k=top_k.value, p=top_p.value)
            chart.value = _bars(row, llm.tokenizer)
        else:
            chart.value = "Write at least one word into the prompt."

    def answer(_=None) -> None:
        try:
            found = llm.generate(
                [prompt.value], do_sample=True, temperature=temperature.value, top_k=top_k.value,
                top_p=top_p.value, max_new_tokens=limit.value, seed=seed.value,
            )[0]  # fmt: skip
        except ValueError as error:
            found = str(error)
        text.value = (
            f"<p style='max-width:40em'>{_escape(prompt.value)} <b>{_escape(found)}</b></p>"
        )

    for control in (prompt, *options):
        control.observe(draw, "value")
    write.on_click(answer)
    draw()
    return w.VBox([prompt, *options, limit, seed, chart, write, text])


@torch.inference_mode()
def next_logits(llm: LLM, prompt: str) -> torch.Tensor:
    """Logits of the token after ``prompt``, fp32, shape [vocabulary]."""
    ids = torch.tensor([llm.encode(prompt)], device=llm.model.device)
    if llm.family == "encoder-decoder":
        start = torch.tensor([[llm.model.config.decoder_start_token_id]], device=ids.device)
        return llm.model(input_ids=ids, decoder_input_ids=start).logits[0, -1].float()
    return llm.model(input_ids=ids).logits[0, -1].float()


def _bars(row: torch.Tensor, tokenizer, show: int = 12) -> str:
    """The likeliest words as an HTML table of bars."""
    probabilities, ids = row.softmax(-1).topk(show)
    lines = [
        f"<tr><td style='text-align:right'>{_escape(tokenizer.decode([id]))}</td><td>{p:.3f}</td>"
        f"<td><div style='background:#1f4e79;height:1em;width:{300 * p:.0f}px'></div></td></tr>"
        for p, id in zip(probabilities.tolist(), ids.tolist())
        if p > 0
    ]
    kept = int(row.isfinite().sum())
    return f"<p>{kept:,} words can be drawn; the likeliest:</p><table>{''.join(lines)}</table>"


def _escape(text: str) -> str:
    import html

    return html.escape(text)
