"""Interactive extras. Each follows a static figure that tells the same story without a kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from . import decoding, memory, transformer
from .llm import LLM, decoder_start
from .settings import CourseError
from .style import DARK


def _room(width: str = "40em") -> dict:
    """A control as wide as given, with room for its whole label before it."""
    return {"style": {"description_width": "11em"}, "layout": {"width": width}}


def decoding_explorer(llm: LLM):
    """Sliders for temperature, top-k and top-p over the model's next token, and a text made with them.

    The chart shows the likeliest tokens of the processed distribution; "Write" samples a text.
    """
    import ipywidgets as w

    prompt = w.Textarea("Yesterday my neighbour bought a", description="prompt", rows=3, **_room())
    temperature = w.FloatSlider(1.0, min=0.1, max=2.0, step=0.1, description="temperature", **_room())
    top_k = w.IntSlider(0, min=0, max=100, description="top-k (0: off)", **_room())
    top_p = w.FloatSlider(1.0, min=0.05, max=1.0, step=0.05, description="top-p (1: off)", **_room())
    limit = w.IntSlider(30, min=1, max=100, description="tokens to write", **_room())
    seed = w.IntText(0, description="seed", **_room("20em"))
    write, chart, text = w.Button(description="Write"), w.HTML(), w.HTML()
    options = (temperature, top_k, top_p)
    cache: dict[str, torch.Tensor] = {}

    def logits() -> torch.Tensor:
        if prompt.value not in cache:  # one forward pass per prompt, none a slider
            cache.clear()
            cache[prompt.value] = next_logits(llm, prompt.value)
        return cache[prompt.value]

    def draw(_=None) -> None:
        if prompt.value.strip():
            row = decoding.process(logits(), t=temperature.value, k=top_k.value, p=top_p.value)
            chart.value = _bars(row, llm.tokenizer)
        else:
            chart.value = "Write something into the prompt."

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
        start = torch.tensor([[decoder_start(llm.model), *llm.begins_with]], device=ids.device)
        return llm.model(input_ids=ids, decoder_input_ids=start).logits[0, -1].float()
    return llm.model(input_ids=ids).logits[0, -1].float()


def _bars(row: torch.Tensor, tokenizer, count: int = 12) -> str:
    """The likeliest tokens as an HTML table of bars, the longest bar over the whole width."""
    probabilities, ids = row.softmax(-1).topk(min(count, len(row)))
    longest = probabilities[0].item()
    lines = [
        f"<tr><td style='text-align:right;white-space:nowrap'><code>{_escape(token_text(tokenizer, id))}"
        f"</code></td><td style='padding:0 .5em'>{p:.3f}</td><td style='width:100%'>"
        f"<div style='background:{DARK};height:1em;width:{100 * p / longest:.0f}%'></div></td></tr>"
        for p, id in zip(probabilities.tolist(), ids.tolist())
        if p > 0
    ]
    kept = int(row.isfinite().sum())
    could = f"{kept:,} tokens" if kept > 1 else "only one token"
    return (
        f"<p>{could[0].upper()}{could[1:]} can be drawn; the likeliest, with their probabilities "
        f"(␣ is a blank, ↵ a new line):</p><table style='width:40em'>{''.join(lines)}</table>"
    )


def token_text(tokenizer, id: int) -> str:
    """A token by which its row can be known: blanks as ␣, line breaks as ↵, marks by their name."""
    text = tokenizer.decode([id]).replace("\n", "↵")
    leading = len(text) - len(text.lstrip())
    return "␣" * leading + text.lstrip() or str(tokenizer.convert_ids_to_tokens(id))


def _escape(text: str) -> str:
    import html

    return html.escape(text)


def task_playground(llm: LLM, wording: dict[str, str], examples: dict[str, str]):
    """Choose a task, edit the request, generate: the model on anything you like.

    ``wording`` maps a task to an instruction with ``{input}`` in it, ``examples`` to a first input.
    """
    import ipywidgets as w

    task = w.Dropdown(options=list(wording), description="task", **_room())
    request = w.Textarea(description="request", rows=4, **_room("50em"))
    limit = w.IntSlider(30, min=1, max=120, description="tokens to write", **_room())
    ask, text = w.Button(description="Ask"), w.HTML()

    def choose(_=None) -> None:
        request.value = wording[task.value].replace("{input}", examples[task.value])
        text.value = ""

    def answer(_=None) -> None:
        try:
            found = llm.answer([llm.chat(request.value)], max_new_tokens=limit.value)[0]
        except ValueError as error:
            text.value = f"<p>{_escape(str(error))}</p>"
            return
        end = "stopped by itself" if found.ended else "cut at the limit"
        shown = _escape(found.text).replace("\n", "<br>")
        text.value = f"<p style='max-width:40em'><b>{shown}</b></p><p>{found.tokens} tokens, {end}</p>"

    task.observe(choose, "value")
    ask.on_click(answer)
    choose()
    return w.VBox([task, request, limit, ask, text])


def translation_explorer(model, french, english):
    """A French sentence of the grammar, its translation, and the cross-attention of the last layer.

    ``model`` is a trained :class:`course_utils.transformer.Transformer`, or one whose ``decode`` returns
    the cross-attention of its last block alone; ``french`` and ``english`` are its vocabularies.
    """
    import ipywidgets as w

    french_text = "nous ne voyons pas la petite voiture rouge"
    sentence = w.Text(french_text, description="in French", **_room("44em"))
    shown = w.HTML()

    def draw(_=None) -> None:
        if sentence.value.strip():
            try:
                shown.value = _translated(model, french, english, sentence.value)
            except CourseError as error:
                shown.value = f"<p>{_escape(str(error))}</p>"

    sentence.observe(draw, "value")
    draw()
    return w.VBox([sentence, shown])


@torch.no_grad()
def _translated(model, french, english, sentence: str) -> str:
    """The translation over a table: a row per English word, a column per French one, weights in it."""
    source = torch.tensor([french.encode(sentence)])
    target = transformer.greedy(model, source)
    before = torch.cat([torch.full((1, 1), transformer.START), target[:, :-1]], 1)
    cross = model.decode(before, model.encode(source)[0], source)[-1]
    if isinstance(cross, list):  # one table per layer
        cross = cross[-1]
    head = "".join(f"<th>{_escape(french.words[i])}</th>" for i in source[0])
    rows = [f"<tr><td></td>{head}</tr>"]
    for id, weights in zip(target[0].tolist(), cross[0].mean(0).tolist()):
        cells = "".join(
            f"<td style='background:rgba(31,78,121,{p:.2f});color:{'white' if p > 0.5 else 'black'}'>"
            f"{p:.2f}</td>" for p in weights
        )  # fmt: skip
        rows.append(f"<tr><th>{_escape(english.words[id])}</th>{cells}</tr>")
    return f"<p><b>{_escape(english.decode(target[0].tolist()))}</b></p><table style='border-spacing:2px'>{''.join(rows)}</table>"


def ranking_form(candidates: Mapping[str, str], to_pairs, others: Mapping[str, Sequence[int]]):
    """A labelling form: a rank for each candidate text; below it the pairs that the ranking holds.

    ``to_pairs(ranks)`` returns (better, worse) index pairs. ``others`` holds the ranks of other
    annotators: the form counts the pairs on which each has the same preference.
    """
    import ipywidgets as w

    letters = list(candidates)
    places = [(str(n), n) for n in range(1, len(letters) + 1)]
    ranks = [w.Dropdown(options=places, value=1, layout={"width": "5em"}) for _ in letters]
    rows = [
        w.HBox([rank, w.HTML(f"<b>{letter}</b> {_escape(text)}")])
        for rank, (letter, text) in zip(ranks, candidates.items())
    ]
    result = w.HTML()

    def show(_=None) -> None:
        mine = to_pairs([rank.value for rank in ranks])
        lines = [" ".join(f"{letters[i]}&gt;{letters[j]}" for i, j in mine) or "all tied: no pair"]
        for name, theirs in others.items():
            shared = len(set(mine) & set(to_pairs(list(theirs))))
            lines.append(f"You and {_escape(name)} agree on {shared} of your {len(mine)} pairs.")
        result.value = "".join(f"<p>{line}</p>" for line in lines)

    for rank in ranks:
        rank.observe(show, "value")
    show()
    return w.VBox([w.HTML("Rank 1 is the best; equal ranks are a tie."), *rows, result])


def memory_explorer():
    """Sliders for a model's size and the number of GPUs: what each GPU holds, at every ZeRO stage."""
    import ipywidgets as w

    billions = w.FloatLogSlider(7, base=10, min=-1, max=2.5, step=0.05, description="weights, in billions",
                               readout_format=".1f", **_room())
    ranks = w.SelectionSlider(options=[2**i for i in range(10)], value=8, description="GPUs", **_room())
    card = w.IntSlider(80, min=8, max=192, step=8, description="memory per GPU, GB", **_room())
    rest = w.FloatSlider(10, min=0, max=60, step=1, description="activations, GB", **_room())
    shown = w.HTML()

    def draw(_=None) -> None:
        shown.value = _shares(billions.value * 1e9, ranks.value, card.value, rest.value)

    for slider in (billions, ranks, card, rest):
        slider.observe(draw, "value")
    draw()
    return w.VBox([billions, ranks, card, rest, shown])


