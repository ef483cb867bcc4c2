"""A run as files and as a screen: its directory, its console, the environment that it took place in."""
