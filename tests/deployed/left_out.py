"""Prints what the template describes and the emulator was not given, and fails if that is more than is meant to be.

Usage: left_out.py STACK TEMPLATE
"""

import collections
import sys

import boto3
from samcli.yamlhelper import yaml_parse

# Behind conditions: on by default, off here. Alarms: the emulator knows no metric math. Email: nobody is told. Budget: an account's.
MEANT = {"AWS::CloudWatch::Alarm": "HasAlarms", "AWS::SNS::Subscription": "HasAlarmEmail", "AWS::Budgets::Budget": "HasBudget"}

STACK, TEMPLATE = sys.argv[1:]
pages = boto3.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK)
there = {resource["LogicalResourceId"] for page in pages for resource in page["StackResourceSummaries"]}
left, wrong = collections.Counter(), []
for name, resource in yaml_parse(open(TEMPLATE).read())["Resources"].items():
    if name in there:
        continue
    kind, condition = resource["Type"], resource.get("Condition")
    left[kind] += 1
    if MEANT.get(kind) != condition:
        wrong.append(f"{name} ({kind}, condition {condition})")
print(f"{len(there)} resources deployed; left out: " + ", ".join(f"{n} {kind}" for kind, n in sorted(left.items())))
if wrong:
    sys.exit("not deployed, and not meant to be left out: " + ", ".join(wrong))
