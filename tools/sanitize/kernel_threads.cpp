// The CPU kernels under ThreadSanitizer: threads in place of worker processes run them on the same buffers at once.
//
//   kernel_threads ordered CALLS     what takes locks or is atomic: no race may be reported, and no addition be lost
//   kernel_threads racing CALLS      what races by intention (docs/memory-model.md): with racing.supp
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

#include "cpu/exchange.h"
#include "cpu/kernels.h"
#include "cpu/pair.h"
#include "cpu/push.h"
#include "norm_call.h"
#include "team.h"

using namespace hogwild;

namespace {

constexpr double kUnit = 1.0 / 1024;  // sums of it are exact
const std::vector<Segment> kSegments = {{0, 4099}, {4128, kN - 4128}};

std::int64_t reach = kN;  // the elements that pushes and exchanges touch

enum class Policy { racing, atomic, striped, locked };
const char* const kPolicies[] = {"racing", "atomic", "striped", "locked"};

AccessKind access_of(Policy policy) {
  return policy == Policy::atomic    ? AccessKind::atomic
         : policy == Policy::striped ? AccessKind::striped
                                     : AccessKind::racing;
}

template <class T>
constexpr Dtype kDtype = sizeof(T) == 4 ? Dtype::float32 : Dtype::float64;

// A push of a gradient whose elements are all 1; `locks` and `one` are those of the policy.
template <class T>
struct Pusher {
  Pusher(Policy policy, MomentumKind momentum, T* x, T* v, const Locks& locks, std::mutex& one)
      : policy(policy), one(one), gradient(1) {
    plan.rule.master = call.gradient = kDtype<T>;
    plan.rule.access = access_of(policy);
    plan.rule.momentum_kind = momentum;
    plan.buffers.x = x;
    plan.buffers.snapshot = snapshot.data();
    if (momentum != MomentumKind::none) plan.buffers.v = v;
    plan.segments = kSegments;
    if (policy == Policy::striped) plan.stripes = locks.data(), plan.n_stripes = kLocks;
    call.grads = {gradient.data(), gradient.data() + kSegments[1].offset};
    call.lr = kUnit;
    call.lr_max = 1;
    call.stop = reach;
  }

  void operator()() {
    std::unique_lock<std::mutex> guard(one, std::defer_lock);
    if (policy == Policy::locked) guard.lock();
    cpu::push(plan, call);
    operations.fetch_add(1, std::memory_order_relaxed);
  }

