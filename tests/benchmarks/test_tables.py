import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_tables_of_the_readme_are_up_to_date():
    command = [sys.executable, ROOT / 'benchmarks' / 'tables.py', '--check']
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
