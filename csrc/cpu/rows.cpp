// Calls the loops on the rows of each table; with stripe locks, row by row, each under the lock of its first element.
// Host only.
#include "rows.h"

#include <cmath>

#include "kernels.h"
#include "stripe_lock.h"

namespace hogwild::cpu {
namespace {

void check_rows(const RowGradient& gradient, const Table& table) {
  const auto rows = static_cast<uint64_t>(table.rows);
  for (int64_t i = 0; i < gradient.count; ++i)
    if (static_cast<uint64_t>(gradient.rows[i]) >= rows) refuse_row(table, gradient.rows[i]);
}

int64_t element_size(Dtype dtype) { return dtype == Dtype::float64 ? 8 : dtype == Dtype::float32 ? 4 : 2; }

// Elements of a contiguous range, in pieces that the loop can count.
void scan_range(Dtype dtype, const void* values, int64_t n, Scan& scan) {
  for (int64_t begin = 0; begin < n; begin += kPiece)
    kernels().scan(dtype, static_cast<const char*>(values) + begin * element_size(dtype), std::min(kPiece, n - begin),
                   scan);
}

}  // namespace

Rows::Rows(RowPlan plan) : plan_(std::move(plan)), groups_(plan_.tables.size()) {
  for (const Table& table : plan_.tables) lines_.emplace_back(plan_, table, element_size(plan_.rule.master));
}

void Rows::begin(const std::vector<RowGradient>& gradients, uintptr_t /*stream*/) {
  scan_.reset();
  for (size_t k = 0; k < groups_.size(); ++k) check_rows(gradients.at(k), plan_.tables[k]);
  for (size_t k = 0; k < groups_.size(); ++k)
    groups_[k].group(gradients[k], plan_.tables[k].dim, plan_.rule.master, index_, lines_[k]);
}

RowScan Rows::scan() {
  Scan all;
  for (size_t k = 0; k < groups_.size(); ++k) {
    const RowGroups& group = groups_[k];
    const RowGradient& gradient = group.gradient();
    const int64_t dim = plan_.tables[k].dim;
    if (static_cast<int64_t>(group.rows().size()) == gradient.count) {
      scan_range(gradient.dtype, gradient.values, gradient.count * dim, all);
      continue;
    }
    scan_range(plan_.rule.master, group.sums(), group.n_sums() * dim, all);
    // Rows that occur once, in runs of neighbours: a call for each of them would take as long as its elements.
    const char* const values = static_cast<const char*>(gradient.values);
    const int64_t bytes = dim * element_size(gradient.dtype);
    int64_t begin = 0, end = 0;
    for (const UniqueRow& row : group.rows()) {
      if (row.sum >= 0) continue;
      if (row.first != end) {
        scan_range(gradient.dtype, values + begin * bytes, (end - begin) * dim, all);
        begin = row.first;
      }
      end = row.first + 1;
    }
    scan_range(gradient.dtype, values + begin * bytes, (end - begin) * dim, all);
  }
  scan_ = RowScan{all.grad_sq, all.nonfinite};
  return *scan_;
}

RowTask Rows::task(size_t k, const RowCall& call, bool advances) const {
  const Table& table = plan_.tables[k];
  RowTask task{plan_, table, lines_[k]};
  const double rate = plan_.decays ? plan_.decay_rate(table, call.lr) : 0;
  task.hyper = fold(plan_, table, call);
  task.pushes = call.pushes;
  task.last = call.pushes + (advances ? 1 : 0);
  task.momentum_lr = call.lr * table.lr_factor;
  if (plan_.decay_catches_up) {
    const double before = Atomic::load(table.log_decay);
    task.decay_now = advances ? Atomic::add(table.log_decay, before, std::log1p(-rate)) : before;
  } else if (advances) {
    task.shrink = 1 - rate;
  }
  return task;
}

RowStats Rows::push(const RowCall& call) {
  check_decay(plan_, call.lr);
  RowStats stats;
  if (scan_) {
    stats.nonfinite = scan_->nonfinite;
    stats.grad_norm = std::fabs(call.scale) * std::sqrt(scan_->norm_sq);
    stats.applied = plan_.rule.guard != GuardKind::push || scan_->nonfinite == 0;
    if (!stats.applied) return stats;
  }
  StripeLock lock(plan_.stripes, plan_.n_stripes);
  for (size_t k = 0; k < groups_.size(); ++k) {
    const RowGroups& group = groups_[k];
    RowTask task = this->task(k, call, true);
    task.rows = group.rows().data();
    task.count = static_cast<int64_t>(group.rows().size());
    task.values = group.gradient().values;
    task.sums = group.sums();
    task.fetched = group.fetched();
    if (!call.seen.empty()) task.seen = static_cast<const uint32_t*>(call.seen.at(k));
    Kernels::Rows* const rows = kernels().rows(plan_, task.count == 0 ? plan_.rule.master : group.gradient().dtype);
    if (plan_.n_stripes == 0) rows(task, 0, task.count);
    for (int64_t i = 0; plan_.n_stripes > 0 && i < task.count; ++i) {
      stats.recovered += lock.enter(task.table.offset + task.rows[i].row * task.table.dim);
      rows(task, i, i + 1);
    }
    stats.step_sq += task.step_sq;
    if (!scan_) stats.nonfinite += task.nonfinite;
    stats.rows += group.gradient().count;
    stats.unique_rows += task.count;
    stats.row_delay_sum += task.row_delay_sum;
    for (size_t place = 0; place < task.row_delays.size(); ++place) {
      stats.row_delays[place] += task.row_delays[place];
      if (place > 0) stats.shared_rows += task.row_delays[place];
    }
  }
  return stats;
}

void Rows::catch_up(const RowCall& call) {
  check_decay(plan_, call.lr);
  StripeLock lock(plan_.stripes, plan_.n_stripes);
  for (size_t k = 0; k < groups_.size(); ++k) {
    RowTask task = this->task(k, call, false);
    Kernels::Rows* const rows = kernels().row_catch_up(plan_);
    for (int64_t row = 0; row < task.table.rows; ++row) {
      lock.enter(task.table.offset + row * task.table.dim);
      rows(task, row, row + 1);
    }
  }
}

}  // namespace hogwild::cpu
