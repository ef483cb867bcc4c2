"""What linear theory says about asynchronous SGD, in numpy alone.

`stability` is the door to stale gradients. Averaging is in `elastic`, `downpour`, `admm`, `synchronous` and `mixing`.
"""

RULES = ("none", "standard", "shifted", "nesterov", "dana")

EXCHANGES = ("paper", "post")
"""Of gradient and exchange in elastic averaging: hogwild/theory/elastic.py."""