  const Policy policy;
  std::mutex& one;
  Buffer<T> snapshot, gradient;
  PushPlan plan;
  PushCall call;
};

bool report(const std::string& what, double found, double expected, bool exact) {
  const bool right = !exact || found == expected;
  std::printf("%s: %.9g%s\n", what.c_str(), found, right ? "" : ": WRONG");
  if (!right) std::printf("  expected %.9g\n", expected);
  std::fflush(stdout);
  return right;
}

// x is minus the number of pushes, in units, in every element of a segment; without momentum, if no update was lost.
template <class T>
bool pushes(Policy policy, MomentumKind momentum, int calls) {
  Buffer<T> x, v;
  const Locks locks;
  std::mutex one;
  together([&](int) {
    Pusher<T> push(policy, momentum, x.data(), v.data(), locks, one);
    for (int i = 0; i < calls; ++i) push();
  });
  const double elements = static_cast<double>(kSegments[0].numel + kSegments[1].numel);
  const std::string what = std::string("push ") + kPolicies[static_cast<int>(policy)] +
                           (momentum == MomentumKind::none ? "" : " heavy-ball") + (sizeof(T) == 4 ? " f32" : " f64");
  return report(what, x.sum() / elements, -kUnit * kThreads * calls,
                momentum == MomentumKind::none && policy != Policy::racing);
}

// The sum over the replicas and what they exchange with stays, up to rounding.
bool exchanges(Policy policy, ExchangeKind kind, const char* name, int calls) {
  Buffer<float> center(0.5);
  const Locks locks;
  std::mutex one;
  std::vector<Buffer<float>> replicas, memories;
  for (int rank = 0; rank < kThreads; ++rank) replicas.emplace_back(rank + 1.0), memories.emplace_back(rank + 1.0);
  const Buffer<float> gradient(0.25);
  const auto total = [&] {
    double sum = center.sum();
    for (const auto& replica : replicas) sum += replica.sum();
    return sum;
  };
  const double before = total();
  together([&](int rank) {
    ExchangeCall call;
    call.kind = kind;
    call.dtype = Dtype::float32;
    call.access = access_of(policy);
    call.share = kind == ExchangeKind::send ? 0.5 : 0.125;
    call.lr = call.rho = 0.125;
    if (policy == Policy::striped) call.stripes = locks.data(), call.n_stripes = kLocks;
    call.stop = reach;
    call.device = -1;
    call.buffers.x = replicas[rank].data();
    call.buffers.center = center.data();
    call.buffers.memory = memories[rank].data();
    call.buffers.g = gradient.data();
    for (int i = 0; i < calls; ++i) {
      std::unique_lock<std::mutex> guard(one, std::defer_lock);
      if (policy == Policy::locked) guard.lock();
      if (kind == ExchangeKind::send) call.kind = i % 2 ? ExchangeKind::drain : ExchangeKind::send;
      cpu::exchange(call);
      operations.fetch_add(1, std::memory_order_relaxed);
    }
  });
  const bool conserves = kind == ExchangeKind::elastic || kind == ExchangeKind::send;
  const double after = total();
  const bool right = policy == Policy::racing || !conserves || std::fabs(after - before) < 1e-3 * std::fabs(before);
  return report(std::string(name) + " " + kPolicies[static_cast<int>(policy)], after, right ? after : before, true);
}

// Pair averages of three replicas while their owners push onto them under the locks of their own.
bool pairs(bool waits, int calls) {
  std::vector<Buffer<float>> replicas;
  std::vector<Locks> locks(kThreads);
  std::mutex one;
  for (int rank = 0; rank < kThreads; ++rank) replicas.emplace_back(rank);
  together([&](int rank) {
    Pusher<float> push(Policy::striped, MomentumKind::none, replicas[rank].data(), nullptr, locks[rank], one);
    for (int i = 0; i < calls; ++i) {
      const int peer = (rank + 1 + i % (kThreads - 1)) % kThreads, a = std::min(rank, peer), b = std::max(rank, peer);
      PairCall call;
      call.dtype = Dtype::float32;
      call.a = replicas[a].data(), call.b = replicas[b].data();
      call.locks_a = locks[a].data(), call.locks_b = locks[b].data();
      call.n_locks = kLocks;
      call.weight = 0.5;
      call.waits = waits;
      call.stop = kN;
      call.device = -1;
      cpu::pair_average(call);
      push();
    }
  });
  double sum = 0;
  for (const auto& replica : replicas) sum += replica.data()[kN / 2];
  const double expected = 3 - kUnit * kThreads * calls;
  const bool right = std::fabs(sum - expected) < 1e-2;
  return report(waits ? "pair average, waiting, and pushes" : "pair average, skipping, and pushes", sum,
                right ? sum : expected, true);
}

// A worker reads the model while others push: plain loads of elements that are exchanged.
bool pulls(int calls) {
  Buffer<float> x, v;
  const Locks locks;
  std::mutex one;
  together([&](int) {
    Pusher<float> push(Policy::atomic, MomentumKind::none, x.data(), v.data(), locks, one);
    const Buffer<float> own;
    CopyCall copy{Dtype::float32, own.data(), x.data(), 0, reach, -1, 0};
    for (int i = 0; i < calls; ++i) {
      push();
      cpu::copy(copy);
      operations.fetch_add(1, std::memory_order_relaxed);
    }
  });
  return report("pull beside atomic pushes", x.data()[7], -kUnit * kThreads * calls, true);
}

// The averages of Full Normalization, one set for all.
bool norms(int calls) {
  constexpr std::int64_t kRows = 5, kChannels = 33;
  std::vector<float> mu(kChannels), nu(kChannels, 1), mu_grad(kChannels), nu_grad(kChannels);
  std::int64_t batches = 0, gradients = 0;
  together([&](int rank) {
    std::vector<float> x(kRows * kChannels, 0.5F + static_cast<float>(rank)), y(x.size()), dx(x.size());
    std::vector<float> saved(3 * kChannels), weight(kChannels, 1), bias(kChannels), dw(kChannels), db(kChannels);
    std::vector<double> work(5 * kChannels);
    NormForward forward;
    forward.master = forward.input = Dtype::float32;
    forward.x = x.data(), forward.weight = weight.data(), forward.bias = bias.data(), forward.y = y.data();
    forward.saved = saved.data(), forward.mu = mu.data(), forward.nu = nu.data(), forward.count = &batches;
    forward.eps = 1e-5;
    forward.device = -1;
    forward.shape.outer = kRows, forward.shape.channels = kChannels, forward.shape.inner = 1;
    forward.forgetting = {0.1, 0};
    NormBackward backward;
    backward.master = backward.input = Dtype::float32;
    backward.g = y.data(), backward.x = x.data(), backward.weight = weight.data(), backward.saved = saved.data();
    backward.dx = dx.data(), backward.weight_grad = dw.data(), backward.bias_grad = db.data();
    backward.mu_grad = mu_grad.data(), backward.nu_grad = nu_grad.data(), backward.count = &gradients;
    backward.device = -1;
    backward.shape = forward.shape;
    backward.forgetting = forward.forgetting;
    for (int i = 0; i < calls; ++i) {
      cpu::kernels().norm_forward(forward, work.data());
      cpu::kernels().norm_backward(backward, work.data());
      operations.fetch_add(2, std::memory_order_relaxed);
    }
  });
  const bool right = batches > 0 && batches <= kThreads * calls && std::isfinite(mu[7]);
  return report("norm, shared averages", static_cast<double>(batches), right ? static_cast<double>(batches) : -1, true);
}

bool ordered(int calls) {
  bool right = true;
  for (const Policy policy : {Policy::atomic, Policy::striped, Policy::locked}) {
    for (const MomentumKind momentum : {MomentumKind::none, MomentumKind::heavy_ball}) {
      right &= pushes<float>(policy, momentum, calls);
      right &= pushes<double>(policy, momentum, calls);
    }
    right &= exchanges(policy, ExchangeKind::elastic, "elastic", calls);
    right &= exchanges(policy, ExchangeKind::deliver, "deliver", calls);
    right &= exchanges(policy, ExchangeKind::admm, "admm", calls);
    right &= exchanges(policy, ExchangeKind::send, "send and drain", calls);
  }
  right &= pairs(false, calls);
  right &= pairs(true, calls);
  return right;
}

bool racing(int calls) {
  reach = 257;  // every race is looked up in the suppressions
  bool right = pulls(calls) & norms(calls);
  for (const MomentumKind momentum : {MomentumKind::none, MomentumKind::heavy_ball}) {
    right &= pushes<float>(Policy::racing, momentum, calls);
    right &= pushes<double>(Policy::racing, momentum, calls);
  }
  right &= exchanges(Policy::racing, ExchangeKind::elastic, "elastic", calls);
  right &= exchanges(Policy::racing, ExchangeKind::send, "send and drain", calls);
  return right;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string what = count > 1 ? arguments[1] : "ordered";
  const int calls = count > 2 ? std::atoi(arguments[2]) : 200;
  cpu::use_isa("baseline");
  const bool right = what == "racing" ? racing(calls) : ordered(calls);
  std::printf("%ld calls on %s\n", operations.load(), cpu::kernels().isa);
  return right ? 0 : 1;
}
