"""Trouble between deployed functions and AWS, struck on request: a proxy that the emulator names to its functions as AWS.

Usage: faults.py PORT CONTROL_PORT UPSTREAM_PORT CERTIFICATE KEY UPDATE

POST http://127.0.0.1:CONTROL_PORT/NAME begins a trouble, DELETE ends it; both and GET answer what was struck so far, as JSON. The
names are those of TROUBLES. UPDATE is the command that deploys a new version. Who made a call is found by its socket.
"""

import glob
import http.client
import http.server
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time

PORT, CONTROL, UPSTREAM = map(int, sys.argv[1:4])
CERTIFICATE, KEY, UPDATE = sys.argv[4:]
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


def process_at(port):
    """The bootstrap whose socket has this local port."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    inodes = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}")}
    for link in glob.iglob("/proc/[0-9]*/fd/*"):
        try:
            if os.readlink(link) in inodes:
                pid = int(link.split("/")[2])
                return pid if "/bootstrap" in os.readlink(f"/proc/{pid}/exe") else None
        except OSError:
            continue
    return None


class Call:
    """A request of a function's, not yet sent on."""

    def __init__(self, proxy, body):
        self.proxy, self.body = proxy, body
        self.operation = proxy.headers.get("x-amz-target", "").rsplit(".", 1)[-1] or f"{proxy.command} {proxy.path}"
        self.order = next(iter(re.findall(rb'"pk":\{"S":"([^"]+)"', body)), b"").decode()

    def role(self):
        """Its key: a function's credentials are its own."""
        return re.search(r"Credential=([^/]+)", self.proxy.headers.get("authorization", "Credential=-/"))[1]

    def pid(self):
        if self.proxy.pid is None:
            self.proxy.pid = process_at(self.proxy.client_address[1]) or 0
        return self.proxy.pid

    def send(self):
        """The answer of AWS: status, headers, body."""
        upstream = http.client.HTTPSConnection("127.0.0.1", UPSTREAM, context=TRUST, timeout=120)
        headers = {name: value for name, value in self.proxy.headers.items() if name.lower() not in HOP}
        upstream.request(self.proxy.command, self.proxy.path, self.body, headers)
        answer = upstream.getresponse()
        try:
            return answer.status, answer.getheaders(), answer.read()
        finally:
            upstream.close()


class Trouble:
    """None: calls are counted and sent on. `around` answers one, or `None` where nobody is left to be answered."""

    def __init__(self):
        self.lock, self.calls, self.strikes, self.more = threading.Lock(), 0, 0, {}

    def around(self, call):
        with self.lock:
            self.calls += 1
        return call.send()

    def strike(self, every=1, most=10**9):
        """Whether this call is one that is struck."""
        with self.lock:
            self.calls += 1
            struck = self.calls % every == 0 and self.strikes < most
            self.strikes += struck
            return struck

    def busy(self):
        return False

    def end(self):
        return {"strikes": self.strikes, "calls": self.calls, **self.more}


class Duplicated(Trouble):
    def around(self, call):
        if call.operation.startswith("SendMessage") and self.strike():
            call.send()
        return call.send()


class Throttled(Trouble):
    """Three of four calls to the table of orders: more than the SDK's own attempts outlast."""

    REFUSAL = json.dumps({"__type": "ProvisionedThroughputExceededException", "message": "struck"}).encode()

    def around(self, call):
        if b"OrdersTable" in call.body and call.operation in ("GetItem", "UpdateItem"):
            with self.lock:
                self.calls += 1
                struck = self.calls % 4 and self.strikes < 90
                self.strikes += bool(struck)
            if struck:
                return 400, [("content-type", "application/x-amz-json-1.0")], self.REFUSAL
        return call.send()


class Killed(Trouble):
    """Every sixth call is its function's last, by turns before and after its effect."""

    def around(self, call):
        if not call.pid() or not self.strike(every=6, most=12):
            return call.send()
        before = self.strikes % 2
        if not before:
            call.send()
        self.more["before"] = self.more.get("before", 0) + before
        os.kill(call.pid(), signal.SIGKILL)
        return None


