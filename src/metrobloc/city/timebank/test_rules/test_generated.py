"""What follows from the declarations alone: bytes, limits, a seeded simulation, the README, the pinned vectors."""

from metrobloc.city.timebank import story
from metrobloc.city.timebank.rules import app
from metrobloc.city.timebank.test_rules import MODULES
from metrobloc.testing.generated import generated

test_generated = generated(MODULES, app, story.play)
