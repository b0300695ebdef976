"""Replays every distinct request of a recording against stripe-mock, Stripe's own request validator; a 400 or 404 of it is a failure.

Parameters that only newer API versions know are named in exceptions.json; they are left out of the replay, so the rest of the request is still judged.

usage: stripe_mock.py [--skip-refused] STRIPE_MOCK OPENAPI RECORDING...
With --skip-refused, what our simulator refused is not replayed: for recordings of clients that send bad requests on purpose.
"""

import json
import re
import socket
import subprocess
import sys
import time
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from recording import Document, Verdict, exceptions, lines, plain, split


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(binary):
    http, https = free_port(), free_port()
    process = subprocess.Popen([binary, "-http-port", str(http), "-https-port", str(https)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", http), timeout=1).close()
            return process, f"http://127.0.0.1:{http}"
        except OSError:
            time.sleep(0.05)
    process.kill()
    sys.exit("stripe-mock did not start")


def kind(value):
    """Values that look like enum members count as themselves, all others by their sort."""
    if re.fullmatch(r"-?\d+", value):
        return "0"
    return value if re.fullmatch(r"[a-z_.*]{0,40}", value) else "s"


def shape(call, sent):
    return call, tuple(sorted({(re.sub(r"metadata\]?\[.*", "metadata", plain(k)), kind(v)) for k, v in sent}))


class Exceptions:
    def __init__(self):
        self.rows = [dict(row, hits=0) for row in exceptions("requests")]

    def excused(self, call, name, value):
        for row in self.rows:
            same = row.get("param") and row["call"] == call and (plain(name) + "[").startswith(row["param"] + "[")
            if same and row.get("value", value) == value:
                row["hits"] += 1
                return True
        return False

    def excused_call(self, method, path):
        for row in self.rows:
            verb, template = row["call"].split(" ")
            if "param" not in row and verb == method and re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path):
                row["hits"] += 1
                return True
        return False


def send(base, method, path, sent):
    query, data = "", None
    if method == "POST":
        data = urlencode(sent).encode()
    elif sent:
        query = "?" + urlencode(sent)
    headers = {"Authorization": "Bearer " + "sk_test_" + "judge", "Content-Type": "application/x-www-form-urlencoded"}
    try:
        with urlopen(Request(base + path + query, data, headers, method=method), timeout=20) as answer:
            return answer.status, ""
    except HTTPError as error:
        text = error.read().decode(errors="replace")
        try:
            return error.code, json.loads(text)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            return error.code, text[:300]


def main():
    arguments = sys.argv[1:]
    skip_refused = "--skip-refused" in arguments
    binary, openapi, *files = [a for a in arguments if a != "--skip-refused"]
    document, verdict, excuse, seen = Document(openapi), Verdict("stripe-mock"), Exceptions(), set()
    process, base = start(binary)
    try:
        for exchange in (row for file in files for row in lines(file) if "method" in row):
            if skip_refused and exchange.get("status") in (400, 401, 403, 404):
                continue
            path, sent = split(exchange)
            method = exchange["method"].upper()
            template, _ = document.route(method, path)
            if template is None and excuse.excused_call(method, path):
                continue
            call = f"{method} {template or path}"
            sent = [(k, v) for k, v in sent if not excuse.excused(call, k, v)]
            if shape(call, sent) in seen:
                continue
            seen.add(shape(call, sent))
            try:
                status, message = send(base, method, path, sent)
            except URLError as error:
                status, message = 0, str(error)
            if 200 <= status < 300:
                verdict.ok()
            else:
                verdict.fail(f"{call}: {status} {message}", f"{path} {urlencode(sent)[:400]}")
    finally:
        process.kill()
        process.wait()
    for row in excuse.rows:
        if not row["hits"]:
            verdict.note(f"exception never needed: {row['call']} {row.get('param', '')}".rstrip())
    verdict.end()


if __name__ == "__main__":
    main()
