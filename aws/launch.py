"""Start Lab 2's or Lab 3's training as a SageMaker training job, on one machine or on several.

    python aws/launch.py --role arn:aws:iam::111122223333:role/Course --dry-run
    python aws/launch.py --role … --instance ml.g5.xlarge --count 2 --spot --hours 1 --price-per-hour P \
        -- --method full --rows 0

What stands behind ``--`` goes to ``python -m course_utils train`` (or ``ppo``, with ``--command ppo``).
``--dry-run`` prints the cost and the request, and needs neither an account nor Amazon's SDK. Starting a job
needs ``pip install sagemaker==3.27.0`` in an environment of its own, credentials, and the price per hour:
this file holds no prices, because they differ by region and change.

The folder is not called ``sagemaker``: the SDK's package has that name, and a package of ours would hide it
wherever Python starts in the repository's folder.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Amazon's own, as sagemaker 3.27.0 names it (image_uris.retrieve); a few regions have another account in it.
IMAGE = "763104351884.dkr.ecr.{region}.amazonaws.com/pytorch-training:2.10.0-{kind}-py313"
LEFT_OUT = [".*", "__pycache__", "*.egg-info", "*.ipynb", "solved", "tests", "findings", "docs"]
CHECKPOINTS, MODEL = "/opt/ml/checkpoints", "/opt/ml/model"
DISK = 50  # GB: libraries, the model and its checkpoints


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options; ``options.hyperparameters`` holds what stands behind ``--``."""
    arguments, rest = _split(arguments)
    parser = argparse.ArgumentParser(prog="aws/launch.py", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--role", required=True, help="ARN of the role that the job runs under")
    add("--region", default="us-east-1")
    add("--command", choices=["train", "ppo"], default="train")
    add("--instance", default="ml.g5.xlarge")
    add("--count", type=int, default=1, help="machines")
    add("--processes", type=int, help="on each machine (one per GPU)")
    add("--spot", action="store_true", help="spare machines: cheaper, and taken away at times; the job goes on from its checkpoint")
    add("--hours", type=float, default=1, help="the job is stopped after so many hours of running")
    add("--wait-hours", type=float, help="with --spot: running and waiting for machines (twice --hours)")
    add("--price-per-hour", type=float, help="of one machine, from Amazon's price list for your region")
    add("--model", help="hub id for COURSE_MODEL (the course's own model)")
    add("--data", help="s3://… folder of dialogues for COURSE_DATA (the course's own)")
    add("--image", help="of the container (Amazon's for PyTorch)")
    add("--dry-run", action="store_true", help="print cost and request, start nothing")
    options = parser.parse_args(arguments)
    options.wait_hours = options.wait_hours or 2 * options.hours
    kind = "gpu" if re.match(r"ml\.[gp]\d", options.instance) else "cpu"
    options.image = options.image or IMAGE.format(region=options.region, kind=kind)
    options.name = f"course-{options.command}"
    options.hyperparameters = hyperparameters(rest, parser)
    if not re.fullmatch(r"arn:aws[\w-]*:iam::\d{12}:role/\S+", options.role):
        parser.error("--role is an ARN such as arn:aws:iam::111122223333:role/Course")
    if min(options.count, options.processes or 1, options.hours) <= 0:
        parser.error("--count, --processes and --hours are more than 0")
    if options.wait_hours < options.hours:
        parser.error("--wait-hours counts the running too: it is at least --hours")
    if options.data and not options.data.startswith("s3://"):
        parser.error("--data is an s3://… folder")
    return options


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def hyperparameters(rest: list[str], parser) -> dict[str, str]:
    """``--method full --rows 0`` as a dictionary, with where the container keeps checkpoint and result."""
    names, values = rest[::2], rest[1::2]
    if len(names) != len(values) or not all(re.fullmatch(r"--[a-z-]+", name) for name in names):
        parser.error("behind -- stand pairs such as --method full --rows 0")
    given = {name[2:]: value for name, value in zip(names, values)}
    return {**given, "folder": CHECKPOINTS, "out": MODEL}


def environment(options) -> dict[str, str]:
    """The variables that the container sets before it starts."""
    found = {"COURSE_COMMAND": options.command, "COURSE_CACHE": "/tmp/course", "COURSE_PROGRESS": "off"}
    if options.model:
        found |= {"COURSE_MODEL": options.model, "HF_HUB_OFFLINE": "0"}
    if options.data:
        found["COURSE_DATA"] = "/opt/ml/input/data/dialogues"
    return found


def places(options) -> dict[str, str]:
    """Where in S3 results and checkpoints go: the bucket that the SDK makes for account and region.

    Without the job's name in it, the checkpoint of one job is found by the next.
    """
    bucket = f"s3://sagemaker-{options.region}-{options.role.split(':')[4]}/{options.name}"
    return {"output": f"{bucket}/output", "checkpoints": f"{bucket}/checkpoints", "bucket": bucket}


def cost(options) -> str:
    """What the job may cost, in a sentence or two."""
    machines = f"{options.count} × {options.instance}, at most {options.hours:g} h of running"
    if options.price_per_hour is None:
        return f"{machines}. Cost unknown: give --price-per-hour from Amazon's price list for {options.region}."
    most = options.count * options.hours * options.price_per_hour
    spot = " Spot machines cost less; how much less changes." if options.spot else ""
    return (
        f"{machines}: at most {options.count} × {options.hours:g} × {options.price_per_hour:g} = {most:.2f} in "
        f"the currency of the price you gave.{spot} Disk and S3 come on top."
    )


def request(options, name: str = "") -> dict:
    """The CreateTrainingJob request that :func:`trainer` makes, with the names of Amazon's API."""
    name, place = name or f"{options.name}-{time.strftime('%Y%m%d%H%M%S')}", places(options)

    def channel(title: str, uri: str) -> dict:
        source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
        return {"ChannelName": title, "DataSource": {"S3DataSource": source}, "InputMode": "File"}

    uploaded = f"{place['bucket']}/{name}/input"
    stop = {"MaxRuntimeInSeconds": round(3600 * options.hours)}
    if options.spot:
        stop["MaxWaitTimeInSeconds"] = round(3600 * options.wait_hours)
    return {
        "TrainingJobName": name,
        "HyperParameters": options.hyperparameters,
        "AlgorithmSpecification": {
            "TrainingImage": options.image, "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/bash"],
            "ContainerArguments": ["-c", "chmod +x /opt/ml/input/data/sm_drivers/sm_train.sh && /opt/ml/input/data/sm_drivers/sm_train.sh"],
        },
        "RoleArn": options.role,
        "InputDataConfig": [
            *([channel("dialogues", options.data)] if options.data else []),
            channel("code", f"{uploaded}/code"), channel("sm_drivers", f"{uploaded}/sm_drivers"),
        ],
        "OutputDataConfig": {"S3OutputPath": place["output"]},
        "ResourceConfig": {"InstanceType": options.instance, "InstanceCount": options.count, "VolumeSizeInGB": DISK},
        "StoppingCondition": stop,
        "CheckpointConfig": {"S3Uri": place["checkpoints"], "LocalPath": CHECKPOINTS},
        "Environment": environment(options),
        "EnableManagedSpotTraining": options.spot,
    }  # fmt: skip


