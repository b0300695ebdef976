"""webhook-receiver as it is commonly written in Python, with the official clients: verify on the raw body, one SQS send, 200."""

import base64
import json
import os

import boto3
import stripe

sqs = boto3.client("sqs")


def handler(request, _context):
    body = base64.b64decode(request["body"]) if request["isBase64Encoded"] else request["body"].encode()
    try:
        event = stripe.Webhook.construct_event(body, request["headers"]["stripe-signature"], os.environ["STRIPE_WEBHOOK_SECRET"])
    except (ValueError, stripe.SignatureVerificationError):
        return {"statusCode": 400}
    hint = {"event": event.id, "type": event.type, "object": event.data.object["id"]}
    sqs.send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody=json.dumps(hint))
    return {"statusCode": 200}
