"""Several processes that train one net: data parallelism by ChainerMN over MPI.

Each process holds the whole net and computes its part of every mini-batch; then the gradients are
averaged, so that all take the same step. `world` is what the rest of the toolkit asks (who am I,
is there somebody else?), `launch` starts the processes, `training` makes Chainer's parts take turns
with the others, and `communicator` moves the numbers.

Nothing here is imported, nor any MPI library loaded, where one process trains alone.
"""
