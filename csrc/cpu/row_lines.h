// The cache lines of a table's rows, to have them under way before they are needed. Host only.
#pragma once

#include "../rows.h"

namespace hogwild::cpu {

class RowLines {
 public:
  RowLines(const RowPlan& plan, const Table& table, int64_t element_size) {
    const int64_t row = table.dim * element_size;
    add(table.x, row);
    add(table.v, row);
    add(table.q, plan.row_wise ? element_size : row);
    add(table.row_version, sizeof(uint32_t));
    add(table.last, sizeof(int64_t));
    add(table.decayed, sizeof(double));
  }

  // Of all arrays.
  int64_t bytes_per_row() const { return bytes_; }

  // Into the first cache, to be written.
  void fetch_near(int64_t row) const {
    each(row, [](const char* line) { __builtin_prefetch(line, 1, 3); });
  }

  // Into the second cache.
  void fetch_far(int64_t row) const {
    each(row, [](const char* line) { __builtin_prefetch(line, 0, 2); });
  }

 private:
  static constexpr int64_t kLine = 64;
  static constexpr int64_t kPrefetched = 512;  // bytes of a row; the hardware fetches what follows

  struct Part {
    const char* base;
    int64_t stride;
    int lines;
  };

  void add(const void* base, int64_t stride) {
    if (base == nullptr) return;
    const int64_t bytes = stride < kPrefetched ? stride : kPrefetched;
    const bool begins_lines = stride % kLine == 0 && reinterpret_cast<uintptr_t>(base) % kLine == 0;
    // Only hints: what is shorter than a line is taken to lie in one.
    const int64_t lines = bytes < kLine ? 1 : bytes / kLine + !begins_lines;
    parts_[count_++] = {static_cast<const char*>(base), stride, static_cast<int>(lines)};
    bytes_ += lines * kLine;
  }

  template <class Fetch>
  void each(int64_t row, const Fetch& fetch) const {
    for (int k = 0; k < count_; ++k) {
      const char* line = parts_[k].base + row * parts_[k].stride;
      for (int j = 0; j < parts_[k].lines; ++j, line += kLine) fetch(line);
    }
  }

  Part parts_[6] = {};
  int count_ = 0;
  int64_t bytes_ = 0;
};

}  // namespace hogwild::cpu
