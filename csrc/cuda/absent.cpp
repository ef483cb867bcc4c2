// Replaces the .cu files if the extension is built without nvcc.
#include <stdexcept>

#include "../norm_call.h"
#include "exchange.h"
#include "push.h"
#include "rows.h"

namespace hogwild::cuda {
namespace {

[[noreturn]] void absent() {
  throw std::runtime_error(
      "hogwild._C was built without CUDA: install the CUDA toolkit (nvcc) and rebuild with HOGWILD_CUDA=1");
}

}  // namespace

const char* architectures() { return ""; }

struct Push::State {};
Push::Push(const PushPlan&, int) { absent(); }
Push::~Push() = default;
Push::Push(Push&&) noexcept = default;
void Push::run(const PushCall&) { absent(); }
PushStats Push::stats() const { absent(); }
void Push::capture(const PushCall&) { absent(); }
void Push::prepare(const PushCall&) { absent(); }
void Push::replayed(uintptr_t) { absent(); }
bool Push::is_cooperative() const { absent(); }

struct Rows::State {};
Rows::Rows(const RowPlan&, int) { absent(); }
Rows::~Rows() = default;
Rows::Rows(Rows&&) noexcept = default;
void Rows::begin(const std::vector<RowGradient>&, uintptr_t) { absent(); }
RowScan Rows::scan() { absent(); }
RowStats Rows::push(const RowCall&) { absent(); }
void Rows::catch_up(const RowCall&) { absent(); }

void weighted_sum(const WeightedSumCall&) { absent(); }
void copy(const CopyCall&) { absent(); }
void exchange(const ExchangeCall&) { absent(); }
void diffuse(const DiffusionCall&) { absent(); }
PairStats pair_average(const PairCall&) { absent(); }
int64_t count_nonfinite(const CountCall&) { absent(); }
void norm_forward(const NormForward&) { absent(); }
void norm_backward(const NormBackward&) { absent(); }

}  // namespace hogwild::cuda
