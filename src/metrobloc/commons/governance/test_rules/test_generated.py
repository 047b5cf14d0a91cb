"""What follows from governance's declarations."""

from metrobloc.commons.governance import story
from metrobloc.commons.governance.rules import app
from metrobloc.commons.governance.test_rules import MODULES
from metrobloc.testing.generated import generated

test_generated = generated(MODULES, app, story.play)
