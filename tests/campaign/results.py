"""Keep what came out of each case in a file of JSON lines, so that a campaign can go on later."""

import datetime
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from campaign.part import Case


class Results:
    """The results of a campaign, in memory and in a file.

    Args:
        path: The file; if it is there, its campaign goes on.
        facts: What the results depend on, such as the seed. A file of others is put aside.

    Attributes:
        rows: A dict for each case: part, case, kind, held, reason, seconds.
    """

    def __init__(self, path: pathlib.Path, facts: dict[str, Any]) -> None:
        self.path = path
        self.facts = facts
        self.rows: list[dict[str, Any]] = []
        if path.exists() and not self._read():
            path.replace(path.with_suffix('.old.jsonl'))
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._append(facts)

    def _read(self) -> bool:
        text = self.path.read_text(encoding='utf-8')
        whole = text[: text.rfind('\n') + 1]  # a kill may have left half a line
        if whole != text:
            self.path.write_text(whole, encoding='utf-8')
        lines = [json.loads(line) for line in whole.splitlines()]
        if not lines or lines[0] != self.facts:
            return False
        self.rows = lines[1:]
        return True

    def add(self, case: Case, reason: str | None, seconds: float) -> None:
        """Add a case; `reason` tells how it broke the promise, None that it held."""
        row = {
            'part': case.part,
            'case': case.number,
            'kind': case.kind,
            'held': reason is None,
            'seconds': round(seconds, 4),
        }
        if reason is not None:
            row |= {'reason': reason, 'facts': case.facts}
        self.rows.append(row)
        self._append(row)

    def _append(self, row: dict[str, Any]) -> None:
        with open(self.path, 'a', encoding='utf-8') as file:
            file.write(json.dumps(row) + '\n')

    def next_number(self, part: str) -> int:
        """The number of the first case of a part that was not tried."""
        return max((row['case'] + 1 for row in self.rows if row['part'] == part), default=0)

    def seconds(self, part: str) -> float:
        """How long the cases of a part took."""
        return sum(row['seconds'] for row in self.rows if row['part'] == part)

    def failed(self) -> list[dict[str, Any]]:
        """The cases that broke the promise."""
        return [row for row in self.rows if not row['held']]

    def summary(self, words: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
        """For the table in the documents: facts, date, and the counts of each part and kind.

        `words` tells for each part what its kinds do.
        """
        counts: dict[str, dict[str, dict[str, Any]]] = {}
        for row in self.rows:
            kinds = counts.setdefault(row['part'], {})
            if row['kind'] not in words.get(row['part'], {}):
                continue  # of a part that this call left out
            count = kinds.setdefault(
                row['kind'], {'what': words[row['part']][row['kind']], 'tried': 0, 'held': 0}
            )
            count['tried'] += 1
            count['held'] += row['held']
        return {
            **self.facts,
            'date': datetime.date.today().isoformat(),
            'minutes': round(sum(row['seconds'] for row in self.rows) / 60, 1),
            'parts': counts,
            'failed': [f'{row["part"]} {row["case"]}: {row["reason"]}' for row in self.failed()],
        }
