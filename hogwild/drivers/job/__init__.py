"""What a run is made of, for both drivers: the model, the batches and their order, the device, the algorithm."""
