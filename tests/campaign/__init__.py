"""A campaign of faults against the commands, which anyone can repeat: ``make campaign``.

    python tests/campaign                               # ten minutes of all parts, seed 1
    python tests/campaign --minutes 60 --seed 2         # goes on where it stopped
    python tests/campaign --part kills --case 1234      # one case again, and its folder is kept

A part (part.py) makes cases; a case is a function of (seed, part, number). parts.py lists the
parts, run.py shares out the time, results.py keeps what came out, commands.py starts commands under
limits of time and memory.
"""
