"""What the benchmarks of training steps share: contenders, each a process, that take turns.

A contender's process stays alive and takes a step whenever it is asked, so that all meet the
machine in the same mood. A ratio is the time of another over ours in the same round.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import time

WARM_UP = 3  # rounds that do not count


class Worker:
    """A contender's process, and the conversation with it: a JSON value a line.

    Args:
        command (list): What starts a process that calls `work`.
        environment (dict): Its environment.
    """

    def __init__(self, command, environment):
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def read(self):
        """The next value; None if the process has ended."""
        line = self._process.stdout.readline()
        return json.loads(line) if line else None

    def ask(self, question):
        """``'step'`` gives its time in seconds, ``'report'`` what the contender reports."""
        print(question, file=self._process.stdin, flush=True)
        return self.read()

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def start_all(start, contenders):
    """Start one after another by ``start(contender)``; return the workers that can run."""
    workers = {}
    for contender in contenders:
        worker = start(contender)
        if worker.read() is not None:
            workers[contender] = worker
    return workers


def work(step, report):
    """The life of a worker: answer what is asked on standard input."""
    print('true', flush=True)
    for question in sys.stdin:
        if question.strip() == 'step':
            start = time.perf_counter()
            step()
            print(time.perf_counter() - start, flush=True)
        else:
            print(json.dumps(report()), flush=True)


def ratio(theirs, ours):
    """Median and quartiles of their times over ours, round by round."""
    ratios = [their / own for their, own in zip(theirs, ours, strict=True)]
    low, high = (statistics.quantiles(ratios, n=4)[i] for i in (0, 2))
    return {'ratio': statistics.median(ratios), 'quartiles': [low, high]}


def in_words(facts):
    """What `ratio` found, for people."""
    low, high = facts['quartiles']
    return f'{facts["ratio"]:5.2f} ({low:.2f}-{high:.2f})'


def print_means(results, contenders):
    """Print the geometric mean of the ratios of all nets, for each contender that ran."""
    for contender in contenders:
        ratios = [row[contender]['ratio'] for row in results if contender in row]
        if ratios:
            print(f'geometric mean against {contender}: {statistics.geometric_mean(ratios):.2f}')


def write(path, machine, results):
    """Keep the results of all nets as JSON, with the command and the machine."""
    command = [pathlib.PurePath(word).name for word in sys.argv]  # not where things lie here
    facts = {'command': command, 'machine': machine, 'nets': results}
    path.write_text(json.dumps(facts, indent=1) + '\n', encoding='utf-8')


def torch_version(python):
    """The version of PyTorch that an interpreter finds; None if it finds none."""
    program = 'import torch; print(torch.__version__)'
    found = subprocess.run([python, '-c', program], capture_output=True, text=True)
    return found.stdout.strip() or None


def batch(batch_size):
    """Random images, float32 ``(N, 3, 32, 32)``, and labels, int32 ``(N,)``."""
    import numpy as np

    rng = np.random.RandomState(0)
    images = rng.standard_normal((batch_size, 3, 32, 32)).astype(np.float32)
    return images, rng.randint(10, size=batch_size).astype(np.int32)
