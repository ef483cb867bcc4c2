"""Linear theory of asynchronous SGD: stability edges and rates. Needs numpy only.

`stability` collects the functions for stale gradients. Averaging is in `elastic`, `downpour`, `admm`, `synchronous` and
`mixing`.
"""

RULES = ("none", "standard", "shifted", "nesterov", "dana")

EXCHANGES = ("paper", "post")
"""The two orders of gradient and exchange in elastic averaging: hogwild/theory/elastic.py."""
