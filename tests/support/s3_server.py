"""A real S3 server, which checks signatures and rights, on a port of its own.

Prints one JSON line: port, key and secret of a user who may do everything with the bucket `files`, except read what is
below `forbidden/`. Ends when its standard input does.
"""

import json
import logging
import os
import sys

logging.getLogger("werkzeug").setLevel(logging.ERROR)

import boto3
from moto import settings
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

answer = DomainDispatcherApplication.__call__


def with_canonical_query(self, environ, start_response):
    """S3 signs queries as it would encode them, also when the client left slashes as they are; moto takes them as sent."""
    environ["QUERY_STRING"] = environ["QUERY_STRING"].replace("/", "%2F")
    return answer(self, environ, start_response)


DomainDispatcherApplication.__call__ = with_canonical_query

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
_, port = server.get_host_and_port()
endpoint = f"http://127.0.0.1:{port}"

names = dict(
    endpoint_url=endpoint,
    aws_access_key_id="setup",
    aws_secret_access_key="setup",
    region_name="us-east-1",
)
boto3.client("s3", **names).create_bucket(Bucket="files")
iam = boto3.client("iam", **names)
iam.create_user(UserName="rocketchat")
key = iam.create_access_key(UserName="rocketchat")["AccessKey"]
iam.put_user_policy(
    UserName="rocketchat",
    PolicyName="files",
    PolicyDocument=json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
                {
                    "Effect": "Deny",
                    "Action": "s3:GetObject",
                    "Resource": "arn:aws:s3:::files/forbidden/*",
                },
            ],
        }
    ),
)
# From here on, every request is authenticated.
settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
print(
    json.dumps(
        {"port": port, "key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    ),
    flush=True,
)
sys.stdin.read()
# Its threads would go on.
os._exit(0)
