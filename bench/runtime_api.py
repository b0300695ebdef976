"""Lambda's Runtime API for any language, and what a program that speaks it took: CPU from the kernel's clock of its process, wall
time from this side of the socket.

Invariant: this process's own CPU is in no figure. A program is idle between two events, so a figure ends where it asks for the next one.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import time
import uuid

SECONDS_TO_START = 60
SECONDS_TO_ANSWER = 60
PERIOD_US = 20_000


class Broken(Exception):
    """The program did not do what a function does."""


class Quota:
    """A share of one core, as Lambda gives it to a small memory: a control group's limit, of version 2 or 1."""

    def __init__(self, share):
        self.procs = None
        for base, file, limit in (
            ("/sys/fs/cgroup", "cpu.max", f"{int(PERIOD_US * share)} {PERIOD_US}"),
            ("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", str(int(PERIOD_US * share))),
        ):
            self.group = pathlib.Path(base, f"tandem-bench-{os.getpid()}")
            try:
                self.group.mkdir()
            except OSError:
                continue
            self.limit = self.group / file
            # A folder that is no control group takes any file: nothing would be limited.
            if not self.limit.exists():
                self.group.rmdir()
                continue
            try:
                if file == "cpu.cfs_quota_us":
                    (self.group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                self.limit.write_text(limit)
            except OSError:
                self.group.rmdir()
                continue
            self.text, self.free = limit, "-1" if file == "cpu.cfs_quota_us" else f"max {PERIOD_US}"
            self.procs, self.home = self.group / "cgroup.procs", pathlib.Path(base) / "cgroup.procs"
            return

    @contextlib.contextmanager
    def around_the_start(self):
        """What starts in this block stays in the group; the limit comes after it, or this process would use it up."""
        self.limit.write_text(self.free)
        self.procs.write_text(str(os.getpid()))
        try:
            yield
        finally:
            self.home.write_text(str(os.getpid()))
            self.limit.write_text(self.text)

    def close(self):
        if self.procs:
            self.group.rmdir()


class Api:
    """The server. One program at a time."""

    def __init__(self):
        self.asked, self.events, self.answers = asyncio.Event(), asyncio.Queue(), asyncio.Queue()

    async def start(self):
        server = await asyncio.start_server(self.connection, "127.0.0.1", 0)
        self.address = "127.0.0.1:%d" % server.sockets[0].getsockname()[1]

    def forget(self):
        # The last program's question is still open.
        self.events.put_nowait(None)
        self.asked.clear()
        self.events, self.answers = asyncio.Queue(), asyncio.Queue()

    async def connection(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                line, *headers = head.decode("latin-1").split("\r\n")
                fields = {k.lower(): v.strip() for k, _, v in (h.partition(":") for h in headers)}
                if "chunked" in fields.get("transfer-encoding", ""):
                    body = await chunks(reader)
                else:
                    body = await reader.readexactly(int(fields.get("content-length", 0)))
                await self.request(line, body, writer)
                await writer.drain()
        writer.close()

    async def request(self, line, body, writer):
        path = line.split(" ")[1]
        if path.endswith("/invocation/next"):
            self.asked.set()
            event = await self.events.get()
            if event is None:
                raise ConnectionResetError
            self.asked.clear()
            fields = {
                "Lambda-Runtime-Aws-Request-Id": str(uuid.uuid4()),
                "Lambda-Runtime-Deadline-Ms": str(int((time.time() + SECONDS_TO_ANSWER) * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:000000000000:function:bench",
                "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=0",
            }
            extra = "".join(f"{k}: {v}\r\n" for k, v in fields.items())
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(event)}\r\n{extra}\r\n"
            writer.write(head.encode() + event)
            return
        self.answers.put_nowait((time.monotonic(), path.rsplit("/", 1)[-1], body))
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n")


async def chunks(reader):
    body = b""
    while True:
        size = int((await reader.readline()).split(b";")[0], 16)
        body += await reader.readexactly(size)
        await reader.readline()
        if size == 0:
            return body


class Function:
    """One running program."""

    def __init__(self, api, front, program, log, quota=None):
        self.api, self.front, self.program, self.log, self.quota = api, front, program, log, quota

    async def __aenter__(self):
        self.api.forget()
        env = {**self.program["env"], "AWS_LAMBDA_RUNTIME_API": self.api.address}
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        files = [(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
        argv = self.program["argv"]
        with self.quota.around_the_start() if self.quota else contextlib.nullcontext():
            self.front.forget()
            self.began = time.monotonic()
            self.pid = os.posix_spawn(argv[0], argv, env, file_actions=files)
        os.close(log)
        try:
            await self.waits_for(self.api.asked.wait(), SECONDS_TO_START)
        except Broken:
            await self.__aexit__()
            raise
        self.init = {"wall": time.monotonic() - self.began, "cpu": self.cpu()}
        return self

    async def __aexit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    async def waits_for(self, what, seconds):
        task = asyncio.ensure_future(what)
        end = time.monotonic() + seconds
        while not task.done():
            await asyncio.wait({task}, timeout=1)
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if not task.done() and (ended or time.monotonic() > end):
                task.cancel()
                self.broken("ended" if ended else f"said nothing in {seconds} s")
        return task.result()

    def broken(self, how):
        said = pathlib.Path(self.log).read_text(errors="replace")[-2000:]
        raise Broken(f"{self.program['name']} {how}; its log:\n{said}")

    def cpu(self):
        """Seconds of CPU of all threads since the start, in nanoseconds' steps: the process's clock (`clock_getcpuclockid`)."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def peak_mb(self):
        """The largest resident size, in MB of 1024 * 1024 bytes as Lambda counts."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    async def give(self, event):
        """One event: seconds of CPU and wall until its answer, of CPU until the program is idle again, and of waiting."""
        cpu, waited, unanswered, calls = self.cpu(), self.front.waited(), self.front.unanswered, self.front.calls
        given = time.monotonic()
        self.api.events.put_nowait(event if isinstance(event, bytes) else json.dumps(event).encode())
        at, kind, body = await self.waits_for(self.api.answers.get(), SECONDS_TO_ANSWER)
        answered, until_answer, asked_of = self.cpu(), self.front.waited(), self.front.calls
        await self.waits_for(self.api.asked.wait(), SECONDS_TO_ANSWER)
        if kind != "response" or not self.program["good"](json.loads(body or b"null")):
            self.broken(f"answered {kind} {body[:300]!r}")
        return {
            "wall": at - given, "cpu_answer": answered - cpu, "cpu": self.cpu() - cpu,
            "wait": until_answer - waited, "unanswered": self.front.unanswered - unanswered, "calls": asked_of - calls,
            "since_start": at - self.began, "cpu_since_start": answered, "waited": until_answer, "called": asked_of,
        }
