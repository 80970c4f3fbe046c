#!/usr/bin/env python3
"""Records what a RabbitMQ 4.0.5 says about definitions, for tests/tests/suite/definitions.

    record.py HTTP_URL [CTL...]

HTTP_URL is the API of an empty broker, for instance http://guest:guest@127.0.0.1:15672; CTL is the command that runs
its rabbitmqctl. Writes beside itself:

    seed.json         what was uploaded; made here, with passwords equal to the users' names
    cluster.json      GET /api/definitions after it
    vhost.json        GET /api/definitions/shop
    ctl.json          rabbitmqctl export_definitions
    answers.json      bad imports, each with status and body
"""

import base64
import hashlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))


def hashed(algorithm, password, salt=b"\x01\x02\x03\x04"):
    digest = hashlib.new(algorithm, salt + password.encode()).digest()
    return base64.b64encode(salt + digest).decode()


def user(name, algorithm, tags, **more):
    return {
        "name": name,
        "password_hash": hashed(algorithm, name),
        "hashing_algorithm": "rabbit_password_hashing_" + algorithm,
        "tags": tags,
        "limits": {},
    } | more


def queue(name, arguments=None, vhost="shop", durable=True, auto_delete=False):
    return {"name": name, "vhost": vhost, "durable": durable, "auto_delete": auto_delete, "arguments": arguments or {}}


def exchange(name, kind, arguments=None, vhost="shop", durable=True, auto_delete=False, internal=False):
    return {
        "name": name, "vhost": vhost, "type": kind, "durable": durable, "auto_delete": auto_delete,
        "internal": internal, "arguments": arguments or {},
    }


def binding(source, destination, key="", arguments=None, kind="queue", vhost="shop"):
    return {
        "source": source, "vhost": vhost, "destination": destination, "destination_type": kind,
        "routing_key": key, "arguments": arguments or {},
    }


