"""Mends on the emulator what it makes of the deployed stack otherwise than AWS, and describes the stack for `tandem demo`.

Usage: describe.py STACK TEMPLATE CLOCK STRIPE_PORT SHOP_PORT FILE

- An HTTP API whose routes stand in its OpenAPI body gets none there: they are made one by one, from the template that was
  deployed, each with its own function.
- A number that comes from a parameter stays a text there; AWS makes it a number. The limit of each queue's concurrency is
  given again.
- When it asks for rights it reads a schedule's name without its group, and a log group without its streams: what a role may
  do by the template it may do on what the emulator reads, too.
"""

import json
import os
import re
import sys

import boto3
from samcli.yamlhelper import yaml_parse

STACK, TEMPLATE, CLOCK, STRIPE, SHOP, FILE = sys.argv[1:]
READ_AS = ((r"(:schedule)/[^/]+/", r"\1/default/"), (r"(:log-group:[^:]+):\*$", r"\1"))


def read_as(resource):
    for pattern, reading in READ_AS:
        resource = re.sub(pattern, reading, resource)
    return resource


def widen():
    """Gives each role of the stack its own rights once more, on what the emulator takes their resources for."""
    iam, widened = boto3.client("iam"), 0
    pages = boto3.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK)
    for resource in (one for page in pages for one in page["StackResourceSummaries"]):
        if resource["ResourceType"] != "AWS::IAM::Role":
            continue
        role, more = resource["PhysicalResourceId"], []
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            statements = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"]
            for statement in statements if isinstance(statements, list) else [statements]:
                resource = statement["Resource"]
                if isinstance(resource, str) and read_as(resource) != resource:
                    more.append(statement | {"Resource": read_as(resource)})
        if more:
            document = json.dumps({"Version": "2012-10-17", "Statement": more})
            iam.put_role_policy(RoleName=role, PolicyName="AsTheEmulatorReads", PolicyDocument=document)
            widened += len(more)
    return widened


def main():
    cloudformation = boto3.client("cloudformation")
    stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    functions = boto3.client("lambda")
    mended = 0
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        limit = int(mapping["ScalingConfig"]["MaximumConcurrency"])
        functions.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": limit})
        mended += 1

    api_id = cloudformation.describe_stack_resource(StackName=STACK, LogicalResourceId="Api")[
        "StackResourceDetail"
    ]["PhysicalResourceId"]
    gateway = boto3.client("apigatewayv2")
    held = {route["RouteKey"] for route in gateway.get_routes(ApiId=api_id)["Items"]}
    made = []
    for name, resource in yaml_parse(open(TEMPLATE).read())["Resources"].items():
        for event in (resource.get("Properties", {}).get("Events") or {}).values():
            if event["Type"] != "HttpApi":
                continue
            route = "{Method} {Path}".format(**event["Properties"])
            if route in held:
                continue
            arn = functions.get_function(
                FunctionName=cloudformation.describe_stack_resource(StackName=STACK, LogicalResourceId=name)[
                    "StackResourceDetail"
                ]["PhysicalResourceId"]
            )["Configuration"]["FunctionArn"]
            integration = gateway.create_integration(
                ApiId=api_id, IntegrationType="AWS_PROXY", IntegrationUri=arn, PayloadFormatVersion="2.0"
            )
            target = "integrations/" + integration["IntegrationId"]
            gateway.create_route(ApiId=api_id, RouteKey=route, Target=target)
            made.append(route)
    if not made and not held:
        sys.exit("the template names no route")

    endpoint = os.environ["AWS_ENDPOINT_URL"]
    described = {
        "aws": endpoint,
        "api": f"{endpoint}/_aws/execute-api/{api_id}",
        "stripe_port": int(STRIPE),
        "shop_port": int(SHOP),
        "clock": CLOCK,
        "resources": {key: stack.get(key) for key in ("StackName", "Outputs", "Parameters")},
    }
    with open(FILE, "w") as file:
        json.dump(described, file, indent=1, default=str)
    print(
        f"mended for the emulator: {len(made)} routes made, {mended} limits given as numbers, "
        f"{widen()} statements widened to its reading"
    )
    print(described["api"])


main()
