"""A small GPT on the characters of a text, trained by AdamW with asynchronous workers; then it writes.

HOGWILD_DATA=... python char_gpt.py --workers 2 --updates 600           (reads tinyshakespeare/input.txt there)
"""

import argparse
import os
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

import hogwild

BLOCK, WIDTH, HEADS, LAYERS = 64, 64, 4, 2


@cache
def text() -> tuple[Tensor, str]:
    """The text as numbers into its alphabet."""
    content = (Path(os.environ["HOGWILD_DATA"]) / "tinyshakespeare" / "input.txt").read_text()
    alphabet = "".join(sorted(set(content)))
    return torch.tensor([alphabet.index(character) for character in content]), alphabet


class Windows(Dataset[tuple[Tensor, Tensor]]):
    """BLOCK characters, and the same moved on by one."""

    def __init__(self, numbers: Tensor, stride: int) -> None:
        self.numbers, self.stride = numbers, stride

    def __len__(self) -> int:
        return (len(self.numbers) - 1 - BLOCK) // self.stride

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        window = self.numbers[i * self.stride : i * self.stride + BLOCK + 1]
        return window[:-1], window[1:]


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.norm_mlp = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = self.qkv(self.norm(x)).view(n, t, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(n, t, WIDTH))
        mixed: Tensor = self.mlp(self.norm_mlp(x))
        return x + mixed


class GPT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        letters = len(text()[1])
        self.letters, self.places = nn.Embedding(letters, WIDTH), nn.Embedding(BLOCK, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, letters, bias=False)

    def forward(self, numbers: Tensor) -> Tensor:
        x = self.letters(numbers) + self.places(torch.arange(numbers.shape[1], device=numbers.device))
        logits: Tensor = self.head(self.norm(self.blocks(x)))
        return logits

    @torch.no_grad()
    def write(self, count: int) -> str:
        alphabet = text()[1]
        numbers = torch.tensor([[alphabet.index("\n")]])
        for _ in range(count):
            chances = self(numbers[:, -BLOCK:])[:, -1].softmax(-1)
            numbers = torch.cat([numbers, torch.multinomial(chances, 1)], 1)
        return "".join(alphabet[i] for i in numbers[0])


def groups(name: str, parameter: nn.Parameter) -> dict[str, float]:
    """Matrices decay; embeddings, norms and biases do not."""
    return {} if parameter.ndim == 2 and "letters" not in name and "places" not in name else {"weight_decay": 0.0}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--updates", type=int, default=600)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=int, default=300, help="characters to write at the end")
    given = parser.parse_args()
    numbers, _ = text()
    cut = len(numbers) * 9 // 10
    data = Windows(numbers[:cut], stride=1), Windows(numbers[-20_000:], stride=BLOCK)
    result = hogwild.fit(
        GPT, data, algorithm="adamw", lr=2e-3, weight_decay=0.1, groups=groups, schedule="cosine", warmup=0.1, clip=1.0,
        workers=given.workers, updates=given.updates, batch_size=given.batch_size, seed=given.seed, eval_every=0,
        eval_updates=max(given.updates // 4, 1), ckpt_every=0,
    )  # fmt: skip
    print(f"test loss {result.summary['test_loss']:.3f}")
    model = result.model.eval()
    assert isinstance(model, GPT)
    print(model.write(given.write))
