"""What the part of odd visitors finds in a server that breaks its promise."""

import json
import socket
import threading
import types

import pytest

from campaign.part import Broke
from campaign.visitors import part, requests, served
from campaign.visitors.served import Answer, Served


def reply(status, content, kind='application/json'):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    head = f'HTTP/1.1 {status} Some\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n'
    return head.encode() + body


GOOD = reply(200, {'predictions': []})


@pytest.fixture
def server():
    """Starts a server that answers each connection with the next of some bytes, and closes it."""
    listening = socket.create_server(('127.0.0.1', 0))

    def answer(answers):
        for each in answers:
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(0.3)
                try:
                    while connection.recv(1 << 16):
                        pass
                except TimeoutError:
                    pass
                connection.sendall(each)

    threads = []

    def start(*answers):
        threads.append(threading.Thread(target=answer, args=(answers,)))
        threads[-1].start()
        return Served(types.SimpleNamespace(pid='self'), listening.getsockname()[1])

    yield start
    for thread in threads:
        thread.join(30)
    listening.close()


def test_one_answer(server):
    asked = server(GOOD, GOOD[:-3]).ask
    assert asked(part._GOOD) == Answer(200, 'application/json', b'{"predictions": []}')
    with pytest.raises(Exception, match='IncompleteRead'):
        asked(part._GOOD)


def test_several_answers_and_a_last_one_that_is_cut_off(server):
    going_on = b'HTTP/1.1 100 Continue\r\n\r\n'
    refused = reply(400, b'Invalid HTTP request received.', 'text/plain; charset=utf-8')
    asked = server(going_on + GOOD + refused + GOOD[:-3])
    found = asked.provoke([b'GET / HTTP/1.1\r\n', b'\r\n'], patience=5)
    assert [answer.status for answer in found] == [200, 400]
    for answer in found:
        answer.require_told()


def test_the_answer_to_head_has_no_body(server):
    head = GOOD.partition(b'\r\n\r\n')[0] + b'\r\n\r\n'
    found = server(head + head).provoke([b'HEAD / HTTP/1.1\r\n\r\n'], patience=5)
    assert [(answer.status, answer.body) for answer in found] == [(200, b'')] * 2


def test_no_http(server):
    with pytest.raises(Broke, match="begins with b'Traceback'"):
        server(b'Traceback (most').provoke([b'x'], patience=5)


@pytest.mark.parametrize(
    ('answer', 'reason'),
    [
        (Answer(500, 'application/json', b'{"error": "x"}'), 'status 500'),
        (Answer(400, 'application/json', b'{"error": "a\\nb"}'), 'odd letters'),
        (Answer(400, 'application/json', b'{"error": "\\u202eb"}'), 'odd letters'),
        (Answer(400, 'application/json', b'{"error": " "}'), 'of no or of odd'),
        (Answer(404, 'text/html', b'<p>no'), 'no JSON'),
        (Answer(404, 'text/plain', b'Not Found'), 'no JSON'),
    ],
)
def test_answers_that_break_the_promise(answer, reason):
    with pytest.raises(Broke, match=reason):
        answer.require_told()


def test_a_status_that_is_none_of_those_expected():
    Answer(200, 'application/json', b'{}').require_told([200])
    with pytest.raises(Broke, match='status 200'):
        Answer(200, 'application/json', b'{}').require_told([400])


def test_connections_that_are_kept(server, monkeypatch):
    monkeypatch.setattr(served, '_SETTLED', 0.01)
    asked = server()
    before = asked.descriptors()
    asked.require_settled(before)
    with open(__file__), pytest.raises(Broke, match=f'{before + 1} open files, {before} before'):
        asked.require_settled(before)


def test_many_visitors_none_of_whom_is_answered(server):
    busy = reply(503, {'error': 'too many'})
    good = Answer(200, 'application/json', b'{}')
    with pytest.raises(Broke, match='none of the visitors'):
        part._many(server(busy, busy), good, 2)


def test_another_answer_than_before(server):
    good = Answer(200, 'application/json', b'{}')
    with pytest.raises(Broke, match='another answer than before'):
        part._many(server(GOOD), good, 1)


def test_a_good_request_is_read_as_what_it_is():
    head, _, body = requests.post('/predict', 'image/png', b'abc').partition(b'\r\n\r\n')
    assert body == b'abc' and b'Content-Length: 3' in head.split(b'\r\n')
