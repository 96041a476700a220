"""The parts of the campaign, in the order of the table; a new part is a line here."""

from campaign.disks import Disks
from campaign.kills import Kills
from campaign.part import Part
from campaign.power import Power

PARTS: dict[str, type[Part]] = {part.name: part for part in (Kills, Power, Disks)}
