"""Least privilege, asked of the emulator: with the credentials of each role of the deployed stack, every (action, resource) pair
that tests/golden/rights.txt grants to any role. What is its own is admitted, all else is refused, and so is what nobody has.

Usage: matrix.py STACK      with an administrator's credentials in the environment

A request is made so that it does no harm where it is admitted: keys that do not exist, parameters out of range. What comes of it
then is found by asking the same as the administrator, twice: the first may make what is there from then on. That the matrix
can fail is shown each time: a role is given a right too many and one too few, and both must be named.
"""

import concurrent.futures
import contextlib
import fnmatch
import json
import os
import pathlib
import re
import sys
import threading

import boto3
import botocore.config
import botocore.exceptions

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "rights.txt"
ACCOUNT, REGION = "000000000000", os.environ["AWS_DEFAULT_REGION"]
REFUSED = {"AccessDenied", "AccessDeniedException"}
CONFIG = botocore.config.Config(
    parameter_validation=False, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}
)

# By type of resource.
FORBIDDEN = {
    "AWS::DynamoDB::Table": "dynamodb:Scan",
    "AWS::Lambda::Function": "lambda:GetFunction",
    "AWS::S3::Bucket": "s3:GetObject",
    "AWS::IAM::Role": "iam:GetRole",
}

session, making = boto3.Session(), threading.Lock()


class Caller:
    """Somebody with credentials; a client for each service."""

    def __init__(self, name, **credentials):
        self.name, self.credentials, self.clients = name, credentials, {}

    def __call__(self, service):
        if service not in self.clients:
            with making:
                self.clients[service] = session.client(service, config=CONFIG, **self.credentials)
        return self.clients[service]


class Stack:
    """The names that the emulator gave, by logical name."""

    def __init__(self, admin, name):
        cloudformation = admin("cloudformation")
        self.name = name
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
        self.resources = {r["LogicalResourceId"]: r for page in pages for r in page["StackResourceSummaries"]}
        given = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Parameters"]
        self.holds = {"InSecretsManager": ("SecretStore", "secretsmanager") in {tuple(p.values())[:2] for p in given}}
        self.keys = {}
        for logical, resource in self.resources.items():
            if resource["ResourceType"] == "AWS::DynamoDB::Table":
                table = admin("dynamodb").describe_table(TableName=resource["PhysicalResourceId"])["Table"]
                kinds = {a["AttributeName"]: a["AttributeType"] for a in table["AttributeDefinitions"]}
                schemas = {"": table["KeySchema"]}
                schemas |= {index["IndexName"]: index["KeySchema"] for index in table.get("GlobalSecondaryIndexes", [])}
                for index, schema in schemas.items():
                    self.keys[table["TableName"], index] = {
                        part["AttributeName"]: {kinds[part["AttributeName"]]: "0"} for part in schema
                    }

    def arn(self, logical):
        resource = self.resources[logical]
        name = resource["PhysicalResourceId"]
        at = f"{REGION}:{ACCOUNT}"
        return {
            "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{at}:table/{name}",
            "AWS::SQS::Queue": f"arn:aws:sqs:{at}:{name.rsplit('/', 1)[-1]}",
            "AWS::Logs::LogGroup": f"arn:aws:logs:{at}:log-group:{name}:*",
            "AWS::Lambda::Function": f"arn:aws:lambda:{at}:function:{name}",
            "AWS::S3::Bucket": f"arn:aws:s3:::{name}",
            "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{name}",
        }[resource["ResourceType"]]

    def resolve(self, symbolic):
        fixed = {"Partition": "aws", "Region": REGION, "AccountId": ACCOUNT, "StackName": self.name}
        text = re.sub(r"\$\{AWS::(\w+)\}", lambda m: fixed[m[1]], symbolic)
        return re.sub(r"\$\{(\w+)\.Arn\}", lambda m: self.arn(m[1]), text)


