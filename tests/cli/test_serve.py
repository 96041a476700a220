"""src/serve.py as a user runs it: the page, the endpoint, and what it refuses."""

import base64
import contextlib
import dataclasses
import html
import io
import json
import pathlib
import re
import signal
import socket
import sys
import threading
import time

import chainer
import chainer.functions as F
import numpy as np
import pytest
from PIL import Image

pytest.importorskip('starlette', reason="needs the extra serve: pip install '.[serve]'")

from browser import NEEDS_CHROMIUM, ask_browser
from chainer_cifar.data import store
from chainer_cifar.evaluation import trained
from chainer_cifar.export import session
from chainer_cifar.serving import app, uploads
from chainer_cifar.serving.answers import Answers, Settings
from chainer_cifar.serving.worker import Worker
from runs import environment
from served import serving

SCRIPT = pathlib.Path(__file__).parents[2] / 'src' / 'serve.py'
HOSTILE = '<script>alert("&")</script>'


@pytest.fixture
def serve(in_run):
    """Serves the run in this process; a client."""
    with contextlib.ExitStack() as stack:

        def start(model=None, top=3, reject=0.0, tta='none', similar=4, change=lambda app: app):
            model = model or trained.load('models/run', {'cpu_engine': 'chainer'})
            answers = Answers(model, Settings(top, reject, tta, similar))
            worker = Worker(model.device, answers.look_through())
            stack.callback(worker.stop, 30)
            client = stack.enter_context(serving(change(app.create(answers, worker, []))))
            client.worker = worker
            return client

        yield start


@pytest.fixture(scope='module')
def pictures(finished_run):
    """The first test images, and each as a PNG file."""
    images = store.read_images(finished_run / 'dataset/image_raw.pkl')['test'][:3]
    images = images.reshape(-1, 3, 32, 32)
    return images, [as_file(Image.fromarray(image.transpose(1, 2, 0))) for image in images]


def as_file(picture, kind='PNG', **options):
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def decoded(address):
    head, _, content = address.partition(',')
    assert head == 'data:image/png;base64'
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        return np.asarray(picture)


def until(seen):
    deadline = time.monotonic() + 60
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def until_ready(client):
    until(lambda: client.ask('/about').json['similar']['state'] != 'looking')
    return client.ask('/about').json['similar']


@pytest.mark.parametrize('tta', ['none', 'mirror'])
def test_it_answers_as_predict_does(serve, command, pictures, tmp_path, tta):
    names = [f'{number}.png' for number in range(3)]
    for name, content in zip(names, pictures[1], strict=True):
        (tmp_path / name).write_bytes(content)
    arguments = ['--format', 'json', '--reject', '0.3', '--tta', tta]
    expected = json.loads(command('predict', 'models/run', tmp_path, *arguments)[1])
    client = serve(reject=0.3, tta=tta)
    found = client.send_files('/predict', *zip(names, pictures[1], strict=True))
    assert found.status == 200 and found.headers['content-type'] == 'application/json'
    rows = found.json['predictions']
    for ours, theirs, name in zip(rows, expected, names, strict=True):
        assert ours['image'] == name and ours['answer'] == theirs['answer']
        assert [best['class'] for best in ours['top']] == [best['class'] for best in theirs['top']]
        for our, their in zip(ours['top'], theirs['top'], strict=True):
            assert our['probability'] == pytest.approx(their['probability'], abs=1e-5)
    assert any(row['answer'] == 'unknown' for row in rows)
    (alone,) = client.ask('/predict?top=1', pictures[1][0]).json['predictions']
    assert alone['image'] == 'picture' and alone['answer'] == rows[0]['answer']
    assert [best['class'] for best in alone['top']] == [rows[0]['top'][0]['class']]
    assert len(client.ask('/predict?top=999', pictures[1][0]).json['predictions'][0]['top']) == 10


