// The locks of the control block: of the model, of the turns of a recorded run; and who holds which.
#include "control.h"

namespace hogwild {

void Control::lock_model(std::uint32_t rank) {
  auto& own = worker(rank);
  auto outcome = header_->model.try_lock();
  if (outcome == RobustMutex::Outcome::busy) {
    const auto phase = static_cast<Phase>(own.phase.load());
    set_phase(rank, Phase::kLock);
    outcome = header_->model.lock() ? RobustMutex::Outcome::recovered : RobustMutex::Outcome::held;
    set_phase(rank, phase);
  }
  if (outcome == RobustMutex::Outcome::recovered) bump(own.stats.recovered, 1);
}

// The number is drawn under the lock, so the order of the numbers is that of the turns.
std::uint64_t Control::begin_turn(std::uint32_t rank, bool alone) {
  auto& stats = worker(rank).stats;
  if (alone && header_->turns.lock()) bump(stats.recovered, 1);
  return header_->turn.fetch_add(1);
}

void Control::end_turn(bool alone) {
  if (alone) header_->turns.unlock();
}

std::vector<std::pair<std::string, int>> Control::lock_holders() const {
  std::vector<std::pair<std::string, int>> holders;
  const auto add = [&](const std::string& name, const RobustMutex& mutex) {
    if (const int holder = mutex.holder()) holders.emplace_back(name, holder);
  };
  add("the lock of the tickets", header_->tickets);
  add("the lock of the model", header_->model);
  add("the lock of the turns", header_->turns);
  for (std::uint32_t i = 0; i < header_->stripes; ++i) add("stripe " + std::to_string(i), stripe_locks_[i]);
  return holders;
}

}  // namespace hogwild
