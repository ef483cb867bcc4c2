// The tickets of the control block: assigned, taken over, completed, assigned again after a death, leased. The rest is in
// control.cpp.
#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

#include "control.h"

namespace hogwild {

// Holds the lock of the tickets for a scope, and first repairs what a worker left behind that was killed in take().
struct Control::TicketGuard {
  RobustGuard guard;
  explicit TicketGuard(Control& control) : guard(control.header_->tickets) { repair(control); }
  TicketGuard(Control& control, double timeout_s) : guard(control.header_->tickets, timeout_s) { repair(control); }
  void repair(Control& control) const {
    if (guard.recovered) control.repair_tickets();
  }
};

// A ticket is written into the taker's hand before it is struck off where it came from. A taker that was killed between
// the two stores has the ticket: the second store is made up for here, before anybody else can take it again.
void Control::repair_tickets() {
  for (std::uint32_t i = 0; i < header_->workers; ++i) {
    const std::int64_t held = lines_[i].held;
    if (held == kNoTicket) continue;
    if (held >= header_->next) header_->next = held + 1;
    for (std::uint32_t j = 0; j < header_->workers; ++j)
      if (lines_[j].reclaimed == held) lines_[j].reclaimed = kNoTicket;
    Claim shared = Claim::kShared;  // of a ticket that its taker had no time to write into its hand
    if (other_holder(lines_[i], held) == nullptr) lines_[i].claim.compare_exchange_strong(shared, Claim::kAlone);
  }
}

std::int64_t Control::take(std::uint32_t rank, bool takes_over, std::uint64_t ns) {
  auto& own = worker(rank);
  TicketGuard guard(*this);
  if (header_->stop.load()) return kNoTicket;
  if (own.held != kNoTicket) return own.held;
  if (own.taken != 0) own.took = ns - std::min(ns, own.taken - 1);
  own.taken = 0;
  const auto in_hand = [&](std::int64_t ticket) {
    own.claim = Claim::kAlone;
    own.taken = ns + 1;
    own.held = ticket;
    return ticket;
  };
  for (std::uint32_t i = 0; i < header_->workers; ++i) {
    const std::int64_t ticket = lines_[i].reclaimed;
    if (ticket == kNoTicket) continue;
    in_hand(ticket);
    lines_[i].reclaimed = kNoTicket;
    return ticket;
  }
  const std::int64_t ticket = header_->next;
  if (ticket >= header_->total) return takes_over && !header_->open.load() ? take_over(own, ns) : kNoTicket;
  in_hand(ticket);
  header_->next = ticket + 1;
  return ticket;
}

// ---- a ticket in two hands -----------------------------------------------------------------------------------------
//
// At the end of a run a worker without a ticket also computes one that another has had for long. The first to claim it
// has it alone, before it changes the model: so the gradient of a ticket counts once, and nothing is to be undone.
// A claim of a worker that is alone takes no lock; all else happens under the lock of the tickets.

// When `own` may take over the ticket of `other`. Whoever is much slower than the others holds one for long.
std::uint64_t Control::ripe_at(const WorkerLine& own, const WorkerLine& other) const {
  const bool is_free = other.held.load() != kNoTicket && other.claim.load() == Claim::kAlone;
  if (&other == &own || !is_free) return std::numeric_limits<std::uint64_t>::max();
  return other.taken - std::min<std::uint64_t>(other.taken, 1) + kPatience * own.took;
}

std::uint64_t Control::takes_over_at(std::uint32_t rank) {
  auto& own = worker(rank);
  std::uint64_t at = std::numeric_limits<std::uint64_t>::max();
  if (header_->next.load() < header_->total.load() || header_->open.load()) return at;
  for (std::uint32_t i = 0; i < header_->workers; ++i) at = std::min(at, ripe_at(own, lines_[i]));
  return at;
}

// The one that is ripe the longest. Its holder may claim it, or complete it, at any of these steps.
std::int64_t Control::take_over(WorkerLine& own, std::uint64_t ns) {
  while (true) {
    WorkerLine* other = nullptr;
    for (std::uint32_t i = 0; i < header_->workers; ++i)
      if (const auto at = ripe_at(own, lines_[i]); at <= ns && (other == nullptr || at < ripe_at(own, *other)))
        other = &lines_[i];
    if (other == nullptr) return kNoTicket;
    Claim alone = Claim::kAlone;
    if (!other->claim.compare_exchange_strong(alone, Claim::kShared)) continue;
    const std::int64_t ticket = other->held;
    if (ticket == kNoTicket) {  // completed before
      other->claim = Claim::kAlone;
      continue;
    }
    own.claim = Claim::kShared;
    own.taken = ns + 1;
    own.held = ticket;
    return ticket;
  }
}

WorkerLine* Control::other_holder(const WorkerLine& own, std::int64_t ticket) {
  for (std::uint32_t i = 0; i < header_->workers; ++i)
    if (&lines_[i] != &own && lines_[i].held == ticket) return &lines_[i];
  return nullptr;
}

// Killed between any two stores under the lock, one of the two still has the ticket in hand, and mark_dead leaves it
// there or has it assigned again.
bool Control::claim(std::uint32_t rank) {
  auto& own = worker(rank);
  Claim seen = Claim::kAlone;
  if (own.claim.compare_exchange_strong(seen, Claim::kClaimed) || seen == Claim::kClaimed) return true;
  TicketGuard guard(*this);
  if (own.claim == Claim::kOvertaken) {
    own.claim = Claim::kAlone;
    return false;
  }
  own.claim = Claim::kClaimed;
  if (auto* const other = other_holder(own, own.held); other != nullptr) {
    other->claim = Claim::kOvertaken;
    other->held = kNoTicket;
    if (own.taken > other->taken) bump(own.stats.overtook, 1);
  }
  return true;
}

void Control::disclaim(std::uint32_t rank) {
  Claim claimed = Claim::kClaimed;
  worker(rank).claim.compare_exchange_strong(claimed, Claim::kAlone);
}

bool Control::overtaken(std::uint32_t rank) { return worker(rank).claim == Claim::kOvertaken; }

// The second store is the one that counts. Killed before it, the ticket is still to be done; killed after it, mark_dead
// makes up for the third.
void Control::complete(std::uint32_t rank) {
  auto& own = worker(rank);
  if (own.held != kNoTicket) {
    own.completing = own.completed + 1;
    own.held = kNoTicket;
    own.completed = own.completing.load();
    own.claim = Claim::kAlone;
  }
  if (header_->next.load() >= header_->total.load()) announce();
}

bool Control::mark_dead(std::uint32_t rank, double timeout_s) {
  auto& dead = worker(rank);
  dead.alive = 0;
  dead.busy = 0;
  announce();
  {
    TicketGuard guard(*this, timeout_s);
    if (!guard.guard.held) return false;
    if (const std::int64_t ticket = dead.held; ticket == kNoTicket) {
      if (dead.completing > dead.completed) dead.completed = dead.completing.load();
    } else if (auto* const other = other_holder(dead, ticket); other != nullptr) {
      Claim shared = Claim::kShared;
      other->claim.compare_exchange_strong(shared, Claim::kAlone);  // it goes on alone
    } else {
      std::uint32_t empty = rank;
      for (std::uint32_t i = 0; i < header_->workers; ++i)
        if (lines_[i].reclaimed == kNoTicket) empty = i;  // held + reclaimed never exceed the workers: one is free
      lines_[empty].reclaimed = ticket;
      header_->returned.fetch_add(1);  // between the two: see `outstanding`
    }
    dead.completing = dead.completed.load();
    dead.held = kNoTicket;
    dead.claim = Claim::kAlone;
    dead.taken = 0;
  }
  end_phase(dead);
  announce();
  return true;
}

// Without the lock, which a worker may hold that is stopped. Whoever takes a reclaimed ticket writes it into its hand
// first, so it is seen there if no longer here; one that goes the other way meanwhile has raised `returned`.
std::vector<std::int64_t> Control::outstanding() const {
  std::vector<std::int64_t> tickets;
  std::uint64_t returned;
  do {
    tickets.clear();
    returned = header_->returned;
    const std::int64_t next = header_->next;
    const auto add = [&](std::int64_t ticket) {
      if (ticket != kNoTicket && ticket < next) tickets.push_back(ticket);
    };
    for (std::uint32_t i = 0; i < header_->workers; ++i) add(lines_[i].reclaimed);
    for (std::uint32_t i = 0; i < header_->workers; ++i) add(lines_[i].held);
  } while (returned != header_->returned);
  std::sort(tickets.begin(), tickets.end());
  tickets.erase(std::unique(tickets.begin(), tickets.end()), tickets.end());
  return tickets;
}

void Control::assign(std::int64_t next, std::int64_t total, const std::vector<std::int64_t>& again) {
  if (again.size() > header_->workers) throw std::invalid_argument("assign: more tickets to assign again than workers");
  TicketGuard guard(*this);
  header_->next = next;
  header_->total = total;
  header_->open = header_->leases = 0;
  for (std::size_t i = 0; i < again.size(); ++i) lines_[i].reclaimed = again[i];
}

// An entry is written before it is counted, and counted before its tickets can be taken. A courier that is killed in
// between leaves an entry without tickets, and the next one, for the same tickets, is behind it.
void Control::lease(std::int64_t first, std::int64_t count, bool more) {
  TicketGuard guard(*this);
  const std::int64_t total = header_->total;
  const std::uint32_t leases = header_->leases;
  if (count > 0 && number(total) != first) {
    if (leases == kLeases) throw std::length_error("lease: more than " + std::to_string(kLeases) + " leases");
    header_->lease[leases].ticket = total;
    header_->lease[leases].number = first;
    header_->leases = leases + 1;
  }
  header_->total = total + count;
  header_->open = more;
  announce();
}

std::int64_t Control::number(std::int64_t ticket) const {
  for (std::uint32_t i = header_->leases.load(); i-- > 0;)
    if (header_->lease[i].ticket <= ticket) return header_->lease[i].number + (ticket - header_->lease[i].ticket);
  return ticket;
}

}  // namespace hogwild
