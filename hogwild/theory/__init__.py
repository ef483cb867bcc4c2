"""Linear theory of asynchronous SGD: stability edges and rates. Needs numpy only.

`stability` collects the functions for stale gradients. Averaging is in `elastic`, `downpour`, `admm`, `synchronous` and
`mixing`.
"""

RULES = ("none", "standard", "shifted", "nesterov", "dana")

LOOPS = (*RULES, "table")
"""Rules of the first moment: `table` has no theory of noise or of random delay."""

ADAPTIVE = {"adamw": "dana", "adamw-shifted": "shifted", "adamw-heavy-ball": "standard", "rmsprop": "none"}
"""Adaptive rule -> the rule that it is while its running square q is fixed: on the loss in the coordinates scaled by
P^-1/2, P = sqrt(q / bc2) + eps, with dampening equal to the momentum beta1.
"""

EXCHANGES = ("paper", "post")
"""The two orders of gradient and exchange in elastic averaging: hogwild/theory/elastic.py."""
