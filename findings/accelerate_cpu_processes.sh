#!/usr/bin/env bash
# Two processes on a CPU: accelerate launch starts one; under torchrun, Accelerator() makes two strangers.
#
# Library   accelerate 1.15.0, torch 2.13.0
# Expected  `accelerate launch --cpu --num_processes 2` starts two processes that know of each other, and
#           so does torchrun with Accelerator(), which reads torchrun's environment on a GPU
# Seen      accelerate launch: one process, num_processes 1, exit 0. torchrun, Accelerator(): two processes
#           that both say "process 0 of 1". torchrun, Accelerator(cpu=True): 0 of 2 and 1 of 2
# Why       a run meant to be data-parallel trains once, or twice the same without averaging gradients, and
#           ends well
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"${PYTHON:-python3}" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet torch==2.13.0 accelerate==1.15.0
export CUDA_VISIBLE_DEVICES="" OMP_NUM_THREADS=1 PATH="$place/venv/bin:$PATH"
cat >"$place/who.py" <<'END'
import sys

from accelerate import Accelerator

accelerator = Accelerator(cpu=True) if "cpu" in sys.argv else Accelerator()
# One write: two processes share this output.
sys.stdout.write(f"process {accelerator.process_index} of {accelerator.num_processes}\n")
END
launched=$(accelerate launch --cpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no "$place/who.py" | sort)
plain=$(torchrun --nproc-per-node 2 "$place/who.py" 2>/dev/null | sort)
cpu=$(torchrun --nproc-per-node 2 "$place/who.py" cpu 2>/dev/null | sort)
echo "accelerate launch --cpu --num_processes 2:"; echo "$launched"
echo "torchrun --nproc-per-node 2, Accelerator():"; echo "$plain"
echo "torchrun --nproc-per-node 2, Accelerator(cpu=True):"; echo "$cpu"
[ "$launched" = "process 0 of 1" ] && [ "$plain" = $'process 0 of 1\nprocess 0 of 1' ] && [ "$cpu" = $'process 0 of 2\nprocess 1 of 2' ]
