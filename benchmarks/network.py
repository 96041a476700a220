"""Train on several machines: network namespaces of this one, joined by a network of a set speed.

    python benchmarks/network.py [--json FILE]      needs Linux, root, ip, tc and /dev/net/tun

Each namespace has a name, an address and one network device. `carry` brings the packets from one to
the other: it sends them at a set rate, and hands each over after a set delay. (The kernel's netem
does so, too, but not every kernel has it.) MPI's launcher starts the processes there without ssh:
`enter` is its agent.

On each network messages are timed as by parallel.py, and its model is fitted to them, to be
compared with what was set; then once more by another algorithm of Open MPI, and as float16, which
halves the bytes. Then train.py runs there with a process on each of two machines, and here with one
process; their losses must agree.
"""

import argparse
import collections
import contextlib
import fcntl
import itertools
import json
import os
import pathlib
import select
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np

import parallel

ROOT = pathlib.Path(__file__).resolve().parents[1]
MACHINES = ('chainer-cifar-0', 'chainer-cifar-1', 'chainer-cifar-2', 'chainer-cifar-3')
# Milliseconds from one machine to another, and millions of bits a second that each can send.
NETWORKS = ((1.0, 100.0), (10.0, 100.0), (1.0, 1000.0))
PACKET = 60_000  # bytes at most, many, so that this process carries a gigabit a second
SIZES = (4, 256, 4096, 65536, 2**20)  # numbers in a buffer
TRAIN = '-m residual --res_depth 1 -b 12 --lr 0.01 --sync_bn --iter 2 -p run'
VARIABLES = {
    'PYTHONPATH': str(ROOT / 'src'),
    'OMP_NUM_THREADS': '1',
    'OMPI_MCA_mpi_yield_when_idle': '1',
    'OMPI_MCA_mpi_event_tick_rate': '1',  # see parallel/session.py
}
# Open MPI's algorithm of this number sends the least bytes, but it does not choose it by itself.
RING = {
    'OMPI_MCA_coll_tuned_use_dynamic_rules': '1',
    'OMPI_MCA_coll_tuned_allreduce_algorithm': '4',
}
TUN, CREATE = 0x1001, 0x400454CA  # IFF_TUN | IFF_NO_PI, TUNSETIFF


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--json', type=pathlib.Path)
    parser.add_argument('--work', action='store_true', help=argparse.SUPPRESS)
    parser.add_argument('--carry', nargs=2, type=float, help=argparse.SUPPRESS)
    parser.add_argument('--enter', nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work()
    elif args.carry:
        carry(*args.carry)
    elif args.enter:
        enter(args.enter[0], args.enter[1:])
    elif os.geteuid() or not os.path.exists('/dev/net/tun'):
        parser.error('needs root and /dev/net/tun')
    else:
        networks = []
        for delay, rate in NETWORKS:
            with joined(delay, rate):
                networks.append(measure(delay, rate))
            write(args.json, {'networks': networks})
        alone = train('alone')
        for found in networks:
            with joined(found['delay_ms'], found['rate_mbit']):
                losses = train('apart')
            found['largest_difference_of_losses'] = float(np.abs(losses / alone - 1).max())
            print(found['largest_difference_of_losses'], flush=True)
            write(args.json, {'networks': networks})


def write(path, found):
    if path:
        path.write_text(json.dumps(found, indent=1) + '\n')


def measure(delay, rate):
    """Time messages on a network, `delay` in milliseconds, `rate` in Mbit/s; fit the model."""
    times = {n: json.loads(start(n, [__file__, '--work'])) for n in (2, 4)}
    for count, row in times.items():
        row['ring'] = json.loads(start(count, [__file__, '--work'], variables=RING))['float32']
    latency, bandwidth = parallel.fit({count: row['float32'] for count, row in times.items()})
    size = str(4 * SIZES[-1])
    found = {
        'delay_ms': delay,
        'rate_mbit': rate,
        'latency_ms': latency * 1e3,
        'bandwidth_mbit': bandwidth * 8e-6,
        'float16_gain': {n: row['ring'][size] / row['float16'][size] for n, row in times.items()},
    }
    print(found, flush=True)
    return found | {'seconds': times}


@contextlib.contextmanager
def joined(delay, rate):
    """Make the machines and the network; remove them at the end."""
    network = None
    try:
        for name in MACHINES:
            subprocess.run(['ip', 'netns', 'add', name], check=True)
        command = [sys.executable, __file__, '--carry', str(delay), str(rate)]
        network = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if not network.stdout.readline():
            raise SystemExit('the network did not come up')
        yield
    finally:
        if network:
            network.terminate()
            network.wait()
        for name in MACHINES:
            listed = subprocess.run(['ip', 'netns', 'pids', name], capture_output=True, text=True)
            for pid in listed.stdout.split():  # after an error or Ctrl-C
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            subprocess.run(['ip', 'netns', 'delete', name], stderr=subprocess.DEVNULL)


def address(number):
    return f'10.211.77.{number + 1}'


def carry(delay, rate):
    """Bring packets from machine to machine until this process is ended."""
    devices = [open_device(number, rate) for number in range(len(MACHINES))]
    waiting = [collections.deque() for _ in devices]  # those on their way, by who sent them
    free = [0.0] * len(devices)  # when each has sent what it got
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))  # at once; it sleeps in between
    print('up', flush=True)
    while True:
        now = time.monotonic()
        for queue in waiting:
            while queue and queue[0][0] <= now:
                _, target, packet = queue.popleft()
                with contextlib.suppress(OSError):  # it is full: a packet is lost
                    os.write(devices[target], packet)
        due = min((queue[0][0] for queue in waiting if queue), default=now + 1)
        ready, _, _ = select.select(devices, [], [], max(0.0, due - time.monotonic()))
        for device in ready:
            packet = os.read(device, 65536)
            sender, target = devices.index(device), packet[19] - 1  # its address' last byte
            if packet[0] >> 4 == 4 and target in range(len(devices)):
                begin = max(free[sender], time.monotonic())
                free[sender] = begin + 8e-6 * len(packet) / rate
                waiting[sender].append((free[sender] + 1e-3 * delay, target, packet))


