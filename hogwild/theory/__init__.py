"""What linear theory says about asynchronous SGD, in numpy alone: `stability` is the door to all of it."""

RULES = ("none", "standard", "shifted", "nesterov", "dana")
