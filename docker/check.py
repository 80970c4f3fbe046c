#!/usr/bin/env python3
"""A client of the container, run by `cargo xtask image` from another network namespace.

    check.py definitions|publish|consume|guest ADDRESS DEFINITIONS

definitions: the users of the file log in, and the broker's export is the file again
publish:     a persistent message to a durable queue, confirmed
consume:     that message is still there
guest:       without any settings, guest logs in from outside, as in RabbitMQ's image
"""

import base64
import json
import sys
import urllib.request

import pika

BODY = b"survives"


def connect(address, user, vhost):
    login = pika.PlainCredentials(user, user)  # The file's users have their names as passwords.
    return pika.BlockingConnection(pika.ConnectionParameters(address, virtual_host=vhost, credentials=login))


def sorted_lists(value):
    """Equal definitions are equal after this: the order in their lists means nothing."""
    if isinstance(value, dict):
        return {key: sorted_lists(item) for key, item in value.items()}
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return sorted((sorted_lists(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value


def definitions(address, path):
    for user, vhost in [("alice", "shop"), ("bob", "shop"), ("carol", "shop"), ("Jürgen", "q/uörum")]:
        connect(address, user, vhost).close()
        print(f"client: {user} logs in and opens {vhost}")
    with open(path, encoding="utf-8") as file:
        wanted = json.load(file)
    request = urllib.request.Request(f"http://{address}:15672/api/definitions")
    request.add_header("Authorization", "Basic " + base64.b64encode(b"alice:alice").decode())
    with urllib.request.urlopen(request) as answer:
        found = json.load(answer)
    wrong = [key for key in wanted | found if sorted_lists(wanted.get(key)) != sorted_lists(found.get(key))]
    if wrong:
        for key in wrong:
            print(f"{key}: wanted {wanted.get(key)}\n{key}: found {found.get(key)}")
        sys.exit(f"client: the export differs in {wrong}")
    counts = ", ".join(f"{len(value)} {key}" for key, value in wanted.items() if isinstance(value, list))
    print(f"client: the export is what was imported: {counts}")


def publish(address):
    connection = connect(address, "alice", "shop")
    channel = connection.channel()
    channel.confirm_delivery()
    persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
    channel.basic_publish("", "orders", BODY, persistent, mandatory=True)
    connection.close()
    print("client: published and confirmed")


def consume(address):
    connection = connect(address, "alice", "shop")
    channel = connection.channel()
    method, _, body = channel.basic_get("orders", auto_ack=True)
    assert method is not None and body == BODY, (method, body)
    connection.close()
    print("client: the message is still there")


def guest(address):
    connect(address, "guest", "/").close()
    print("client: guest logs in from outside")


step, host, file = sys.argv[1:]
if step == "definitions":
    definitions(host, file)
else:
    {"publish": publish, "consume": consume, "guest": guest}[step](host)
