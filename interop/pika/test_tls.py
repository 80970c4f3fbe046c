"""Over TLS: the broker verified, a client's certificate, EXTERNAL. AMQPS_PORT and TLS_FOLDER say where; the folder
holds ca_certificate.pem, and client_certificate.pem with client_key.pem for the user guest."""

import os
import ssl
from pathlib import Path

import pika
import pytest

from support import PATIENCE

PORT = os.environ.get("AMQPS_PORT")
FOLDER = Path(os.environ.get("TLS_FOLDER", "."))

pytestmark = pytest.mark.skipif(PORT is None, reason="AMQPS_PORT is not set: the broker does not listen for TLS")


def context(*, trusted=True, certificate=False):
    """What pika speaks TLS with: trusting the broker's authority or the machine's, with a certificate or not."""
    made = ssl.create_default_context(cafile=FOLDER / "ca_certificate.pem" if trusted else None)
    if certificate:
        made.load_cert_chain(FOLDER / "client_certificate.pem", FOLDER / "client_key.pem")
    return made


def connect(tls, name="localhost", credentials=None):
    """A connection over TLS that expects the broker to have this name."""
    options = {"credentials": credentials} if credentials else {}
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            "127.0.0.1", int(PORT), ssl_options=pika.SSLOptions(tls, name), socket_timeout=PATIENCE, **options
        )
    )


def round_trip(connection, body=b"through TLS"):
    """A message through a queue of the connection's own."""
    channel = connection.channel()
    channel.confirm_delivery()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", queue, body)
    _, _, got = channel.basic_get(queue, auto_ack=True)
    assert got == body


def test_messages_of_all_sizes():
    connection = connect(context())
    for size in (0, 1, 16_384, 131_072, 3_000_000):
        round_trip(connection, bytes(range(256)) * (size // 256) + b"x" * (size % 256))
    connection.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions(version):
    tls = context()
    tls.minimum_version = tls.maximum_version = version
    connection = connect(tls)
    round_trip(connection)
    connection.close()


def test_a_clients_certificate_logs_in():
    connection = connect(context(certificate=True), credentials=pika.credentials.ExternalCredentials())
    round_trip(connection)
    connection.close()


def test_external_without_a_certificate_is_refused():
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        connect(context(), credentials=pika.credentials.ExternalCredentials())


def test_pika_turns_away_from_a_broker_that_it_does_not_trust():
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(context(trusted=False))
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(context(), name="other.example")


def test_a_wrong_password_is_told():
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        connect(context(), credentials=pika.PlainCredentials("guest", "wrong"))
