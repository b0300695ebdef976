#!/bin/sh
# Sends one signed notice of the checkout protocol, as a shop would.
#
#   notice.sh URL SECRET BODY
#
# URL     https://API/webhooks/NAME
# SECRET  the source's webhook secret: whsec_ and base64
# BODY    for example {"type":"order.updated","data":{"id":"1001","version":2}}
#
# WEBHOOK_ID and WEBHOOK_TIMESTAMP may be set to repeat a delivery. Prints the answer's status.
# The secret passes through openssl's arguments: fine to try things out, not for a shared machine.
set -eu

url=$1 secret=$2 body=$3
id=${WEBHOOK_ID:-msg_$(openssl rand -hex 12)}
timestamp=${WEBHOOK_TIMESTAMP:-$(date +%s)}

# The key is what the base64 after "whsec_" stands for, not its text.
key=$(printf '%s' "${secret#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
signature=$(printf '%s.%s.%s' "$id" "$timestamp" "$body" |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)

curl --silent --show-error --output /dev/null --write-out '%{http_code}\n' \
  --header 'content-type: application/json' \
  --header "webhook-id: $id" \
  --header "webhook-timestamp: $timestamp" \
  --header "webhook-signature: v1,$signature" \
  --data-binary "$body" "$url"
