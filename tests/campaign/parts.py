"""The parts of the campaign, in the order of the table; a new part is a line here."""

from campaign.concurrency import Concurrency
from campaign.disks import Disks
from campaign.inputs.part import Inputs
from campaign.kills import Kills
from campaign.long_run import LongRun
from campaign.machines.part import Machines
from campaign.part import Part
from campaign.power import Power
from campaign.visitors.part import Visitors

_ALL: tuple[type[Part], ...] = (
    Kills,
    Power,
    Disks,
    Inputs,
    Machines,
    Concurrency,
    Visitors,
    LongRun,
)
PARTS = {part.name: part for part in _ALL}