def test_the_temperature(serve, pictures):
    model = trained.load('models/run', {'cpu_engine': 'chainer'})
    client = serve(dataclasses.replace(model, temperature=4.0))
    with chainer.using_config('train', False):
        logits = model.net(model.input_transform(pictures[0][:1])).array[0]
    expected = chainer.functions.softmax(logits[None] / 4).array[0].max()
    (row,) = client.ask('/predict', pictures[1][0]).json['predictions']
    assert row['top'][0]['probability'] == pytest.approx(expected, rel=1e-5)
    found = client.ask('/explain', pictures[1][0]).json
    assert found['probability'] == pytest.approx(expected, rel=1e-5)


class Corner(chainer.Chain):
    """Class 0 is light at the top left."""

    def forward(self, x):
        light = F.mean(F.get_item(x, np.s_[:, :, :8, :8]), axis=(1, 2, 3))
        return F.matmul(light[:, None], 10 * np.eye(1, 10, dtype=np.float32))


@pytest.mark.parametrize('tta', ['none', 'mirror'])
def test_what_falls_is_a_part_of_the_probability(serve, tta):
    model = trained.load('models/run', {'cpu_engine': 'chainer'})
    client = serve(dataclasses.replace(model, net=Corner(), temperature=20.0), tta=tta, similar=0)
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:8, :8] = 255
    found = client.ask('/explain', as_file(Image.fromarray(picture))).json
    chance = np.exp(0.5 if tta == 'none' else 0.25)  # the mirror image is dark there
    assert found['probability'] == pytest.approx(chance / (chance + 9))
    assert 0.01 < found['maps'][-1]['falls'] <= found['probability']


def test_what_it_explains(serve, pictures):
    client = serve()
    assert until_ready(client) == {'state': 'ready', 'count': 4, 'done': 1.0, 'reason': ''}
    found = client.send_files('/explain', ('a.png', pictures[1][0])).json
    (row,) = client.ask('/predict', pictures[1][0]).json['predictions']
    assert (found['image'], found['class']) == ('a.png', row['top'][0]['class'])
    np.testing.assert_array_equal(decoded(found['seen']).transpose(2, 0, 1), pictures[0][0])
    assert [each['kind'] for each in found['maps']] == ['grad_cam', 'covered']
    for each in found['maps']:
        picture = decoded(each['picture'])
        assert picture.shape == (192, 192, 3) and len(np.unique(picture.reshape(-1, 3), axis=0)) > 9
    assert 0 <= found['maps'][1]['falls'] <= 1
    similarities = [each['similarity'] for each in found['similar']]
    assert len(similarities) == 4 and similarities == sorted(similarities, reverse=True)
    classes = client.ask('/about').json['classes']
    for each in found['similar']:
        assert each['class'] in classes and decoded(each['picture']).shape == (32, 32, 3)
    other = row['top'][1]['class']
    again = client.ask(f'/explain?class={other}', pictures[1][0]).json
    number = classes.index(other)
    assert again == client.ask(f'/explain?number={number}', pictures[1][0]).json
    assert again['class'] == other and again['maps'] != found['maps']
    assert again['similar'] == found['similar']


def test_without_similar_pictures(serve, pictures, capsys):
    model = trained.load('models/run', {'cpu_engine': 'chainer', 'dataset': 'none.pkl'})
    client = serve(model)
    state = until_ready(client)
    assert state['state'] == 'missing' and 'none.pkl: no such file' in state['reason']
    assert client.ask('/explain', pictures[1][0]).json['similar'] == []
    warning = 'warning: no similar training pictures are shown: none.pkl: no such file'
    assert warning in capsys.readouterr().err
    assert until_ready(serve(model, similar=0))['state'] == 'off'
    assert capsys.readouterr().err == ''


def test_an_onnx_file(serve, own_run, command, pictures):
    for package in ('onnx', 'onnxruntime'):
        pytest.importorskip(package, reason="needs the extra onnx: pip install '.[onnx]'")
    assert command('export', 'run', '--onnx', 'model.onnx')[0] == 0
    client, run = serve(session.load('model.onnx', {})), serve()
    rows = [each.ask('/predict', pictures[1][0]).json['predictions'][0] for each in (client, run)]
    for our, their in zip(*(row['top'] for row in rows), strict=True):
        assert our['class'] == their['class']
        assert our['probability'] == pytest.approx(their['probability'], abs=1e-4)
    assert until_ready(client)['reason'] == 'model.onnx does not show its layers; give the run'
    found = client.ask('/explain', pictures[1][0]).json
    assert [each['kind'] for each in found['maps']] == ['covered']


