"""A3C on CartPole (Mnih et al. 2016, arXiv:1602.01783): each worker plays its own game and updates one shared network.

python a3c_cartpole.py --workers 2 --updates 20000          add --algorithm adamw --lr 0.001 for another optimizer
"""

import argparse
import math

import torch
from torch import nn

import hogwild

STEPS, GAMMA, LONGEST = 20, 0.99, 500


class CartPole:
    """A pole on a cart that is pushed left or right (Barto, Sutton and Anderson 1983), 50 pushes a second."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.reset()

    def reset(self) -> None:
        self.x, self.v, self.angle, self.spin = (torch.rand(4, generator=self.generator) * 0.1 - 0.05).tolist()
        self.time = 0

    def state(self) -> torch.Tensor:
        return torch.tensor([self.x, self.v, self.angle, self.spin])

    def push(self, right: int) -> tuple[torch.Tensor, bool]:
        """The next state, and whether the game is over."""
        force, mass, pole, half, gravity, dt = (10.0 if right else -10.0), 1.1, 0.1, 0.5, 9.8, 0.02
        sin, cos = math.sin(self.angle), math.cos(self.angle)
        inner = (force + pole * half * self.spin**2 * sin) / mass
        angular = (gravity * sin - cos * inner) / (half * (4 / 3 - pole * cos**2 / mass))
        linear = inner - pole * half * angular * cos / mass
        self.x, self.v = self.x + dt * self.v, self.v + dt * linear
        self.angle, self.spin = self.angle + dt * self.spin, self.spin + dt * angular
        self.time += 1
        return self.state(), abs(self.x) > 2.4 or abs(self.angle) > math.radians(12) or self.time >= LONGEST


class ActorCritic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 64), nn.Tanh())
        self.actor, self.critic = nn.Linear(64, 2), nn.Linear(64, 1)

    def forward(self, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.body(state)
        return self.actor(features), self.critic(features).squeeze(-1)


def some_steps(model: nn.Module, game: CartPole) -> tuple[torch.Tensor, int, bool]:
    """Plays at most STEPS steps. Returns the loss, the number of steps, and whether the game is over."""
    chances: list[torch.Tensor] = []
    values: list[torch.Tensor] = []
    actions: list[int] = []
    state, is_over = game.state(), False
    while len(actions) < STEPS and not is_over:
        logits, value = model(state)
        actions.append(int(torch.multinomial(logits.detach().softmax(-1), 1)))
        chances.append(logits.log_softmax(-1))
        values.append(value)
        state, is_over = game.push(actions[-1])
    is_lost = is_over and game.time < LONGEST
    ret = 0.0 if is_lost else model(state)[1].item()
    returns: list[float] = []
    for number in reversed(range(len(actions))):
        ret = (0.0 if is_lost and number == len(actions) - 1 else 1.0) + GAMMA * ret
        returns.insert(0, ret)
    log_p, value, target = torch.stack(chances), torch.stack(values), torch.tensor(returns)
    gain = log_p[torch.arange(len(actions)), actions] * (target - value).detach()
    entropy = -(log_p.exp() * log_p).sum(-1)
    loss = (0.5 * (target - value) ** 2 - gain - 0.01 * entropy).mean()
    return loss, len(actions), is_over


def play(worker: hogwild.Worker, seed: int) -> int:
    """Plays some steps with the newest model, learns from them, and so on. Returns the number of games."""
    game, games = CartPole(seed * 1000 + worker.rank), 0
    while not worker.should_stop:
        worker.refresh()
        loss, steps, is_over = some_steps(worker.model, game)
        metrics = {"length": float(game.time)} if is_over else {}
        if is_over:
            games += 1
            game.reset()
        worker.step(loss, samples=steps, metrics=metrics)
    return games


@torch.no_grad()
def evaluate(model: nn.Module, _info: hogwild.Info | None = None, games: int = 10) -> dict[str, float]:
    """The mean length of games of which each push is the likelier one."""
    lengths = []
    for seed in range(games):
        game = CartPole(seed)
        state, is_over = game.state(), False
        while not is_over:
            state, is_over = game.push(int(model(state)[0].argmax()))
        lengths.append(game.time)
    return {"mean_length": sum(lengths) / len(lengths)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--updates", type=int, default=20_000)
    parser.add_argument("--algorithm", default="rmsprop", help="A3C's RMSprop with a shared mean square")
    parser.add_argument("--lr", type=float, default=0.002)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    result = hogwild.launch(
        play, ActorCritic, args=(given.seed,), workers=given.workers, updates=given.updates, algorithm=given.algorithm,
        lr=given.lr, clip=40.0, seed=given.seed, evaluate=evaluate, eval_updates=max(given.updates // 10, 1),
        maximize=True, callbacks=[hogwild.EarlyStopping("mean_length", patience=5, maximize=True)],
    )  # fmt: skip
    length = evaluate(result.model, games=100)["mean_length"]
    print(f"updates {result.summary['updates']}, games {sum(result.returns)}, mean length {length:.0f} of {LONGEST}")
