// Reads values from a Python dict by their names. The names are interned strings, so a lookup compares addresses. For
// the bindings.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "rule.h"

namespace hogwild {

inline void read(PyObject* value, double& field) { field = PyFloat_AsDouble(value); }
inline void read(PyObject* value, int64_t& field) { field = PyLong_AsLongLong(value); }
inline void read(PyObject* value, int& field) { field = static_cast<int>(PyLong_AsLong(value)); }
inline void read(PyObject* value, bool& field) { field = PyObject_IsTrue(value) == 1; }
inline void read(PyObject* value, uintptr_t& field) { field = reinterpret_cast<uintptr_t>(PyLong_AsVoidPtr(value)); }

template <class T>
void read(PyObject* value, T*& field) {
  field = static_cast<T*>(PyLong_AsVoidPtr(value));
}

template <class Kind>
std::enable_if_t<std::is_enum_v<Kind>> read(PyObject* value, Kind& field) {
  field = named<Kind>(pybind11::cast<std::string_view>(pybind11::handle(value)));
}

template <class T>
void read(PyObject* value, std::vector<T>& field) {
  for (const pybind11::handle item : pybind11::reinterpret_borrow<pybind11::iterable>(value)) {
    read(item.ptr(), field.emplace_back());
    if (PyErr_Occurred() != nullptr) return;
  }
}

// Takes the values of a dict by their names, and reports names that are missing or were not taken.
class Named {
 public:
  explicit Named(pybind11::handle dict) : dict_(dict.ptr()) {}

  // Whether there is a value of that name; if so, it is stored in `field`. None counts as no value.
  template <class Field>
  bool take(PyObject* name, Field& field) {
    asked_.at(n_asked_++) = name;
    PyObject* const value = PyDict_GetItemWithError(dict_, name);
    found_ += value != nullptr;
    const bool given = value != nullptr && value != Py_None;
    if (given) read(value, field);
    if (PyErr_Occurred() != nullptr) throw pybind11::error_already_set();
    return given;
  }

  template <class Field>
  void require(PyObject* name, Field& field) {
    if (!take(name, field)) missing_ += " " + text(name);
  }

  // Raises TypeError for required names that are missing, and for names that were not taken.
  void finish(const char* what) const {
    if (!missing_.empty()) throw pybind11::type_error(std::string(what) + " needs" + missing_);
    if (found_ == PyDict_Size(dict_)) return;
    std::string known, unknown;
    for (size_t k = 0; k < n_asked_; ++k) known += " " + text(asked_[k]);
    for (const auto item : pybind11::reinterpret_borrow<pybind11::dict>(dict_))
      if (const std::string name = " " + std::string(pybind11::str(item.first));
          (known + " ").find(name + " ") == std::string::npos)
        unknown += name;
    throw pybind11::type_error(std::string(what) + " has no" + unknown + "; it has" + known);
  }

 private:
  static std::string text(PyObject* name) { return pybind11::str(pybind11::handle(name)); }

  PyObject* dict_;
  Py_ssize_t found_ = 0;
  std::array<PyObject*, 40> asked_;
  size_t n_asked_ = 0;
  std::string missing_;
};

#define HOGWILD_KEY(name)                                           \
  [] {                                                              \
    static PyObject* const key = PyUnicode_InternFromString(#name); \
    return key;                                                     \
  }()

// Reads the values of a list (VALUE, OPTIONAL) into the members of `to`.
#define HOGWILD_READ(LIST, values, to) \
  [](Named& values_, auto& to_) { LIST(HOGWILD_READ_VALUE, HOGWILD_READ_OPTIONAL) }(values, to)
#define HOGWILD_READ_VALUE(type, name) values_.require(HOGWILD_KEY(name), to_.name);
#define HOGWILD_READ_OPTIONAL(type, name, value) values_.take(HOGWILD_KEY(name), to_.name);

// The weights of the momentum buffers: a dict again.
inline void read(PyObject* value, Motion<double>& weights) {
  Named values(value);
#define HOGWILD_TAKE(name) values.take(HOGWILD_KEY(name), weights.name);
  HOGWILD_MOTION(HOGWILD_TAKE)
#undef HOGWILD_TAKE
  values.finish("ahead");
}

}  // namespace hogwild
