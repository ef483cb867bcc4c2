"""What a run must remember to go on: its state, the checkpoints on disk, and whether a run may go on from one."""
