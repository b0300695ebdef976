"""A network of its own (Linux namespaces) in which AWS, Stripe and the shop have their real names, behind TLS on port 443 and a
certificate made here, so that a program opens the connections that it opens when deployed.

Invariant: nothing in it reaches the internet. What the services behind it take is counted apart, as waiting.
"""

import asyncio
import contextlib
import fcntl
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import time

INSIDE = "TANDEM_BENCH_INSIDE"
SERVICES = ("dynamodb", "sqs", "ssm", "scheduler", "s3")
AWS = "eu-central-1.amazonaws.com"
STRIPE = "api.stripe.com"
SHOP = "shop.example.com"
SYSTEM_ROOTS = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


def enter():
    """Starts this command again inside; there it brings the loopback device up."""
    if INSIDE not in os.environ:
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", *user, "--mount", "--net", sys.executable, *sys.argv])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # struct ifreq: name and flags; SIOCSIFFLAGS, IFF_UP | IFF_RUNNING.
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH22x", b"lo", 0x41))


def names(bucket):
    return [f"{s}.{AWS}" for s in SERVICES] + [f"{bucket}.s3.{AWS}", STRIPE, SHOP]


def resolve(folder, bucket):
    """Every name leads to loopback, in this namespace only."""
    hosts = pathlib.Path(folder, "hosts")
    hosts.write_text("127.0.0.1 localhost " + " ".join(names(bucket)) + "\n")
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)


def certificate(folder, bucket):
    """A root, and a certificate for all names (RSA of 2048 bits, as AWS and Stripe have). Returns the server's context, the root,
    and all roots together."""
    path = lambda name: str(pathlib.Path(folder, name))
    pathlib.Path(folder, "san").write_text("subjectAltName=" + ",".join(f"DNS:{n}" for n in names(bucket)))
    for command in (
        f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=bench-root -keyout {path('root.key')} -out {path('root.pem')}",
        f"req -newkey rsa:2048 -nodes -subj /CN=bench -keyout {path('key')} -out {path('csr')}",
        f"x509 -req -in {path('csr')} -CA {path('root.pem')} -CAkey {path('root.key')} -CAcreateserial -days 2 "
        f"-extfile {path('san')} -out {path('cert')}",
    ):
        subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path("cert"), path("key"))
    system = next((p for p in map(pathlib.Path, SYSTEM_ROOTS) if p.exists()), None)
    if system is None:
        sys.exit(f"no bundle of root certificates at {' or '.join(SYSTEM_ROOTS)}: install ca-certificates")
    pathlib.Path(path("roots.pem")).write_text(system.read_text() + pathlib.Path(path("root.pem")).read_text())
    return context, path("root.pem"), path("roots.pem")


class Front:
    """Port 443: by the name that the client asks for, to the local stack. Counts requests, and as waiting the time in which at least one
    is unanswered, together with what this process itself takes outside of that (handshakes, the Runtime API)."""

    def __init__(self, context, ports):
        self.ports = ports
        self.forget()
        context.sni_callback = lambda connection, name, _: setattr(connection, "asked_for", name)
        self.context = context

    def forget(self):
        self.unanswered, self.calls, self.open, self.since = 0.0, 0, 0, (0.0, 0.0)
        self.began, self.busy = time.process_time(), 0.0

    def waited(self):
        return self.unanswered + time.process_time() - self.began - self.busy

    async def start(self):
        await asyncio.start_server(self.connection, "127.0.0.1", 443, ssl=self.context)

    def port(self, name):
        return self.ports[name if name in self.ports else "aws"]

    async def connection(self, reader, writer):
        name = getattr(writer.get_extra_info("ssl_object"), "asked_for", "")
        inner, outer = await asyncio.open_connection("127.0.0.1", self.port(name))
        mine = {"open": False}

        async def there():
            while data := await reader.read(65536):
                if not mine["open"]:
                    mine["open"] = True
                    self.calls += 1
                    self.since = (time.monotonic(), time.process_time()) if self.open == 0 else self.since
                    self.open += 1
                outer.write(data)
            outer.close()

        async def back():
            while data := await inner.read(65536):
                writer.write(data)
                self.answered(mine)
            writer.close()

        with contextlib.suppress(asyncio.CancelledError, ConnectionError, ssl.SSLError):
            await asyncio.gather(there(), back())
        self.answered(mine)

    def answered(self, mine):
        if mine["open"]:
            mine["open"] = False
            self.open = max(0, self.open - 1)
            if self.open == 0:
                self.unanswered += time.monotonic() - self.since[0]
                self.busy += time.process_time() - self.since[1]