def test_about_and_health(serve):
    client = serve(reject=0.5)
    about = client.ask('/about').json
    assert about['run'] == 'run' and about['net'] == 'residual' and len(about['classes']) == 10
    assert about['image'] == {'channels': 3, 'height': 32, 'width': 32}
    assert about['limits'] == {'bytes': uploads.MOST_BYTES, 'pictures': uploads.MOST_PICTURES}
    assert about['reject'] == 0.5 and 'EPS' not in about['formats']
    health = client.ask('/health')
    assert (health.status, health.json) == (200, {'status': 'ok'})
    client.worker.stop(30)
    health = client.ask('/health')
    assert (health.status, health.json) == (503, {'status': 'failed'})


def bomb():
    return as_file(Image.new('1', (10_000, 10_000)))


def whole():
    return as_file(Image.effect_noise((64, 64), 90), 'JPEG')


@pytest.mark.parametrize(
    ('path', 'body', 'status', 'text'),
    [
        ('/predict', lambda: b'', 400, 'picture: is empty; send the bytes of a picture'),
        ('/predict', lambda: b'text', 400, 'picture: cannot be read as a picture ('),
        ('/predict', lambda: whole()[:700], 400, 'picture: cannot be read as a picture ('),
        ('/predict', bomb, 400, 'picture: has more than 89 megapixels'),
        ('/predict', lambda: b'%!PS-Adobe-3.0 EPSF-3.0\n', 400, 'picture: cannot be read as a'),
        ('/predict', lambda: b'x' * (uploads.MOST_BYTES + 1), 413, 'more than 32 MB'),
        ('/predict?top=0', whole, 400, 'top must be a number from 1 to 10'),
        ('/predict?top=a', whole, 400, 'top must be a number from 1 to 10'),
        ('/predict?top=' + 9 * '9' + '9', whole, 400, 'top must be a number from 1 to 10'),
        ('/explain', lambda: b'text', 400, 'picture: cannot be read as a picture ('),
        ('/explain?class=%0Acow', whole, 400, r"no class is called '\ncow'"),
        ('/explain?class=caf%E9', whole, 400, "no class is called 'caf"),
        ('/explain?number=10', whole, 400, 'number must be one from 0 to 9'),
        ('/explain?number=-1', whole, 400, 'number must be one from 0 to 9'),
        ('/explain?number=', whole, 400, 'number must be one from 0 to 9'),
        ('/predict', None, 405, 'GET /predict: method not allowed'),
        ('/none', None, 404, 'GET /none: not found'),
        ('/predict/', whole, 404, 'POST /predict/: not found'),
        ('/../../etc/passwd', None, 404, 'GET /../../etc/passwd: not found'),
    ],
)
def test_bad_requests(serve, path, body, status, text):
    client = serve(similar=0)
    found = client.ask(path, body and body())
    assert found.status == status and list(found.json) == ['error']
    assert found.json['error'].startswith(text) and '\n' not in found.json['error']
    assert client.ask('/predict', whole()).status == 200  # it goes on


def test_one_bad_picture_of_several(serve, pictures):
    client = serve(similar=0)
    found = client.send_files('/predict', ('a.png', pictures[1][0]), ('b.png', b'text'))
    assert found.status == 400 and found.json['error'].startswith('b.png: cannot be read')
    found = client.send_files('/explain', ('a.png', pictures[1][0]), ('b.png', pictures[1][1]))
    assert found.status == 400 and '2 pictures' in found.json['error']


def test_a_net_that_gives_no_numbers(serve, pictures):
    model = trained.load('models/run', {'cpu_engine': 'chainer'})
    next(model.net.params()).array[...] = np.nan
    found = serve(model, similar=0).ask('/predict', pictures[1][0])
    assert found.status == 500 and found.json['error'].startswith('the net gives NaN')


