"""How a city changes its own rules: what the council proposes, approves and decides, from a block on."""
