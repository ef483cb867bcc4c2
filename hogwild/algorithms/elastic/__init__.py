"""Workers with models of their own and a center: elastic averaging, the DOWNPOUR family, local SGD, ADMM."""