def test_an_error_of_ours_is_told_in_the_terminal(serve, pictures, monkeypatch, caplog):
    client = serve(similar=0)
    with monkeypatch.context() as patched:
        patched.setattr(Answers, 'predict', lambda *_: 1 / 0)
        found = client.ask('/predict', pictures[1][0])
    assert (found.status, found.json) == (500, {'error': "failed; the server's terminal tells"})
    until(lambda: 'ZeroDivisionError' in caplog.text)
    assert client.ask('/predict', pictures[1][0]).status == 200


def test_too_many_are_waiting(serve, pictures, monkeypatch):
    client = serve(similar=0)
    monkeypatch.setattr(app, 'MOST_WAITING', 2)
    go_on, answers = threading.Event(), []
    client.worker.submit(lambda: go_on.wait(60))

    def ask():
        answers.append(client.ask('/predict', pictures[1][0]).status)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: client.worker._jobs.qsize() == 2)
    refused = client.ask('/predict', pictures[1][0])
    assert refused.status == 503 and refused.headers['retry-after'] == '1'
    assert refused.json == {'error': 'too many pictures are waiting; try again'}
    assert client.ask('/health').status == client.ask('/').status == 200  # these need not wait
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert answers == [200, 200] and client.ask('/predict', pictures[1][0]).status == 200


def test_who_leaves_while_waiting_takes_no_place_and_no_time(serve, pictures, monkeypatch):
    client = serve(similar=0)
    monkeypatch.setattr(app, 'MOST_WAITING', 1)
    go_on, asked = threading.Event(), []
    predict = Answers.predict
    monkeypatch.setattr(Answers, 'predict', lambda *a: asked.append(a[1]) or predict(*a))
    busy = client.worker.submit(lambda: go_on.wait(60))
    body = pictures[1][1]
    head = f'POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n'
    with socket.create_connection(('127.0.0.1', client.port)) as leaving:
        leaving.sendall(head.encode() + body)
        until(lambda: client.worker._jobs.qsize() == 1)
        assert client.ask('/predict', pictures[1][0]).status == 503
    answers = []

    def ask():
        while not answers or answers[-1] == 503:
            answers.append(client.ask('/predict', pictures[1][0]).status)

    patient = threading.Thread(target=ask)
    patient.start()
    until(lambda: client.worker._jobs.qsize() == 2)  # it has the place of the one who left
    go_on.set()
    patient.join(60)
    assert busy.result() and answers[-1] == 200
    ((content,),) = asked
    assert content.getvalue() == pictures[1][0]


def test_the_page_escapes_names(serve):
    model = trained.load('models/run', {'cpu_engine': 'chainer'})
    config = dataclasses.replace(model.config, prefix=HOSTILE)
    names = [HOSTILE, *model.class_names[1:]]
    client = serve(dataclasses.replace(model, config=config, class_names=names), similar=0)
    found = client.ask('/')
    text = found.body.decode()
    assert found.status == 200 and HOSTILE not in text
    assert text.count('&lt;script&gt;alert(&#34;&amp;&#34;)&lt;/script&gt;') == 3
    assert not re.search(r'https?:|//[a-z]|@import|url\(', re.sub('// .*', '', text))
    policy = found.headers['content-security-policy']
    assert policy.startswith("default-src 'none';") and 'unsafe' not in policy


def test_names_that_are_not_utf_8(serve, pictures):
    model = trained.load('models/run', {'cpu_engine': 'chainer'})
    config = dataclasses.replace(model.config, prefix='run\udce9')
    names = [f'caf\udce9 {number}' for number in range(10)]
    client = serve(dataclasses.replace(model, config=config, class_names=names), top=10, similar=0)
    about = client.ask('/about')
    assert about.status == 200 and about.body.isascii()
    assert (about.json['run'], about.json['classes']) == ('run\udce9', names)
    found = client.ask('/predict', pictures[1][0])
    assert found.status == 200
    (row,) = found.json['predictions']
    assert {guess['class'] for guess in row['top']} == set(names)
    found = client.ask('/explain?number=7', pictures[1][0])
    assert (found.status, found.json['class']) == (200, names[7])
    page = client.ask('/').body.decode()
    listed = re.search("data-classes='(.*?)'", page)[1]
    assert json.loads(html.unescape(listed)) == names


