"""The address that the server listens on."""

import os
import re

import pytest

pytest.importorskip('uvicorn', reason="needs the extra serve: pip install '.[serve]'")

from chainer_cifar.errors import UserError
from chainer_cifar.serving import server


def test_a_free_port():
    with server.listen('localhost', 0) as one, server.listen('127.0.0.1', 0) as other:
        ports = [each.getsockname()[1] for each in (one, other)]
        assert ports[0] != ports[1]
        assert server.address_of(other) == f'http://127.0.0.1:{ports[1]}/'


def test_a_taken_port():
    with server.listen('127.0.0.1', 0) as one:
        port = one.getsockname()[1]
        with pytest.raises(UserError, match=rf'^--port {port}: taken'):
            server.listen('127.0.0.1', port)


@pytest.mark.skipif(not os.path.exists('/proc/net/if_inet6'), reason='no IPv6')
def test_an_address_of_one_link():
    """It is one of the network interface that it names."""
    with open('/proc/net/if_inet6') as file:
        found = [line.split() for line in file if line.startswith('fe80')]
    if not found:
        pytest.skip('no interface has one')
    address = ':'.join(re.findall('....', found[0][0]))
    with server.listen(f'{address}%{found[0][-1]}', 0) as one:
        assert one.getsockname()[3]


@pytest.mark.parametrize('host', ['no such host', 'a' * 70, '256.0.0.1', '192.0.2.1', 'ü' * 300])
def test_no_address_of_this_machine(host):
    with pytest.raises(UserError, match=f'^--host {host}: '):
        server.listen(host, 0)
