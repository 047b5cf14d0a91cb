"""Acts."""

from metrobloc.commons.acts import story
from metrobloc.commons.acts.rules import app
from metrobloc.commons.identity.rules import app as identity
from metrobloc.commons.money.rules import app as money
from metrobloc.testing.generated import generated

MODULES = (identity, money, app)

test_generated = generated(MODULES, app, story.play)