def rights(stack):
    """The golden file's lines as (role, action, resource pattern), and whether the right was deployed."""
    for line in GOLDEN.read_text().splitlines():
        role, effect, action, resource, *rest = line.split("  ")
        assert effect == "Allow", line
        branch = next((part[3:] for part in rest if part.startswith("if ")), "")
        deployed = not branch or stack.holds[branch.removeprefix("not ")] != branch.startswith("not ")
        yield role, action, stack.resolve(resource), deployed


def example(pattern):
    """A resource that the pattern covers."""
    return pattern.replace("??????", "AbCdEf").replace("*", "shop")


def last(arn):
    return re.split("[/:]", arn)[-1]


def queue(arn):
    return {"QueueUrl": f"{os.environ['AWS_ENDPOINT_URL']}/{ACCOUNT}/{last(arn)}"}


def group(arn):
    return re.search(r"log-group:([^:]+)", arn)[1]


def parameter(arn):
    return {"Name": arn.split(":parameter", 1)[1]}


def probe(stack, who, action, arn):
    """Asks for `action` on `arn`."""
    service, _, operation = action.partition(":")
    if service == "dynamodb":
        _, table, _, index = (arn.split(":")[-1] + "//").split("/")[:4]
        key = stack.keys[table, index]
        first = next(iter(key))
        never = {"ConditionExpression": "attribute_exists(#k)", "ExpressionAttributeNames": {"#k": first}}
        query = {
            "KeyConditionExpression": "#k = :k",
            "ExpressionAttributeNames": {"#k": first},
            "ExpressionAttributeValues": {":k": key[first]},
        }
        return {
            "GetItem": lambda c: c.get_item(TableName=table, Key=key),
            "PutItem": lambda c: c.put_item(TableName=table, Item=key, **never),
            "UpdateItem": lambda c: c.update_item(
                TableName=table, Key=key, UpdateExpression="REMOVE probe", **never
            ),
            "DeleteItem": lambda c: c.delete_item(TableName=table, Key=key, **never),
            "Query": lambda c: c.query(TableName=table, **({"IndexName": index} if index else {}), **query),
            "Scan": lambda c: c.scan(TableName=table, Limit=1),
        }[operation](who(service))
    return {
        "sqs:SendMessage": lambda c: c.send_message(**queue(arn), MessageBody="probe", DelaySeconds=901),
        "sqs:ReceiveMessage": lambda c: c.receive_message(**queue(arn), MaxNumberOfMessages=11),
        "sqs:DeleteMessage": lambda c: c.delete_message(**queue(arn), ReceiptHandle="probe"),
        "sqs:ChangeMessageVisibility": lambda c: c.change_message_visibility(
            **queue(arn), ReceiptHandle="probe", VisibilityTimeout=0
        ),
        "sqs:GetQueueAttributes": lambda c: c.get_queue_attributes(**queue(arn), AttributeNames=["QueueArn"]),
        "ssm:GetParameter": lambda c: c.get_parameter(**parameter(arn), WithDecryption=True),
        "ssm:PutParameter": lambda c: c.put_parameter(**parameter(arn), Value="probe", Type="probe"),
        "secretsmanager:GetSecretValue": lambda c: c.get_secret_value(SecretId=arn),
        "kms:Decrypt": lambda c: c.decrypt(KeyId=arn, CiphertextBlob=b"probe"),
        "logs:CreateLogStream": lambda c: c.create_log_stream(logGroupName=group(arn), logStreamName="probe"),
        "logs:PutLogEvents": lambda c: c.put_log_events(
            logGroupName=group(arn), logStreamName="none", logEvents=[{"timestamp": 0, "message": "probe"}]
        ),
        "lambda:InvokeFunction": lambda c: c.invoke(FunctionName=last(arn), InvocationType="DryRun"),
        "lambda:GetFunction": lambda c: c.get_function(FunctionName=last(arn)),
        "s3:PutObject": lambda c: c.put_object(
            Bucket=arn.split(":")[-1].split("/")[0], Key="probe", Body=b"probe", ContentMD5="probe"
        ),
        "s3:GetObject": lambda c: c.get_object(Bucket=arn.split(":")[-1].split("/")[0], Key="probe"),
        "scheduler:CreateSchedule": lambda c: schedule(who, stack, stack.name, "ScheduleRole"),
        "iam:GetRole": lambda c: c.get_role(RoleName=last(arn)),
    }[action](who(service))


