"""The commands: parse, build, run, show. Nothing else is decided here."""
