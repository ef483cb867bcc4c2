"""A3C with torch.optim.RMSprop, whose mean square is shared, or Adam, whose moments and count are (SharedAdam)."""

import argparse
import copy
import time

import torch
import torch.multiprocessing as mp

from examples.a3c_cartpole import LONGEST, ActorCritic, CartPole, evaluate, some_steps


def play(rank, model, optimizer, updates, games, given):
    torch.set_num_threads(1)
    torch.manual_seed(given.seed * 1000 + rank)
    local, game = ActorCritic(), CartPole(given.seed * 1000 + rank)
    while True:
        with updates.get_lock():
            if updates.value >= given.updates:
                return
            updates.value += 1
        local.load_state_dict(model.state_dict())
        loss, _, is_over = some_steps(local, game)
        if is_over:
            with games.get_lock():
                games.value += 1
            game.reset()
        local.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(local.parameters(), 40.0)
        for shared, own in zip(model.parameters(), local.parameters(), strict=True):
            shared.grad = own.grad
        optimizer.step()


OPTIMIZERS = {
    "rmsprop": (torch.optim.RMSprop, ("square_avg",)),
    "adamw": (torch.optim.AdamW, ("exp_avg", "exp_avg_sq")),
}


def shared_optimizer(model, name, lr):
    kind, moments = OPTIMIZERS[name]
    optimizer = kind(model.parameters(), lr=lr)
    for parameter in model.parameters():
        state = {"step": torch.zeros(()), **{moment: torch.zeros_like(parameter) for moment in moments}}
        optimizer.state[parameter] = {name: value.detach().share_memory_() for name, value in state.items()}
    return optimizer


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--updates", type=int, default=20_000)
    parser.add_argument("--algorithm", default="rmsprop", choices=OPTIMIZERS)
    parser.add_argument("--lr", type=float, default=0.002)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    model = ActorCritic().share_memory()
    context = mp.get_context("spawn")
    updates, games = context.Value("l", 0), context.Value("l", 0)
    args = model, shared_optimizer(model, given.algorithm, given.lr), updates, games, given
    workers = [context.Process(target=play, args=(rank, *args), daemon=True) for rank in range(given.workers)]
    for worker in workers:
        worker.start()
    due, best, patience = 0, 0.0, 0
    while patience < 5:
        due = min(due + max(given.updates // 10, 1), given.updates)
        while updates.value < due and any(worker.is_alive() for worker in workers):
            time.sleep(0.01)
        if due == given.updates:
            for worker in workers:
                worker.join()
        length = evaluate(copy.deepcopy(model))["mean_length"]
        print(f"updates {updates.value}, mean length {length:.0f}")
        if due == given.updates:
            break
        best, patience = max(best, length), 0 if length > best else patience + 1
    for worker in workers:
        worker.terminate()
    length = evaluate(model, games=100)["mean_length"]
    print(f"updates {updates.value}, games {games.value}, mean length {length:.0f} of {LONGEST}")
