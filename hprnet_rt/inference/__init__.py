"""From images to people: a network with its preprocessing and grouping, and the stages that run it."""
