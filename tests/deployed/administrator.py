"""Makes a user with AdministratorAccess, as the root whose keys are in the environment, and prints its two keys."""

import boto3

iam = boto3.client("iam")
iam.create_user(UserName="administrator")
iam.attach_user_policy(UserName="administrator", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
key = iam.create_access_key(UserName="administrator")["AccessKey"]
print(key["AccessKeyId"], key["SecretAccessKey"])
