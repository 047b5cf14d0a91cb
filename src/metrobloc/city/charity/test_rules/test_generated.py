"""What follows from the declarations alone: bytes, limits, a seeded simulation, the README, the pinned vectors."""

from metrobloc.city.charity import story
from metrobloc.city.charity.rules import app
from metrobloc.city.charity.test_rules import MODULES
from metrobloc.testing.generated import generated

test_generated = generated(MODULES, app, story.play)