SEED = {
    "rabbit_version": "4.0.5",
    "users": [
        user("alice", "sha256", ["administrator"]),
        user("bob", "sha512", ["monitoring", "policymaker"]),
        user("carol", "md5", []),
        {"name": "dora", "password_hash": "", "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "management,free"},
        user("emil", "sha256", [], limits={"max-connections": 5, "max-channels": 20}),
        user("Jürgen", "sha256", ["impersonator"]),
    ],
    "vhosts": [
        {"name": "/"},
        {"name": "shop", "description": "the shop", "tags": ["eu", "prod"], "default_queue_type": "classic",
         "metadata": {"description": "the shop", "tags": ["eu", "prod"], "default_queue_type": "classic"}},
        {"name": "q/uörum", "metadata": {"description": "", "tags": [], "default_queue_type": "quorum"}},
        {"name": "bare"},
    ],
    "permissions": [
        {"user": "alice", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
        {"user": "alice", "vhost": "shop", "configure": ".*", "write": ".*", "read": ".*"},
        {"user": "bob", "vhost": "shop", "configure": "", "write": "^orders", "read": "^(orders|retry)$"},
        {"user": "carol", "vhost": "shop", "configure": "^$", "write": ".*", "read": ".*"},
        {"user": "Jürgen", "vhost": "q/uörum", "configure": ".*", "write": ".*", "read": ".*"},
    ],
    "topic_permissions": [
        {"user": "bob", "vhost": "shop", "exchange": "events", "write": "^eu\\.", "read": ".*"},
    ],
    "parameters": [
        {"component": "federation-upstream", "vhost": "shop", "name": "west",
         "value": {"uri": "amqp://west.example", "expires": 3600000, "ack-mode": "on-confirm"}},
        {"component": "vhost-limits", "vhost": "shop", "name": "limits", "value": {"max-queues": 100, "max-connections": 10}},
        {"component": "operator_policy", "vhost": "shop", "name": "bounded",
         "value": {"pattern": "^bounded", "definition": {"max-length": 1000}, "priority": 1, "apply-to": "queues"}},
    ],
    "global_parameters": [
        {"name": "cluster_name", "value": "warehouse"},
        {"name": "limits_of_somebody", "value": {"a": 1, "b": [1, 2.5, "three", True], "c": {"d": "e"}}},
    ],
    "policies": [
        {"vhost": "shop", "name": "ttl", "pattern": "^tmp\\.", "apply-to": "queues",
         "definition": {"message-ttl": 60000, "max-length": 10, "overflow": "reject-publish"}, "priority": 5},
        {"vhost": "shop", "name": "alternate", "pattern": ".*", "apply-to": "exchanges",
         "definition": {"alternate-exchange": "unrouted"}, "priority": 0},
        {"vhost": "/", "name": "all", "pattern": "^x$", "definition": {"expires": 100000}},
    ],
    "queues": [
        queue("orders", {"x-queue-type": "classic"}),
        queue("retry", {"x-message-ttl": 30000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "orders"}),
        queue("bounded", {"x-max-length": 1000, "x-max-length-bytes": 1048576, "x-overflow": "reject-publish-dlx",
                          "x-dead-letter-exchange": "unrouted"}),
        queue("urgent", {"x-max-priority": 10}),
        queue("serial", {"x-single-active-consumer": True}),
        queue("idle", {"x-expires": 86400000}),
        queue("safe", {"x-queue-type": "quorum", "x-delivery-limit": 5, "x-quorum-initial-group-size": 3,
                       "x-queue-leader-locator": "balanced"}),
        queue("lazy", {"x-queue-mode": "lazy", "x-queue-version": 2}),
        queue("free", {"x-free": "text", "x-list": [1, "two", True, 2.5, {"k": "v"}], "x-table": {"a": {"b": -1}},
                       "x-big": 9007199254740993, "x-none-such": False}),
        queue("auto", auto_delete=True),
        queue("quorum by vhost", vhost="q/uörum"),
        queue("wide öäü", vhost="/"),
    ],
    "exchanges": [
        exchange("events", "topic", {"alternate-exchange": "unrouted"}),
        exchange("unrouted", "fanout"),
        exchange("by header", "headers"),
        exchange("inner", "direct", internal=True),
        exchange("auto", "direct", auto_delete=True),
        exchange("x", "direct", vhost="/"),
    ],
    "bindings": [
        binding("events", "orders", "eu.#"),
        binding("events", "orders", "us.*"),
        binding("events", "inner", "#", kind="exchange"),
        binding("inner", "urgent", "now"),
        binding("unrouted", "bounded"),
        binding("by header", "serial", "", {"x-match": "all", "size": 5, "colour": "red", "fast": True}),
        binding("by header", "serial", "", {"x-match": "any", "weight": 2.5}),
        binding("amq.topic", "idle", "ö.*"),
        binding("x", "wide öäü", "wide", vhost="/"),
    ],
}

# Each is uploaded on its own to the broker that holds the seed; (name, path, body or text).
GOOD = {"name": "b", "vhost": "bad", "durable": True, "auto_delete": False, "arguments": {}}
BAD = [
    ("nothing", "", ""),
    ("not json", "", "{"),
    ("a list", "", "[]"),
    ("a number", "", "5"),
    ("empty object", "", {}),
    ("unknown keys", "", {"unheard_of": [1], "users": []}),
    ("users that are no list", "", {"users": {"name": "x"}}),
    ("items that are no objects", "", {"users": [1, "x"], "queues": [None]}),
    ("user without a name", "", {"users": [{"password_hash": "", "tags": ""}]}),
    ("user without a hash", "", {"users": [{"name": "nohash", "tags": ""}]}),
    ("user without tags", "", {"users": [{"name": "notags", "password_hash": ""}]}),
    ("user with a password", "", {"users": [{"name": "plain", "password": "secret", "tags": ""}]}),
    ("hash that is no base64", "", {"users": [{"name": "badhash", "password_hash": "not base64!", "tags": ""}]}),
    ("hash that is short", "", {"users": [{"name": "shorthash", "password_hash": "AAAA", "tags": ""}]}),
    ("unknown algorithm", "", {"users": [{"name": "x", "password_hash": "AAAA", "hashing_algorithm": "rot13", "tags": ""}]}),
    ("vhost without a name", "", {"vhosts": [{}]}),
    ("vhost with an unknown queue type", "", {"vhosts": [{"name": "odd", "default_queue_type": "odd"}]}),
    ("permission of an unknown user", "", {"permissions": [{"user": "nobody", "vhost": "/", "configure": "", "write": "", "read": ""}]}),
    ("permission in an unknown vhost", "", {"permissions": [{"user": "alice", "vhost": "nowhere", "configure": "", "write": "", "read": ""}]}),
    ("permission with a bad pattern", "", {"permissions": [{"user": "alice", "vhost": "/", "configure": "*", "write": "", "read": ""}]}),
    ("permission without a pattern", "", {"permissions": [{"user": "alice", "vhost": "/", "write": "", "read": ""}]}),
    ("topic permission with a bad pattern", "", {"topic_permissions": [{"user": "alice", "vhost": "/", "exchange": "amq.topic", "write": "*", "read": ""}]}),
    ("topic permission of an unknown user", "", {"topic_permissions": [{"user": "nobody", "vhost": "/", "exchange": "amq.topic", "write": "", "read": ""}]}),
    ("exchange in an unknown vhost", "", {"exchanges": [exchange("e", "direct", vhost="nowhere")]}),
    ("exchange of an unknown type", "", {"exchanges": [exchange("e", "x-odd")]}),
    ("exchange without a type", "", {"exchanges": [{"name": "e", "vhost": "shop", "durable": True, "auto_delete": False, "arguments": {}}]}),
    ("exchange that is there and differs", "", {"exchanges": [exchange("events", "fanout")]}),
    ("exchange with a reserved name", "", {"exchanges": [exchange("amq.mine", "fanout")]}),
    ("the default exchange", "", {"exchanges": [exchange("", "direct")]}),
    ("queue in an unknown vhost", "", {"queues": [queue("q", vhost="nowhere")]}),
    ("queue with an unknown type", "", {"queues": [queue("q", {"x-queue-type": "odd"})]}),
    ("queue with a bad argument", "", {"queues": [queue("q", {"x-message-ttl": -1})]}),
    ("queue with null as an argument", "", {"queues": [queue("q", {"x-message-ttl": None})]}),
    ("queue that is there and differs", "", {"queues": [queue("orders", {"x-max-length": 5})]}),
    ("queue with a reserved name", "", {"queues": [queue("amq.mine")]}),
    ("queue without a name", "", {"queues": [{"vhost": "shop", "durable": True, "auto_delete": False, "arguments": {}}]}),
    ("queue without properties", "", {"queues": [{"name": "noprops", "vhost": "shop"}]}),
    ("binding from an unknown exchange", "", {"bindings": [binding("nothing", "orders")]}),
    ("binding to an unknown queue", "", {"bindings": [binding("events", "nothing")]}),
    ("binding in an unknown vhost", "", {"bindings": [binding("events", "orders", vhost="nowhere")]}),
    ("binding to an unknown kind", "", {"bindings": [binding("events", "orders", kind="odd")]}),
    ("binding from the default exchange", "", {"bindings": [binding("", "orders", "orders")]}),
    ("policy without a pattern", "", {"policies": [{"vhost": "shop", "name": "p", "definition": {"max-length": 1}}]}),
    ("policy with a bad pattern", "", {"policies": [{"vhost": "shop", "name": "p", "pattern": "*", "definition": {"max-length": 1}}]}),
    ("policy without a definition", "", {"policies": [{"vhost": "shop", "name": "p", "pattern": ".*"}]}),
    ("policy without a name", "", {"policies": [{"vhost": "shop", "pattern": ".*", "definition": {"max-length": 1}}]}),
    ("policy with an unknown key", "", {"policies": [{"vhost": "shop", "name": "p", "pattern": ".*", "definition": {"odd": 1}}]}),
    ("policy with a bad value", "", {"policies": [{"vhost": "shop", "name": "p", "pattern": ".*", "definition": {"max-length": "x"}}]}),
    ("policy for an unknown kind", "", {"policies": [{"vhost": "shop", "name": "p", "pattern": ".*", "apply-to": "odd", "definition": {"max-length": 1}}]}),
    ("policy in an unknown vhost", "", {"policies": [{"vhost": "nowhere", "name": "p", "pattern": ".*", "definition": {"max-length": 1}}]}),
    ("parameter of an unknown component", "", {"parameters": [{"component": "odd", "vhost": "shop", "name": "p", "value": {}}]}),
    ("parameter in an unknown vhost", "", {"parameters": [{"component": "vhost-limits", "vhost": "nowhere", "name": "limits", "value": {"max-queues": 1}}]}),
    ("an order that needs sorting", "", {"bindings": [binding("late x", "late q")], "queues": [queue("late q")], "exchanges": [exchange("late x", "fanout")]}),
    ("what is there already", "", {"queues": [queue("orders", {"x-queue-type": "classic"})], "exchanges": [exchange("unrouted", "fanout")]}),
    ("unknown vhost in the path", "/nowhere", {}),
    ("one vhost, its own format", "/bare", {"queues": [{"name": "q", "durable": True, "auto_delete": False, "arguments": {}}]}),
    ("one vhost, items that name another", "/bare", {"queues": [queue("other", vhost="shop")]}),
    ("one vhost, users are left alone", "/bare", {"users": [{"name": "left alone", "password_hash": "", "tags": ""}]}),
    ("one vhost, a binding without its queue", "/bare", {"bindings": [binding("amq.topic", "nothing", vhost="bare")]}),
    ("one vhost, a policy without a pattern", "/bare", {"policies": [{"name": "p", "definition": {"max-length": 1}}]}),
    ("one vhost, not json", "/bare", "{"),
    ("null strings", "", {"queues": [GOOD | {"vhost": None}]}),
]


class Api:
    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        login = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password)}"
        self.base = f"{parts.scheme}://{parts.hostname}:{parts.port}/api"
        self.login = base64.b64encode(login.encode()).decode()

    def ask(self, method, path, body=None):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.base + path, data, method=method)
        request.add_header("Authorization", "Basic " + self.login)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request) as answer:
                text = answer.read()
                status = answer.status
        except urllib.error.HTTPError as error:
            text, status = error.read(), error.code
        return status, json.loads(text) if text else None


def write(name, value):
    with open(os.path.join(HERE, name), "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=1, sort_keys=True)
        file.write("\n")


def main():
    api = Api(sys.argv[1])
    write("seed.json", SEED)
    status, body = api.ask("POST", "/definitions", SEED)
    assert status == 204, (status, body)
    _, cluster = api.ask("GET", "/definitions")
    write("cluster.json", cluster)
    _, vhost = api.ask("GET", "/definitions/shop")
    write("vhost.json", vhost)
    if sys.argv[2:]:
        text = subprocess.run([*sys.argv[2:], "-q", "export_definitions", "-"], check=True, capture_output=True).stdout
        write("ctl.json", json.loads(text))
    answers = []
    for name, path, body in BAD:
        status, answer = api.ask("POST", "/definitions" + path, body)
        answers.append({"name": name, "path": path, "body": body, "status": status, "answer": answer})
    write("answers.json", answers)


if __name__ == "__main__":
    main()
