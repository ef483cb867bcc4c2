"""Pages and pictures of runs: what is recorded in run directories, as one HTML file, a plot or a terminal screen."""
