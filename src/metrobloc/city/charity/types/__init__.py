"""The nouns of the charity: `messages` are signed, `records` remembered, `events` told."""
