#include "row_groups.h"

#include <stdexcept>

#include "../dispatch.h"

namespace hogwild::cpu {
namespace {

constexpr int64_t kFetched = 384 << 10;  // bytes of rows that fit into the second cache beside their gradient

}  // namespace

void RowIndex::begin(int64_t count) {
  size_t size = 16;
  int bits = 4;
  for (; size < 2 * static_cast<size_t>(count); size *= 2) ++bits;
  if (size > entries_.size() || ++epoch_ == 0) {
    entries_.assign(std::max(size, entries_.size()), Entry{0, -1});
    epoch_ = 1;
  }
  mask_ = size - 1;
  shift_ = 64 - bits;
}

void RowGroups::group(const RowGradient& gradient, int64_t dim, Dtype master, RowIndex& index, const RowLines& lines) {
  gradient_ = gradient;
  rows_.clear();
  fetched_ = n_sums_ = 0;
  if (gradient.rows == nullptr || gradient.count == 0) return;
  if (gradient.count > INT32_MAX) throw std::invalid_argument("a sparse gradient has at most 2^31 - 1 rows");
  with_gradient(master, gradient.dtype, [&](auto t, auto g) {
    group_as<typename decltype(t)::type, typename decltype(g)::type>(dim, index, lines);
  });
}

// Every second occurrence at most begins a sum.
template <class T, class G>
void RowGroups::group_as(int64_t dim, RowIndex& index, const RowLines& lines) {
  const auto bytes = static_cast<size_t>(gradient_.count / 2 * dim) * sizeof(T);
  if (bytes > capacity_) {
    sums_.reset(new char[bytes]);  // without filling it
    capacity_ = bytes;
  }
  T* const sums = reinterpret_cast<T*>(sums_.get());
  const G* const values = static_cast<const G*>(gradient_.values);
  rows_.reserve(static_cast<size_t>(gradient_.count));
  index.begin(gradient_.count);
  fetched_ = kFetched / lines.bytes_per_row();
  for (int64_t i = 0; i < gradient_.count; ++i) {
    int32_t& number = index.find(gradient_.rows[i], rows_);
    if (number < 0) {
      number = static_cast<int32_t>(rows_.size());
      if (number < fetched_) lines.fetch_far(gradient_.rows[i]);
      rows_.push_back({gradient_.rows[i], static_cast<int32_t>(i), -1});
      continue;
    }
    UniqueRow& row = rows_[static_cast<size_t>(number)];
    const G* const here = values + i * dim;
    if (row.sum < 0) {
      row.sum = n_sums_++;
      const G* const first = values + row.first * dim;
      T* const sum = sums + row.sum * dim;
      for (int64_t c = 0; c < dim; ++c) sum[c] = widen<T>(first[c]) + widen<T>(here[c]);
    } else {
      T* const sum = sums + row.sum * dim;
      for (int64_t c = 0; c < dim; ++c) sum[c] += widen<T>(here[c]);
    }
  }
}

}  // namespace hogwild::cpu