def _shares(parameters: float, ranks: int, card: float, rest: float) -> str:
    """A table: a row per strategy, what a GPU holds in GB, and whether the card is large enough."""
    head = "".join(f"<th>{name}</th>" for name in ("", "weights", "gradients", "moments", "activations", "all", ""))
    rows = []
    for stage, name in enumerate(("DDP", "ZeRO-1", "ZeRO-2", "ZeRO-3")):
        parts = [size / memory.GB for size in memory.zero_bytes(parameters, ranks, stage).values()] + [rest]
        total = sum(parts)
        cells = "".join(f"<td style='text-align:right'>{part:.1f}</td>" for part in [*parts, total])
        verdict = "fits" if total <= card else f"{total - card:.1f} GB too many"
        rows.append(f"<tr><th>{name}</th>{cells}<td>{verdict}</td></tr>")
    return f"<p>GB on each of {ranks} GPUs with {card} GB, for {parameters / 1e9:.1f} billion weights:</p><table style='border-spacing:1em 0'>{head}{''.join(rows)}</table>"


def summariser_app(summarise, dialogue: str = ""):
    """A form: a dialogue in, a button, its summary out.

    ``summarise(dialogue) -> text``, or None where the guard let nothing through. Errors are shown as
    a sentence in the form, and the button is locked while the model writes.
    """
    import ipywidgets as w

    text = w.Textarea(dialogue, description="dialogue", rows=8, **_room("54em"))
    button, answer = w.Button(description="Summarise"), w.HTML()

    def click(_=None) -> None:
        if not text.value.strip():
            answer.value = "Paste a dialogue first, one turn per line."
            return
        button.disabled, answer.value = True, "writing …"
        try:
            found = summarise(text.value.strip())
            withheld = "<i>Withheld: no draft passed the guard. Please summarise this one by hand.</i>"
            answer.value = withheld if found is None else _escape(found)
        except (ValueError, RuntimeError) as error:  # too long for the context, out of memory
            answer.value = f"<i>{_escape(str(error))}</i>"
        finally:
            button.disabled = False

    button.on_click(click)
    return w.VBox([text, button, answer])


