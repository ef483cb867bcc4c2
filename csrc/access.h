// Access policies: read, change and write an element of a buffer that several workers write. Host and device. Elements
// are 4- or 8-byte aligned, so no policy ever tears one. No policy orders accesses to different elements.
#pragma once

#include "hd.h"

namespace hogwild {

// Plain loads and stores. If two workers update an element at the same time, one update may be lost, but never a part
// of one. The compiler may use vectors of any width. In ISO C++ this is a data race; docs/memory-model.md says why it
// holds.
struct Racing {
  template <class T>
  HW_HD static T load(const T* p) {
    return *p;
  }

  // *p += delta; `seen` is the result of load(). Returns the new value.
  template <class T>
  HW_HD static T add(T* p, T seen, T delta) {
    return *p = seen + delta;
  }

  // *p = next(*p). Returns the new value and sets `seen` to the old one.
  template <class T, class Next>
  HW_HD static T update(T* p, T& seen, const Next& next) {
    return *p = next(seen);
  }

  // *p = value. Returns the old value.
  template <class T>
  HW_HD static T exchange(T* p, T seen, T value) {
    *p = value;
    return seen;
  }
};

// Repeats compare-and-exchange until it succeeds: no update is lost, and the values returned are those of this worker's
// own exchange.
struct Atomic {
  template <class T>
  HW_HD static T load(const T* p) {
    return hw_load(p);
  }

  template <class T>
  HW_HD static T add(T* p, T seen, T delta) {
    T after = seen + delta;
    while (!hw_compare_exchange(p, seen, after)) after = seen + delta;
    return after;
  }

  template <class T, class Next>
  HW_HD static T update(T* p, T& seen, const Next& next) {
    T after = next(seen);
    while (!hw_compare_exchange(p, seen, after)) after = next(seen);
    return after;
  }

  template <class T>
  HW_HD static T exchange(T* p, T seen, T value) {
    while (!hw_compare_exchange(p, seen, value)) {
    }
    return seen;
  }
};

}  // namespace hogwild