def trainer(options, session=None):
    """The SDK's ModelTrainer with the same choices; ``session`` None makes one from your credentials."""
    from sagemaker.core.shapes import CheckpointConfig, OutputDataConfig
    from sagemaker.core.training.configs import Compute, InputData, SourceCode, StoppingCondition
    from sagemaker.train import ModelTrainer
    from sagemaker.train.distributed import Torchrun

    place, hour = places(options), 3600
    return ModelTrainer(
        sagemaker_session=session, role=options.role, base_job_name=options.name, training_image=options.image,
        source_code=SourceCode(
            source_dir=str(ROOT), entry_script="aws/entry.py", requirements="aws/requirements.txt",
            ignore_patterns=LEFT_OUT,
        ),
        distributed=Torchrun(process_count_per_node=options.processes),
        compute=Compute(
            instance_type=options.instance, instance_count=options.count, volume_size_in_gb=DISK,
            enable_managed_spot_training=options.spot,
        ),
        stopping_condition=StoppingCondition(
            max_runtime_in_seconds=round(hour * options.hours),
            **({"max_wait_time_in_seconds": round(hour * options.wait_hours)} if options.spot else {}),
        ),
        output_data_config=OutputDataConfig(s3_output_path=place["output"]),
        checkpoint_config=CheckpointConfig(s3_uri=place["checkpoints"], local_path=CHECKPOINTS),
        input_data_config=[InputData(channel_name="dialogues", data_source=options.data)] if options.data else None,
        environment=environment(options), hyperparameters=options.hyperparameters,
    )  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    options = parse(sys.argv[1:] if arguments is None else arguments)
    if options.dry_run:
        print(json.dumps(request(options), indent=1))
    print(cost(options), file=sys.stderr)
    if options.dry_run:
        return 0
    if options.price_per_hour is None:
        print("Nothing was started. With --dry-run you see the request.", file=sys.stderr)
        return 1
    try:
        job = trainer(options)
    except ImportError:
        print("Starting a job needs Amazon's SDK: pip install sagemaker==3.27.0", file=sys.stderr)
        return 1
    job.train(wait=False, logs=False)
    print(f"started; its results come to {places(options)['output']}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
