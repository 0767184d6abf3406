"""Writes to a Route 53 endpoint with boto3: the independent hand that the importer is tested with.

    moto_write.py ENDPOINT < JSON

The JSON is a list of calls, `{"call": NAME, "args": {...}}` with the names and arguments of boto3's
client for route53, or for another `"service"`. A string argument `$N.KEY...` stands for a part of
the answer to call N. Prints the answers as a JSON list.
"""

import json
import sys

import boto3


def filled(value, answers):
    if isinstance(value, dict):
        return {key: filled(one, answers) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, answers) for one in value]
    if isinstance(value, str) and value.startswith("$"):
        number, *keys = value[1:].split(".")
        answer = answers[int(number)]
        for key in keys:
            answer = answer[key]
        return answer
    return value


def connect(service):
    return boto3.client(
        service,
        endpoint_url=sys.argv[1],
        region_name="us-east-1",
        aws_access_key_id="AKIDTEST",
        aws_secret_access_key="not a secret",
    )


def main():
    answers = []
    for step in json.load(sys.stdin):
        client = connect(step.get("service", "route53"))
        answers.append(getattr(client, step["call"])(**filled(step["args"], answers)))
    json.dump(answers, sys.stdout, default=str)


main()
