"""Workers with models of their own and no center: they average with their neighbours."""