# As a process.


def start(spawn, folder, *arguments):
    process = spawn(SCRIPT, 'run', '--port', 0, *arguments, cwd=folder, env=environment())
    line = process.stdout.readline()
    told = re.fullmatch(r'models/run/best\.npz: http://127\.0\.0\.1:(\d+)/  \(.*\)\n', line)
    assert told, (line, process.stderr.read() if process.poll() is not None else '')
    return process, int(told[1])


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_ends_in_good_order(finished_run, spawn, number, status):
    process, port = start(spawn, finished_run, '--name', 'Pictures.org')
    picture = whole()
    told = f'Host: localhost\r\nContent-Length: {len(picture)}\r\n\r\n'
    with contextlib.ExitStack() as stack:

        def send(request):
            address = ('127.0.0.1', port)
            connection = stack.enter_context(socket.create_connection(address, timeout=60))
            connection.sendall(request)
            return connection

        asked = send(b'GET /health HTTP/1.1\r\nHost: pictures.org\r\n\r\n')
        assert asked.recv(1000).startswith(b'HTTP/1.1 200 ')
        for _ in range(12):  # which it may have no time to answer
            send(f'POST /explain HTTP/1.1\r\n{told}'.encode() + picture)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == status and out == ''
    assert err == 'serve.py: stopped\n'
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(('127.0.0.1', port), timeout=60)


def test_a_taken_port(in_run, refused):
    with socket.create_server(('127.0.0.1', 0)) as other:
        port = other.getsockname()[1]
        assert f'--port {port}: taken' in refused('serve', 'run', '--port', port)


@pytest.mark.parametrize(
    ('arguments', 'word'),
    [
        (['rum'], 'no such file'),
        (['run', '--port', '70000'], '--port 70000: must be a number from 0 to 65535'),
        (['run', '--host', ''], '--host: give an address'),
        (['run', '--host', 'no such host'], '--host no such host: no such host'),
        (['run', '--name', 'http://a.org'], '--name http://a.org: must be the name alone'),
        (['run', '--name', 'a.org:80'], '--name a.org:80: must be the name alone'),
        (['run', '--host', '192.0.2.1'], '--host 192.0.2.1: no address of this machine'),
        (['run', '--top', '0'], '--top 0'),
        (['run', '--reject', '2'], '--reject 2'),
        (['run', '--similar', '-1'], '--similar -1'),
        (['run', '--tta', 'miror'], "did you mean 'mirror'?"),
        ([], 'WEIGHTS'),
    ],
)
def test_mistakes(in_run, refused, arguments, word):
    assert word in refused('serve', *arguments)


def test_a_run_whose_images_are_not_known(own_run, refused):
    arrays = dict(np.load('models/run/input.npz'))
    del arrays['preprocessing']
    np.savez('models/run/input.npz', **arrays)
    with socket.create_server(('127.0.0.1', 0)) as other:  # it would not get further
        line = refused('serve', 'run', '--port', other.getsockname()[1])
    assert 'nobody knows how the training images were' in line