def schedule(who, stack, group, role):
    return who("scheduler").create_schedule(
        GroupName=group,
        Name="probe",
        ScheduleExpression="at(2199-01-01T00:00:00)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": stack.arn("OrdersQueue"), "RoleArn": stack.arn(role)},
    )


def outcome(ask, *args):
    """`ok`, or the error's code; several names of a refusal are one."""
    try:
        ask(*args)
        return "ok"
    except botocore.exceptions.ClientError as error:
        code = error.response["Error"]["Code"].rsplit(".", 1)[-1]
        return "refused" if code in REFUSED else code


def assume(stack, admin, role):
    """Credentials of the role, which a service alone may take: it is lent to the administrator. It says itself who it is."""
    trust = {"Effect": "Allow", "Principal": {"AWS": admin("sts").get_caller_identity()["Arn"]}, "Action": "sts:AssumeRole"}
    admin("iam").update_assume_role_policy(
        RoleName=last(stack.arn(role)), PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    taken = admin("sts").assume_role(RoleArn=stack.arn(role), RoleSessionName="matrix")["Credentials"]
    caller = Caller(
        role,
        aws_access_key_id=taken["AccessKeyId"],
        aws_secret_access_key=taken["SecretAccessKey"],
        aws_session_token=taken["SessionToken"],
    )
    who = caller("sts").get_caller_identity()["Arn"]
    assert f"assumed-role/{last(stack.arn(role))}/" in who, f"{role} is {who}"
    return caller


def askable(action, resource):
    # A statement with two actions and two kinds of resource makes pairs that no request can be.
    return action.split(":")[0] == resource.split(":")[2] and action != "iam:PassRole"


def compare(stack, caller, pairs, own, admitted):
    """Where the emulator and the golden file differ, for one role; and how many pairs were admitted and refused."""
    wrong, counts = [], [0, 0]
    for action, resource in pairs:
        mine = any(a == action and fnmatch.fnmatchcase(resource, pattern) for a, pattern in own[caller.name])
        # A condition on the key says: only through Parameter Store.
        mine = mine and action != "kms:Decrypt"
        found = outcome(probe, stack, caller, action, resource)
        counts[not mine] += 1
        if found != (admitted[action, resource] if mine else "refused"):
            meant = "is granted to it" if mine else "is not granted to it"
            wrong.append(f"{caller.name}: {action} on {resource} {meant}, and came to {found}")
    return wrong, counts


@contextlib.contextmanager
def planted(stack, admin, role, *statements):
    """The role with these (effect, action, resource) beside its own."""
    names = {"RoleName": last(stack.arn(role)), "PolicyName": "Planted"}
    document = [{"Effect": effect, "Action": action, "Resource": resource} for effect, action, resource in statements]
    policy = json.dumps({"Version": "2012-10-17", "Statement": document})
    admin("iam").put_role_policy(**names, PolicyDocument=policy)
    yield
    admin("iam").delete_role_policy(**names)


def teeth(stack, admin, notifier, pairs, own, admitted):
    """A right too many and one too few, and the matrix names both."""
    many = ("dynamodb:DeleteItem", stack.arn("OrdersTable"))
    few = ("sqs:SendMessage", stack.arn("FailuresQueue"))
    with planted(stack, admin, notifier.name, ("Allow", *many), ("Deny", *few)):
        wrong, _ = compare(stack, notifier, pairs, own, admitted)
    meant = [
        f"{notifier.name}: {many[0]} on {many[1]} is not granted to it, and came to {admitted[many]}",
        f"{notifier.name}: {few[0]} on {few[1]} is granted to it, and came to refused",
    ]
    if sorted(wrong) != sorted(meant):
        sys.exit("a planted right too many and one too few were to be found, and this was:\n  " + "\n  ".join(wrong))
    print("a right too many and one too few, planted, were named")


def gaps(stack, admin, handler, notifier):
    """What cannot be proven here, each seen to be so; and that a signature is asked for at all."""
    with planted(stack, admin, notifier.name, ("Deny", "kms:Decrypt", "*")):
        opened = outcome(
            probe, stack, notifier, "ssm:GetParameter", f":parameter/tandem/{stack.name}/notice-secret"
        )
    seen = {
        "iam:PassRole is not asked for when a schedule is made: who may make one can name any role in it": outcome(
            schedule, handler, stack, stack.name, "RunRole"
        ),
        "scheduler:CreateSchedule is asked for without the schedule's group; describe.py widened the grant to that, "
        "and those of logs to groups without streams": outcome(schedule, handler, stack, "another", "ScheduleRole"),
        "kms:Decrypt is not asked for when Parameter Store opens a secret; a direct call is refused to every role": opened,
    }
    for what, found in seen.items():
        if found == "refused":
            sys.exit(f"no longer so: {what}. Ask for it in the matrix, and take it off this list")
        print(f"not proven here: {what}")
    forged = Caller("nobody", **(admin.credentials | {"aws_secret_access_key": "wrong"}))
    found = outcome(probe, stack, forged, "sqs:GetQueueAttributes", stack.arn("OrdersQueue"))
    if found != "SignatureDoesNotMatch":
        sys.exit(f"a wrong signature came to {found}: the emulator checks nobody; start it with AUTH=true")


def nobody(stack):
    """What no role was granted."""
    yield "ssm:PutParameter", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/tandem/{stack.name}/shop-api-key"
    for name, resource in stack.resources.items():
        kind = resource["ResourceType"]
        if kind == "AWS::SQS::Queue":
            yield "sqs:ReceiveMessage" if "Dead" in name else "sqs:ChangeMessageVisibility", stack.arn(name)
        elif kind in FORBIDDEN:
            yield FORBIDDEN[kind], stack.arn(name)


def main():
    variables = ("aws_access_key_id", "aws_secret_access_key")
    admin = Caller("administrator", **{name: os.environ[name.upper()] for name in variables})
    stack = Stack(admin, sys.argv[1])
    own, pairs, idle, inert = {}, set(), 0, 0
    for role, action, pattern, deployed in rights(stack):
        own.setdefault(role, set())
        if not askable(action, pattern):
            inert += action != "iam:PassRole"
            continue
        pairs.add((action, example(pattern)))
        if deployed:
            own[role].add((action, pattern))
        idle += not deployed
    pairs |= set(nobody(stack))
    pairs = sorted(pairs)
    for _ in range(2):
        admitted = {pair: outcome(probe, stack, admin, *pair) for pair in pairs}
    if shut := [pair for pair, found in admitted.items() if found == "refused"]:
        sys.exit(f"refused to the administrator: {shut}")
    callers = [assume(stack, admin, role) for role in sorted(own)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda caller: compare(stack, caller, pairs, own, admitted), callers))
    if wrong := [line for lines, _ in results for line in lines]:
        sys.exit("the roles' rights on the emulator are not those of tests/golden/rights.txt:\n  " + "\n  ".join(wrong))
    yes, no = (sum(counts[i] for _, counts in results) for i in (0, 1))
    print(f"{len(callers)} roles, {len(pairs)} pairs each: {yes} of their own admitted, {no} refused")
    by_name = {caller.name: caller for caller in callers}
    teeth(stack, admin, by_name["NotifierRole"], pairs, own, admitted)
    gaps(stack, admin, by_name["FailureHandlerRole"], by_name["NotifierRole"])
    print(f"not proven here: {idle} rights of the other secret store, which is not deployed: asked for, and refused to all")
    print(f"not asked: {inert} rights that no request can need, as those to read a secret whose resource is a parameter")


main()
