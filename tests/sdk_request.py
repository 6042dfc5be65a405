"""The request that sagemaker 3's ModelTrainer makes of our choices, without an account.

Building one asks IAM whether the role may train (which moto 5.2.5 does not answer), and making the request
uploads the code: both are replaced here. Everything else is the SDK's own.
"""

from __future__ import annotations

from pathlib import Path


def made(launch, options, uploads: list | None = None) -> dict:
    """The request as the SDK would send it; ``uploads`` collects (S3 address, files)."""
    import boto3
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.train import ModelTrainer
    from sagemaker.train.defaults import TrainDefaults

    boto = boto3.Session(aws_access_key_id="x", aws_secret_access_key="y", region_name=options.region)
    bucket = launch.places(options)["bucket"].removeprefix("s3://").split("/")[0]
    session = Session(boto_session=boto, default_bucket=bucket)

    def upload(path, bucket, key_prefix, **_):
        files = {str(p.relative_to(path)) for p in Path(path).rglob("*") if p.is_file()}
        (uploads if uploads is not None else []).append((f"s3://{bucket}/{key_prefix}", files))
        return f"s3://{bucket}/{key_prefix}"

    session.upload_data = upload
    TrainDefaults.get_role = staticmethod(lambda role=None, sagemaker_session=None: role)
    ModelTrainer._resolve_staging_bucket = lambda self: (bucket, None)
    return launch.trainer(options, session)._create_training_job_args(boto3=True)
