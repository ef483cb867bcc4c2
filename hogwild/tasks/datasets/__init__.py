"""One module per known data set: it turns the files into Data."""
