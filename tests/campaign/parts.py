"""The parts of the campaign, in the order of the table; a new part is a line here."""

from campaign.inputs.part import Inputs
from campaign.kills import Kills
from campaign.machines.part import Machines
from campaign.part import Part

PARTS: dict[str, type[Part]] = {part.name: part for part in (Kills, Inputs, Machines)}
