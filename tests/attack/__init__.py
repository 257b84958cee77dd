"""A campaign against the program: `make attack` kills, damages, forges, fills and miswords it."""
