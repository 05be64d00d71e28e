"""The fuzzer behind scripts/fuzz: random instances through everything, against oracles that share no code with it."""
