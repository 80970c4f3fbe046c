"""Stands in for the Docker containers that aio-pika's and aiormq's own tests want: a running broker instead.

Loaded with `-p`. The broker's host and ports come from LEVERET_HOST, LEVERET_AMQP_PORT and LEVERET_AMQPS_PORT.
"""

import dataclasses
import os
import sys
import types

import pytest
from yarl import URL


@dataclasses.dataclass
class ContainerInfo:
    """Where the broker is, in the words of the suites' own module."""

    id: str
    host: str
    ports: dict


class DockerNotAvailableError(Exception):
    """Never raised here."""


class DockerHostInfo:
    """Nothing: there is no Docker."""


class DockerClient:
    """Gives the running broker for every container that is asked for."""

    def __init__(self, info=None):
        self.info = info

    def run(self, image, ports, environment=None):
        """The broker."""
        return broker()

    def kill(self, container):
        """The broker goes on."""

    def remove(self, container):
        """The broker goes on."""


def broker():
    """The broker, as a container."""
    ports = {"5672/tcp": int(os.environ["LEVERET_AMQP_PORT"]), "5671/tcp": int(os.environ.get("LEVERET_AMQPS_PORT", "0"))}
    return ContainerInfo(id="leveret", host=os.environ["LEVERET_HOST"], ports=ports)


stand_in = types.ModuleType("tests.docker_client")
stand_in.ContainerInfo = ContainerInfo
stand_in.DockerNotAvailableError = DockerNotAvailableError
stand_in.DockerHostInfo = DockerHostInfo
stand_in.DockerClient = DockerClient
stand_in.check_docker_available = DockerHostInfo
sys.modules["tests.docker_client"] = stand_in


@pytest.fixture(scope="session")
def rabbitmq_container():
    """The broker, as a container."""
    return broker()


@pytest.fixture(scope="session")
def amqp_direct_url(rabbitmq_container):
    """Its address."""
    return URL.build(
        scheme="amqp", user="guest", password="guest", path="//",
        host=rabbitmq_container.host, port=rabbitmq_container.ports["5672/tcp"],
    )
