"""Talks to an S3 server with Amazon's own client: what is there, seen by somebody else than Export Room.

Usage: s3_client.py ENDPOINT KEY SECRET BUCKET make|put DIRECTORY|list|uploads|get KEY FILE
"""

import os
import sys

import boto3
from botocore.config import Config

endpoint, key, secret, bucket, action, *rest = sys.argv[1:]
s3 = boto3.client(
    "s3",
    endpoint_url=endpoint,
    aws_access_key_id=key,
    aws_secret_access_key=secret,
    region_name="us-east-1",
    config=Config(s3={"addressing_style": "path"}),
)

if action == "make":
    s3.create_bucket(Bucket=bucket)
elif action == "put":
    # The name of each file is its key, with `|` for `/`.
    (directory,) = rest
    for name in os.listdir(directory):
        s3.upload_file(os.path.join(directory, name), bucket, name.replace("|", "/"))
elif action == "list":
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page.get("Contents", []):
            print(found["Key"])
elif action == "uploads":
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for found in page.get("Uploads", []):
            print(found["Key"])
elif action == "get":
    s3.download_file(bucket, *rest)
else:
    sys.exit(f"unknown action {action}")