class Held:
    """A stopped process, and the call that it is in."""

    def __init__(self, pid):
        self.pid, self.overtaken, self.go = pid, False, threading.Event()


class Stopped(Trouble):
    """A write of a function that is stopped in mid call waits until another function has written to the same order; then it lands
    after all, refused, and the function wakes."""

    LONGEST = 50

    def __init__(self):
        super().__init__()
        self.held, self.asleep = {}, 0

    def around(self, call):
        if call.operation != "UpdateItem" or not call.pid():
            return call.send()
        with self.lock:
            self.calls += 1
            waiting = self.held.get(call.order)
            stopped = waiting is None and len(self.held) < 3
            if stopped:
                waiting = self.held[call.order] = Held(call.pid())
                self.asleep += 1
        if not stopped:
            answer = call.send()
            if waiting and waiting.pid != call.pid() and answer[0] == 200:
                waiting.overtaken = True
                waiting.go.set()
            return answer
        os.kill(call.pid(), signal.SIGSTOP)
        waiting.go.wait(self.LONGEST)
        # The one that overtook it goes on, to its end.
        time.sleep(2)
        answer = call.send()
        os.kill(call.pid(), signal.SIGCONT)
        how = "stopped" + (", overtaken" if waiting.overtaken else "") + f", the late write answered {answer[0]}"
        with self.lock:
            self.asleep -= 1
            self.strikes += waiting.overtaken and answer[0] == 400
            self.more[how] = self.more.get(how, 0) + 1
        return answer

    def end(self):
        for waiting in list(self.held.values()):
            waiting.go.set()
        while self.asleep:
            time.sleep(0.1)
        return super().end()


class Updated(Trouble):
    """A deploy while functions work. It struck those that were seen at work with their old code and with the new."""

    def __init__(self):
        super().__init__()
        self.codes = {}
        self.deploy = subprocess.Popen(["bash", "-c", UPDATE], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def busy(self):
        return self.deploy.poll() is None

    def around(self, call):
        if call.pid():
            code = os.readlink(f"/proc/{call.pid()}/exe").removesuffix(" (deleted)")
            with self.lock:
                self.calls += 1
                self.codes.setdefault(call.role(), set()).add(code)
        return call.send()

    def end(self):
        said = self.deploy.communicate()[0].decode()
        if self.deploy.returncode:
            raise RuntimeError(said)
        self.strikes = sum(len(codes) > 1 for codes in self.codes.values())
        return super().end()


TROUBLES = {
    "duplicated": Duplicated,
    "throttled": Throttled,
    "killed": Killed,
    "stopped": Stopped,
    "updated": Updated,
    "rotated": Trouble,
}
now = Trouble()


class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version, disable_nagle_algorithm, pid = "HTTP/1.1", True, None

    def answer(self):
        call = Call(self, self.rfile.read(int(self.headers.get("content-length") or 0)))
        try:
            answered = now.around(call)
        except (OSError, http.client.HTTPException) as error:
            self.log_error("%s: %r", call.operation, error)
            answered = None
        if answered is None:
            self.close_connection = True
            return
        status, headers, body = answered
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

    def log_message(self, *_):
        pass


class Control(http.server.BaseHTTPRequestHandler):
    def answer(self):
        global now
        status, name = 200, self.path.strip("/")
        try:
            if self.command == "POST":
                now = TROUBLES[name]()
                said = {"began": name}
            elif self.command == "DELETE":
                said = now.end()
                now = Trouble()
            else:
                said = {"strikes": now.strikes, "busy": now.busy()}
        except Exception as error:
            status, said = 500, {"error": repr(error)}
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer


TRUST = ssl.create_default_context(cafile=CERTIFICATE)
serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
serving.load_cert_chain(CERTIFICATE, KEY)


class Tls(http.server.ThreadingHTTPServer):
    def finish_request(self, request, address):
        # The handshake in the connection's own thread.
        super().finish_request(serving.wrap_socket(request, server_side=True), address)


threading.Thread(target=http.server.ThreadingHTTPServer(("127.0.0.1", CONTROL), Control).serve_forever, daemon=True).start()
Tls(("127.0.0.1", PORT), Proxy).serve_forever()
