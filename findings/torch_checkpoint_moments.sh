#!/usr/bin/env bash
# torch.distributed.checkpoint loads an optimizer's state into a fresh optimizer as nothing, silently.
#
# Library   torch 2.13.0
# Expected  dcp.load fills optimizer.state_dict() with the saved moments, or says that it cannot
# Seen      the weights come back; of the 2 saved optimizer states 0 do, no warning. Through
#           torch.distributed.checkpoint.state_dict.get_state_dict / set_state_dict 2 do
# Why       load fills the keys that it is given, and a fresh optimizer has none yet: a resumed run starts
#           with Adam's moments at 0 and its loss jumps
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"${PYTHON:-python3}" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$place/venv/bin/python" - "$place" <<'END'
import sys
import warnings
from pathlib import Path

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

place = Path(sys.argv[1])


def fresh():
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 4)
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


model, optimizer = fresh()
for _ in range(3):
    optimizer.zero_grad()
    model(torch.ones(2, 4)).square().sum().backward()
    optimizer.step()

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    dcp.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, checkpoint_id=place / "plain")
    other, again = fresh()
    state = {"model": other.state_dict(), "optimizer": again.state_dict()}
    dcp.load(state, checkpoint_id=place / "plain")
    other.load_state_dict(state["model"])
    again.load_state_dict(state["optimizer"])
said = [str(w.message) for w in caught if "optim" in str(w.message)]
same = torch.equal(model.weight, other.weight)
print(f"state_dict():     weights equal {same}, optimizer states {len(again.state)} of {len(optimizer.state)}, warnings {said}")

weights, moments = get_state_dict(model, optimizer)
dcp.save({"model": weights, "optimizer": moments}, checkpoint_id=place / "helper")
other, helped = fresh()
weights, moments = get_state_dict(other, helped)
state = {"model": weights, "optimizer": moments}
dcp.load(state, checkpoint_id=place / "helper")
set_state_dict(other, helped, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
print(f"get_state_dict(): weights equal {torch.equal(model.weight, other.weight)}, optimizer states {len(helped.state)}")
sys.exit(0 if same and not said and len(again.state) == 0 and len(helped.state) == 2 else 1)
END