def objective_explorer(mask_tokens, span_corruption):
    """A sentence, an objective and a draw: what is read, and what has to be guessed.

    The two functions are those of the notebook on model families; here they work on words.
    """
    import random

    import ipywidgets as w

    sentence = w.Text("the cat sat on the mat because it was very tired .", description="sentence", **_room("54em"))
    objective = w.Dropdown(options=["masked", "causal", "span corruption"], description="objective", **_room())
    seed, view = w.IntSlider(0, min=0, max=20, description="draw", **_room()), w.HTML()

    def draw(_=None) -> None:
        words, rng = sentence.value.split(), random.Random(seed.value)
        if len(words) < 4:
            view.value = "Write at least four words."
            return
        if objective.value == "masked":
            chosen = rng.sample(range(len(words)), max(1, round(0.15 * len(words))))
            picked = [i in chosen for i in range(len(words))]
            dice, others = [rng.random() for _ in words], [rng.choice(words) for _ in words]
            inputs, labels = mask_tokens(words, picked, dice, others, "[MASK]")
            rows = {"read": inputs, "label": ["" if label == -100 else label for label in labels]}
        elif objective.value == "causal":
            rows = {"read": words, "label": [*words[1:], ""]}
        else:
            size = max(1, min(3, round(0.15 * len(words))))
            start = rng.randrange(len(words) - size + 1)
            inputs, targets = span_corruption(words, [(start, size)], ["<X>", "<Y>"])
            rows = {"read": inputs, "written": targets}
        lines = ("".join(f"<td style='padding:0 .5em'>{_escape(word)}</td>" for word in row) for row in rows.values())
        view.value = "<table>" + "".join(f"<tr><th>{name}</th>{line}</tr>" for name, line in zip(rows, lines)) + "</table>"

    for control in (sentence, objective, seed):
        control.observe(draw, "value")
    draw()
    return w.VBox([sentence, objective, seed, view])
