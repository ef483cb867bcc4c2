"""Methods against each other, DDP, a plain shared-memory loop and one process: time to accuracy on two cores.

    python -m bench.contest --size small

tasks      what is trained, and what slows workers down
methods    who takes part
ours       a run of this package
rivals     the same training in plain PyTorch
course     the course of one run: copies of its model with their times, scored afterwards
plan       which runs, in which order: learning rates first, then repeats
tables     the page docs/results/contest.md and its plots
"""
