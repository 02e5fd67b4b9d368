#!/usr/bin/env python3
"""Read the records of a tboxgate gateway, each at least once.

    consumer.py HOST:PORT [--stream GBT32960] [--durable app] [--count N] [--user U --password P]

A durable consumer: the server remembers what was acknowledged, so that a consumer that comes back goes on
where it was. This file speaks NATS' text protocol with the standard library alone. With nats-py the class
Nats is a few lines: nats.connect, js.pull_subscribe, fetch, ack.
"""
import argparse
import json
import secrets
import socket


class Nats:
    """One connection, and one subscription that all replies come to."""

    def __init__(self, address, user=None, password=None):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.input = self.socket.makefile("rb")
        self.inbox = "_INBOX." + secrets.token_hex(11)
        options = {"verbose": False, "pedantic": False, "headers": True, "name": "consumer.py"}
        if user:
            options.update(user=user, **{"pass": password})
        self.input.readline()  # INFO
        self.send(f"CONNECT {json.dumps(options)}\r\nSUB {self.inbox} 1\r\nPING\r\n".encode())
        while (line := self.input.readline().strip()) != b"PONG":
            if line.startswith(b"-ERR") or not line:
                raise ConnectionError(line.decode())

    def send(self, data):
        self.socket.sendall(data)

    def publish(self, subject, body, reply=""):
        self.send(f"PUB {subject} {reply} {len(body)}\r\n".encode() + body + b"\r\n")

    def next(self):
        """The next message: its status ("" for a stored one), where to acknowledge it, and its body."""
        while True:
            words = self.input.readline().split()
            if not words:
                raise ConnectionError("the server has gone")
            if words[0] == b"PING":
                self.send(b"PONG\r\n")
            elif words[0] == b"-ERR":
                raise ConnectionError(b" ".join(words).decode())
            elif words[0] in (b"MSG", b"HMSG"):
                with_header = words[0] == b"HMSG"
                reply = words[3].decode() if len(words) == (6 if with_header else 5) else ""
                data = self.input.read(int(words[-1]) + 2)[:-2]
                status = ""
                if with_header:
                    header, data = data[: int(words[-2])], data[int(words[-2]):]
                    first = header.split(b"\r\n")[0].split()
                    status = first[1].decode() if len(first) > 1 else ""
                return status, reply, data

    def request(self, subject, body):
        self.publish(subject, json.dumps(body).encode(), self.inbox)
        answer = json.loads(self.next()[2])
        if "error" in answer:
            raise RuntimeError(answer["error"]["description"])
        return answer


def entries(body):
    """The records of one message, in either layout: dicts, with "frame" when the payload is raw."""
    while body:
        line, _, body = body.partition(b"\n")
        record = json.loads(line)
        if "rawBytes" in record:
            size = record["rawBytes"]
            record["frame"], body = body[:size], body[size + 1:]
        yield record


def show(record):
    if "frame" in record:
        what = f"0x{record['frame'][2]:02X} {len(record['frame'])} bytes"
    else:
        what = record["command"]
        for item in record.get("info", []):
            if item["type"] == "vehicle":
                what += f" soc={item['soc']}"
    print(record["vin"], record["receivedAt"], what, flush=True)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("address")
    arguments.add_argument("--stream", default="GBT32960")
    arguments.add_argument("--durable", default="app")
    arguments.add_argument("--count", type=int, default=0, help="end after so many records")
    arguments.add_argument("--user")
    arguments.add_argument("--password")
    a = arguments.parse_args()
    nats = Nats(a.address, a.user, a.password)
    nats.request(f"$JS.API.CONSUMER.DURABLE.CREATE.{a.stream}.{a.durable}", {
        "stream_name": a.stream,
        "config": {"durable_name": a.durable, "ack_policy": "explicit", "deliver_policy": "all"},
    })
    seen = 0
    while True:
        batch = min(100, a.count - seen) if a.count else 100  # what is asked for and not acknowledged comes again
        pull = json.dumps({"batch": batch, "expires": 5_000_000_000}).encode()
        nats.publish(f"$JS.API.CONSUMER.MSG.NEXT.{a.stream}.{a.durable}", pull, nats.inbox)
        for _ in range(batch):
            status, reply, body = nats.next()
            if status:  # 408: nothing came in time; ask again
                break
            for record in entries(body):
                show(record)  # do your work here, and acknowledge when it is done
                seen += 1
            nats.publish(reply, b"+ACK")
            if seen >= a.count > 0:
                return


if __name__ == "__main__":
    main()