def come_first():
    """Let other work on this machine wait for this process."""
    os.nice(-20)
    with contextlib.suppress(OSError):  # in such a group the nice value counts inside only
        pathlib.Path('/proc/self/autogroup').write_text('-20')


def open_device(number, rate):
    """Make the network device of a machine; its file, where the packets come out."""
    device, name = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK), f'cifar{number}'
    fcntl.ioctl(device, CREATE, struct.pack('16sH', name.encode(), TUN))
    inside = ['ip', '-n', MACHINES[number]]
    limits = ['rate', f'{rate}mbit', 'burst', str(2 * PACKET), 'latency', '100ms']
    for command in (
        ['ip', 'link', 'set', name, 'netns', MACHINES[number]],
        [*inside, 'link', 'set', name, 'mtu', str(PACKET), 'txqueuelen', '10000', 'up'],
        [*inside, 'address', 'add', f'{address(number)}/24', 'dev', name],
        [*inside, 'link', 'set', 'lo', 'up'],
        # Here, too, so that TCP holds back what it cannot send yet, and no acknowledgement waits
        # behind megabytes.
        ['tc', '-n', MACHINES[number], 'qdisc', 'add', 'dev', name, 'root', 'tbf', *limits],
    ):
        subprocess.run(command, check=True)
    return device


def enter(host, command):
    """Become a shell's command on a machine, as ssh does it."""
    name = MACHINES[int(host.rpartition('.')[2]) - 1]
    own = f'hostname {name} && {" ".join(command)}'
    os.execvp('ip', ['ip', 'netns', 'exec', name, 'unshare', '--uts', 'sh', '-c', own])


def start(count, arguments, cwd=ROOT, variables=None):
    """Run a Python program on `count` machines by mpirun; its last line of output."""
    from chainer_cifar.parallel import launch

    hosts = ','.join(f'{address(number)}:1' for number in range(count))
    agent = f'{sys.executable} {__file__} --enter'
    command = [
        *launch._mpirun_command(launch.find_mpirun(), count),
        *('--host', hosts, '--prtemca', 'plm_ssh_agent', agent),
        *itertools.chain(*(('-x', name) for name in (*VARIABLES, *(variables or ())))),
        *(sys.executable, *map(str, arguments)),
    ]
    inside = f'cd {shlex.quote(str(cwd))} && {shlex.join(command)}'
    done = subprocess.run(
        [sys.executable, __file__, '--enter', address(0), inside],
        env={**os.environ, **VARIABLES, **(variables or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=1800,
    )
    return done.stdout.splitlines()[-1]


def work():
    """Time messages as one of the processes; other work gets what is left of the cores."""
    from chainer_cifar.parallel import environment, session, world

    session.connect(environment.started_processes())
    come_first()
    ways = {
        'float32': world.current.communicator.mean_in_place,
        'float16': mean_by_float16,
    }
    print(json.dumps({way: parallel.messages(mean, SIZES, 3, 5) for way, mean in ways.items()}))


def mean_by_float16(arrays):
    """Average over the processes as `mean_in_place` does; what travels is float16.

    MPI cannot add such numbers: each process adds up one part of them, in float32.
    """
    from chainer_cifar.parallel import world

    (array,), size = arrays, world.current.size
    comm = world.current.communicator.mpi_comm
    own = array.astype(np.float16).view(np.uint16)
    parts = np.empty((size, array.size // size), np.uint16)
    comm.Alltoall(own, parts)
    mean = parts.view(np.float16).mean(axis=0, dtype=np.float32)
    comm.Allgather(mean.astype(np.float16).view(np.uint16), own)
    array[:] = own.view(np.float16)


def train(way):
    """Train in two processes on two machines, or in one here; the losses of all epochs."""
    sys.path.insert(0, str(ROOT / 'tests'))
    import runs

    with tempfile.TemporaryDirectory() as folder:
        runs.write_data(pathlib.Path(folder) / 'dataset', n_train=60, n_test=20)
        command = [ROOT / 'src/train.py', *TRAIN.split()]
        if way == 'apart':
            start(2, command, folder)
        else:
            variables = {**os.environ, **VARIABLES}
            subprocess.run([sys.executable, *command], cwd=folder, env=variables, check=True)
        rows = json.loads((pathlib.Path(folder) / 'results/run/log.json').read_text())
    return np.array([row[name] for row in rows for name in sorted(row) if 'loss' in name])


if __name__ == '__main__':
    main()
