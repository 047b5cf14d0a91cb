"""The nouns of the time bank: what is signed (`messages`), what is remembered (`records`), what is told (`events`)."""
