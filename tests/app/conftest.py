"""A real S3 server for nights that publish."""

from buckets import lake_bucket, s3_apart, s3_apart_process
from remotes import bucket, s3, s3_process

__all__ = ["bucket", "lake_bucket", "s3", "s3_apart", "s3_apart_process", "s3_process"]
