// The different rows of a sparse gradient, each with the sum of its values. Host only.
#pragma once

#include <memory>
#include <vector>

#include "row_lines.h"

namespace hogwild::cpu {

// A different row. `first`: the position of its first occurrence; `sum`: the place of its sum among the sums of rows
// that occur several times, or -1.
struct UniqueRow {
  int64_t row;
  int32_t first, sum;
};

// Finds rows that have been seen: open addressing. Entries of another epoch are free, so the table is never cleared.
class RowIndex {
 public:
  // Forgets all rows; there will be at most `count`.
  void begin(int64_t count);

  // The number of the row among `known`; -1 and a place to store its number, if it is new.
  int32_t& find(int64_t row, const std::vector<UniqueRow>& known) {
    auto place = static_cast<size_t>((static_cast<uint64_t>(row) * 0x9E3779B97F4A7C15u) >> shift_);
    while (entries_[place].epoch == epoch_ && known[static_cast<size_t>(entries_[place].number)].row != row)
      place = (place + 1) & mask_;
    Entry& entry = entries_[place];
    if (entry.epoch != epoch_) entry = {epoch_, -1};
    return entry.number;
  }

 private:
  struct Entry {
    uint32_t epoch;
    int32_t number;  // of a row
  };

  std::vector<Entry> entries_;
  size_t mask_ = 0;
  uint32_t epoch_ = 0;
  int shift_ = 0;
};

// A table's part of a push, in order of occurrence. Its memory is kept for the next push.
class RowGroups {
 public:
  // Groups a gradient whose rows all exist, and has the first of them fetched meanwhile.
  void group(const RowGradient& gradient, int64_t dim, Dtype master, RowIndex& index, const RowLines& lines);

  const std::vector<UniqueRow>& rows() const { return rows_; }
  const RowGradient& gradient() const { return gradient_; }
  const void* sums() const { return sums_.get(); }
  int64_t n_sums() const { return n_sums_; }
  int64_t fetched() const { return fetched_; }

 private:
  template <class T, class G>
  void group_as(int64_t dim, RowIndex& index, const RowLines& lines);

  RowGradient gradient_;
  std::vector<UniqueRow> rows_;
  std::unique_ptr<char[]> sums_;
  size_t capacity_ = 0;
  int32_t n_sums_ = 0;
  int64_t fetched_ = 0;
};

}  // namespace hogwild::cpu
