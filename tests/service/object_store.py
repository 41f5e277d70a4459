"""An S3-compatible store on this machine, with a bucket."""

from collections.abc import Iterator
from contextlib import contextmanager

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
"""Environment of whoever reads or writes in it."""


@contextmanager
def object_store() -> Iterator[str]:
    """The URI of a folder in a store, which answers as long as the context lasts."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        boto3.client(
            "s3",
            endpoint_url=f"http://{host}:{port}",
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        ).create_bucket(Bucket="lab")
        yield f"s3://lab/saephase?endpoint_override=http://{host}:{port}&region=us-east-1"
    finally:
        server.stop()
