"""Files of strangers: read within a stated limit and with errors of one line, written without following a link."""
