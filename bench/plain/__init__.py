"""The examples without hogwild: the same models and data in plain PyTorch, with processes that share the model.

    python -m bench.plain.char_gpt --workers 2 --updates 600
    python -m bench.plain                                       the lines of code of both, for docs/examples.md

They import model and data from the example. Workers write into shared memory without any synchronisation, as in
torch's own Hogwild example: nothing is recorded, checked or restarted.
"""
