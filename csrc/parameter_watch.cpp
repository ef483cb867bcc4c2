#include "parameter_watch.h"

#include <pybind11/stl.h>

#include <cstring>

#include "named.h"

namespace py = pybind11;

namespace hogwild {

void bind_watch(py::module_& m);

namespace {

py::object attribute(const py::object& object, PyObject* name) {
  PyObject* const value = PyObject_GetAttr(object.ptr(), name);
  if (value == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(value);
}

std::uint64_t sum_of_words(const char* memory, std::size_t bytes) {
  std::uint64_t sum = 0, word = 0;
  const std::size_t whole = bytes / sizeof word * sizeof word;
  for (std::size_t i = 0; i < whole; i += sizeof word) {
    std::memcpy(&word, memory + i, sizeof word);
    sum += word;
  }
  word = 0;
  std::memcpy(&word, memory + whole, bytes - whole);
  return sum + word;
}

}  // namespace

ParameterWatch::ParameterWatch(const py::type& tensor, const py::list& held, const py::list& parameters,
                               std::size_t counted)
    : describe_(describe_function(tensor)), held_(held) {
  for (const auto& item : parameters) {
    parameters_.push_back(py::reinterpret_borrow<py::object>(item));
    if (bytes_.size() < counted) bytes_.push_back(item.attr("nbytes").cast<std::size_t>());
  }
}

std::uintptr_t ParameterWatch::place(const py::object& parameter) const {
  DLTensor tensor{};
  if (describe_ != nullptr && describe_(parameter.ptr(), &tensor) == 0) return address(tensor);
  PyErr_Clear();
  return parameter.attr("data_ptr")().cast<std::uintptr_t>();
}

ParameterWatch::State ParameterWatch::state(std::size_t k) const {
  const py::object& parameter = parameters_[k];
  const bool trained = attribute(parameter, HOGWILD_KEY(requires_grad)).ptr() == Py_True;
  const std::int64_t writes =
      k < bytes_.size() ? PyLong_AsLongLong(attribute(parameter, HOGWILD_KEY(_version)).ptr()) : 0;
  return {place(parameter), trained, writes};
}

std::vector<ParameterWatch::State> ParameterWatch::now() const {
  std::vector<State> states;
  for (std::size_t k = 0; k < parameters_.size(); ++k) states.push_back(state(k));
  return states;
}

void ParameterWatch::look() {
  seen_.resize(parameters_.size());
  for (std::size_t k = 0; k < parameters_.size(); ++k) seen_[k] = state(k);
}

bool ParameterWatch::same(bool with_writes) const {
  if (!held_.same()) return false;
  for (std::size_t k = 0; k < seen_.size(); ++k) {
    State now = state(k);
    if (!with_writes) std::get<2>(now) = std::get<2>(seen_[k]);
    if (now != seen_[k]) return false;
  }
  return true;
}

std::vector<std::uint64_t> ParameterWatch::sums() const {
  std::vector<std::uint64_t> found;
  for (std::size_t k = 0; k < bytes_.size(); ++k)
    found.push_back(sum_of_words(reinterpret_cast<const char*>(std::get<0>(seen_.at(k))), bytes_[k]));
  return found;
}

void bind_watch(py::module_& m) {
  py::class_<ParameterWatch>(m, "ParameterWatch")
      .def(py::init<const py::type&, const py::list&, const py::list&, std::size_t>())
      .def("look", &ParameterWatch::look)
      .def("same", &ParameterWatch::same)
      .def("seen", &ParameterWatch::seen)
      .def("now", &ParameterWatch::now)
      .def("sums", &ParameterWatch::sums);
}

}  // namespace hogwild
