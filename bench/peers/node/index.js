// webhook-receiver as it is commonly written in Node.js, with the official clients: verify on the raw body, one SQS send, 200.
import { SQSClient, SendMessageCommand } from "@aws-sdk/client-sqs";
import Stripe from "stripe";

const stripe = new Stripe(process.env.STRIPE_API_KEY);
const sqs = new SQSClient({});

export const handler = async (request) => {
  const body = request.isBase64Encoded ? Buffer.from(request.body, "base64") : request.body;
  let event;
  try {
    event = stripe.webhooks.constructEvent(body, request.headers["stripe-signature"], process.env.STRIPE_WEBHOOK_SECRET);
  } catch {
    return { statusCode: 400 };
  }
  const hint = { event: event.id, type: event.type, object: event.data.object.id };
  await sqs.send(new SendMessageCommand({ QueueUrl: process.env.QUEUE_URL, MessageBody: JSON.stringify(hint) }));
  return { statusCode: 200 };
};
