"""What follows from the declarations alone: bytes, limits, a seeded simulation, the README, the pinned vectors."""

from metrobloc.commons.identity import story
from metrobloc.commons.identity.rules import app
from metrobloc.testing.generated import generated

test_generated = generated([app], app, story.play)
