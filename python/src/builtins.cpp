// SPDX-License-Identifier: Apache-2.0
// Functions of nanobind's as builtin functions of Python, which inspect.signature and pickle know.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <new>
#include <string>
#include <utility>

#include "bindings.h"

namespace fanin::python {

namespace nb = nanobind;
using namespace nanobind::literals;

namespace {

struct Builtin {
  nb::object function;
  std::string name, text;
  PyMethodDef method;
};

PyObject* call(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
  const auto* builtin = static_cast<const Builtin*>(PyModule_GetState(self));
  return nb::detail::vectorcall(builtin->function.ptr(), arguments, static_cast<std::size_t>(count), names);
}

// A builtin is a function of the module that it holds. Each has a module of its own, whose state is what it calls.
PyModuleDef module_of_builtin{
    PyModuleDef_HEAD_INIT, "fanin", nullptr, sizeof(Builtin), nullptr, nullptr, nullptr, nullptr, [](void* self) {
      static_cast<Builtin*>(PyModule_GetState(static_cast<PyObject*>(self)))->~Builtin();
    }};

nb::object builtin_of(nb::object function, std::string name, std::string text) {
  const nb::object self = nb::steal(PyModule_Create(&module_of_builtin));
  if (!self) throw nb::python_error();
  auto* builtin =
      new (PyModule_GetState(self.ptr())) Builtin{std::move(function), std::move(name), std::move(text), {}};
  // Python converts pointers to functions in this way: PyMethodDef has one type for all of them.
  builtin->method = {builtin->name.c_str(), reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&call)),
                     METH_FASTCALL | METH_KEYWORDS, builtin->text.c_str()};
  const nb::object made = nb::steal(PyCFunction_NewEx(&builtin->method, self.ptr(), self.attr("__name__").ptr()));
  if (!made) throw nb::python_error();
  return made;
}

}  // namespace

void bind_builtins(nb::module_& m) {
  m.def("_builtin", &builtin_of, "function"_a, "name"_a, "text"_a,
        "A builtin function of the module fanin that calls another one. text is its signature as C functions have it, "
        "and\nits docstring.");
}

}  // namespace fanin::python
