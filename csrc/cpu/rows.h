// Sparse pushes into tables in host memory. Host only.
#pragma once

#include <optional>

#include "row_groups.h"
#include "row_lines.h"

namespace hogwild::cpu {

// One table's part of a push, for the loops: `rows` [count] in the order of the push; also its report.
struct RowTask {
  const RowPlan& plan;
  const Table& table;
  const RowLines& lines;
  Hyper<double> hyper{};
  int64_t pushes = 0;      // before this one; of all, for a catch-up alone
  int64_t last = 0;        // the row's new `last`
  double shrink = 1;       // weight decay of touched rows
  double momentum_lr = 0;  // of the momentum that catches up
  double decay_now = 0;    // log_decay, this push included
  const UniqueRow* rows = nullptr;
  int64_t count = 0;
  const void *values = nullptr, *sums = nullptr;
  const uint32_t* seen = nullptr;
  int64_t fetched = 0;  // so many of the rows are in the second cache, or on their way

  double step_sq = 0;
  int64_t nonfinite = 0, row_delay_sum = 0;
  RowDelays row_delays{};
};

// A worker's sparse pushes, with the memory they need. begin() groups the gradients and refuses rows that do not exist,
// scan() reads them, push() writes; only push() changes tables.
class Rows {
 public:
  explicit Rows(RowPlan plan);

  void begin(const std::vector<RowGradient>& gradients, uintptr_t stream);
  RowScan scan();
  RowStats push(const RowCall& call);
  void catch_up(const RowCall& call);

 private:
  RowTask task(size_t k, const RowCall& call, bool advances) const;

  RowPlan plan_;
  RowIndex index_;
  std::vector<RowLines> lines_;
  std::vector<RowGroups> groups_;
  std::optional<RowScan> scan_;
};

}  // namespace hogwild::cpu
