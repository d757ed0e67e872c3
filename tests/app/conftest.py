"""A real S3 server for nights that publish."""

from remotes import bucket, s3, s3_process

__all__ = ["bucket", "s3", "s3_process"]
