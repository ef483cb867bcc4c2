"""The parts of a run that both drivers need: the model, the batches and their order, the device, the algorithm."""