@pytest.mark.parametrize('package', ['starlette', 'uvicorn', 'python_multipart'])
def test_without_the_packages(in_run, refused, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    line = refused('serve', 'run')
    assert "pip install --editable '.[serve]'" in line and package in line


# In a browser. The page gets a script that does what a user does, and tells in the title.

PROBE = """
const send = (...given) => {
  const data = new DataTransfer();
  for (const [name, bytes] of given) data.items.add(new File([bytes], name, {type: 'image/png'}));
  const options = {dataTransfer: data, bubbles: true, cancelable: true};
  for (const kind of ['dragenter', 'dragover', 'drop']) {
    document.querySelector('#drop').dispatchEvent(new DragEvent(kind, options));
  }
};
const cardsOf = (selector) => [...document.querySelectorAll('.result' + selector)];
const tell = (more) => {
  const wide = [...document.querySelectorAll('body *')].filter((each) => !each.closest('script'))
    .filter((each) => each.getBoundingClientRect().right > innerWidth + 1);
  const colours = getComputedStyle(document.body);
  document.title = JSON.stringify({
    width: innerWidth, wide: wide.map((each) => each.tagName + '.' + each.className),
    background: colours.backgroundColor,
    pictures: [...document.images].filter((each) => !each.hidden && each.src)
      .every((each) => each.complete && each.naturalWidth > 0), ...more});
};
const wait = async (seen) => {
  for (let tries = 0; tries < 600 && !seen(); tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};
(async () => {
  const picture = Uint8Array.from(atob('PICTURE'), (letter) => letter.charCodeAt(0));
  send(['<img src=x onerror=alert(1)>.png', picture], ['other.png', picture]);
  send(['notes.png', 'text']);
  send(['huge.png', new Uint8Array(33 * 1048576)]);
  const done = () => cardsOf('.wrong').length === 2
    && cardsOf(':not(.wrong) .maps img').length === 6 && cardsOf(' .alike img').length === 8;
  await wait(done);
  const before = cardsOf('[aria-pressed="true"]').length;
  const other = document.querySelectorAll('.result:not(.wrong) .bars button')[1];
  const name = other.firstChild.textContent;
  other.click();
  await wait(() => document.querySelector('.maps').textContent.includes('Grad-CAM: ' + name));
  tell({
    done: done(), name,
    names: cardsOf(' h2').map((each) => each.textContent),
    answers: cardsOf(' .answer').map((each) => each.textContent),
    pressed: other.getAttribute('aria-pressed'),
    maps: [...document.querySelectorAll('.result:not(.wrong) .maps')].map((each) => each.innerText),
    inside: document.querySelectorAll('.result h2 img').length,
  });
})();
"""


@NEEDS_CHROMIUM
@pytest.mark.parametrize(('width', 'dark'), [(390, False), (1280, True)])
def test_in_a_browser(serve, pictures, tmp_path, width, dark):
    probe = PROBE.replace('PICTURE', base64.b64encode(pictures[1][0]).decode())

    def change(application):
        async def changed(scope, receive, send):
            """The page with our script; its policy allows that one, too."""
            if scope['path'] != '/':
                return await application(scope, receive, send)

            async def changing(message):
                if 'headers' in message:
                    message['headers'] = [
                        (key, re.sub(rb"script-src '[^']*'", b"script-src 'unsafe-inline'", value))
                        for key, value in message['headers']
                        if key != b'content-length'
                    ]
                elif message.get('body'):
                    script = f'<script type="module">{probe}</script></body>'.encode()
                    message['body'] = message['body'].replace(b'</body>', script)
                await send(message)

            await application(scope, receive, changing)

        return changed

    client = serve(change=change)
    until_ready(client)
    address = f'http://127.0.0.1:{client.port}/'
    found = ask_browser(address, tmp_path, width, dark, milliseconds=100_000)
    assert found['done'] and found['pictures'] and found['width'] == width and found['wide'] == []
    assert found['names'][:2] == ['huge.png', 'notes.png'] and found['inside'] == 0
    assert found['names'][2:] == ['<img src=x onerror=alert(1)>.png', 'other.png']
    assert found['answers'][0] == 'It has more than 32 MB; make it smaller.'
    assert found['answers'][1].startswith('cannot be read as a picture (')
    (row,) = client.ask('/predict', pictures[1][0]).json['predictions']
    best = row['top'][0]
    told = f'{best["class"]} {100 * best["probability"]:.1f}\xa0%'
    assert found['answers'][2:] == [told, told]
    assert found['name'] == row['top'][1]['class'] and found['pressed'] == 'true'
    assert f'Grad-CAM: {found["name"]}' in found['maps'][0]
    red, green, blue = map(int, re.findall(r'\d+', found['background'])[:3])
    assert (max(red, green, blue) < 60) == dark
