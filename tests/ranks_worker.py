"""What the processes of test_ranks.py run: ``torchrun … ranks_worker.py numbers OUT``, or ``train …`` and ``ppo …``."""

import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

import course_utils  # noqa: F401  before torch  # isort: skip
import torch
from safetensors.torch import save_file

from course_utils import __main__ as command_line
from course_utils import adapters, finetune, ranks, rl, tasks, week3
from course_utils.models import LLM, load_llm
from course_utils.rl import several
from course_utils.settings import CourseError

finetune.bfloat16_pays = lambda: False  # a decision by timing, which two processes may take differently
PROMPTS = ["w3 w4 w5 w6", "w7", "w8 w9 w10", "w11 w12", "w20 w21", "w30", "w31 w32 w33"]
CONFIG = rl.PPO(max_new_tokens=6, minibatch=6, group=2, no_end_penalty=0.5)
RECIPE = finetune.Recipe(3e-3, epochs=3, batch_size=3, tokens_at_once=110, save_every=2)


def ragged(llm, lengths=(10, 90, 3, 40, 25)):
    """Examples whose answers have so many tokens, end included."""
    answers = [" ".join(f"w{(7 * n + i) % 57}" for i in range(n - 1)) for n in lengths]
    return finetune.encode(llm, PROMPTS[: len(lengths)], answers)


def make_policy(llm):
    """A policy that has learnt something: adapter and value head are random."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])
    policy = rl.FastPolicy(LLM(get_peft_model(llm.model, config), llm.tokenizer, llm.name))
    with torch.no_grad():
        for p in policy.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return policy


def score(texts):
    return [float(text.count("w1")) for text in texts]


def optimizer(policy):
    """Plain descent: Adam would hide a gradient's size."""
    return torch.optim.SGD(policy.parameters(), lr=0.1)


def trained(llm, method):
    """The model for a run of ``RECIPE``: whole, or with an adapter that begins the same everywhere."""
    torch.manual_seed(0)
    return llm if method == "full" else adapters.wrap(llm)


def numbers(out: Path) -> None:
    """Losses, gradients, a training run and an iteration of PPO, each process's in files of its own."""
    found, tensors = {}, {}
    for name, lengths in {"two": (10, 90), "five": (10, 90, 3, 40, 25), "one": (10,)}.items():
        llm = load_llm()
        weights = [p for p in llm.model.parameters() if p.requires_grad]
        loss_of = ranks.distributed(weights, lambda batch, llm=llm: finetune.answer_loss(llm.model, batch))
        found[name], _ = finetune.add_gradients(llm.model, ragged(llm, lengths), 110, 2, loss_of)
        tensors |= {f"{name}.{n}": p.grad.clone() for n, p in llm.model.named_parameters()}
    for method in ("full", "lora"):
        llm = trained(load_llm(), method)
        log = finetune.train(llm, ragged(llm), RECIPE, out / method, validation=ragged(llm)[:3])
        found[method] = [[step.loss, step.grad_norm, step.validation] for step in log]
        tensors |= {f"{method}.{n}": p.detach().clone() for n, p in llm.model.named_parameters()}
    policy = make_policy(load_llm())
    whole = rl.sample(policy, PROMPTS, CONFIG.max_new_tokens, 1.0, 5, CONFIG.group)
    several.sample = lambda *_: whole.part(ranks.share(range(len(PROMPTS))))
    found["ppo"] = asdict(several.step(policy, optimizer(policy), PROMPTS, score, CONFIG, 5))
    tensors |= {f"ppo.{i}": p.detach().clone() for i, p in enumerate(policy.parameters())}
    save_file(tensors, out / f"{ranks.rank()}.safetensors")
    (out / f"{ranks.rank()}.json").write_text(json.dumps(found))
    if ranks.rank():
        raise CourseError("the second process says what is wrong with it")


def ending(step_of, at: int):
    """``step_of``, but the last process ends before its call number ``at``: killed, or by an error."""
    calls = iter(range(10**6))

    def step(*args, **kwargs):
        if next(calls) == at and ranks.rank() == ranks.count() - 1:
            if os.environ.get("END_BY") == "error":
                raise ValueError("no rows left for this process")
            os.kill(os.getpid(), signal.SIGKILL)
        return step_of(*args, **kwargs)

    return step


def main() -> int:
    command, *rest = sys.argv[1:]
    if command == "numbers":
        with ranks.joined(60):
            numbers(Path(rest[0]))
        return 0
    week3.blunt_model = load_llm  # the model of COURSE_MODEL, which is tiny
    week3.ask = lambda llm, rows: PROMPTS
    tasks.make_score = lambda rows: score
    if "END_AT" in os.environ:
        finetune.update = ending(finetune.update, int(os.environ["END_AT"]))
        several.step = ending(several.step, int(os.environ["END_AT"]))
    return command_line.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
