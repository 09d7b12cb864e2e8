// SPDX-License-Identifier: Apache-2.0
// Functions of nanobind's as builtin functions of Python, which inspect.signature and pickle know, and whose errors say
// which argument is wrong.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "bindings.h"

namespace fanin::python {

namespace nb = nanobind;
using namespace nanobind::literals;

namespace {

// Takes any object, but only when nanobind has tried all overloads without conversions of arguments, and then with
// them.
struct Last {
  nb::object object;
};

}  // namespace

}  // namespace fanin::python

template <>
struct nanobind::detail::type_caster<fanin::python::Last> {
  NB_TYPE_CASTER(fanin::python::Last, const_name("object"))
  bool from_python(handle object, std::uint32_t flags, cleanup_list*) noexcept {
    value.object = borrow(object);
    return (flags & cast_flags::convert) != 0;
  }
};

namespace fanin::python {

namespace {

struct Builtin {
  nb::object function;
  nb::object explain;  // what is wrong with arguments that the function does not take
  std::string name, text;
  PyMethodDef method;
};

PyObject* call(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
  const auto* builtin = static_cast<const Builtin*>(PyModule_GetState(self));
  PyObject* result = nb::detail::vectorcall(builtin->function.ptr(), arguments, static_cast<std::size_t>(count), names);
  if (result == nullptr && PyErr_ExceptionMatches(PyExc_TypeError) != 0) {
    nb::python_error error;
    if (std::string_view(error.what()).find("(): incompatible function arguments.") == std::string_view::npos) {
      error.restore();
    } else if (const nb::object message = nb::steal(
                   nb::detail::vectorcall(builtin->explain.ptr(), arguments, static_cast<std::size_t>(count), names))) {
      PyErr_SetObject(PyExc_TypeError, message.ptr());
    }
  }
  return result;
}

// A builtin is a function of the module that it holds. Each has a module of its own, whose state is what it calls.
PyModuleDef module_of_builtin{
    PyModuleDef_HEAD_INIT, "fanin", nullptr, sizeof(Builtin), nullptr, nullptr, nullptr, nullptr, [](void* self) {
      static_cast<Builtin*>(PyModule_GetState(static_cast<PyObject*>(self)))->~Builtin();
    }};

nb::object builtin_of(nb::object function, std::string name, std::string text, nb::object explain) {
  const nb::object self = nb::steal(PyModule_Create(&module_of_builtin));
  if (!self) throw nb::python_error();
  auto* builtin = new (PyModule_GetState(self.ptr()))
      Builtin{std::move(function), std::move(explain), std::move(name), std::move(text), {}};
  // Python converts pointers to functions in this way: PyMethodDef has one type for all of them.
  builtin->method = {builtin->name.c_str(), reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&call)),
                     METH_FASTCALL | METH_KEYWORDS, builtin->text.c_str()};
  const nb::object made = nb::steal(PyCFunction_NewEx(&builtin->method, self.ptr(), self.attr("__name__").ptr()));
  if (!made) throw nb::python_error();
  return made;
}

}  // namespace

void bind_builtins(nb::module_& m) {
  m.def("_builtin", &builtin_of, "function"_a.none(), "name"_a, "text"_a, "explain"_a.none(),
        "A builtin function of the module fanin that calls another one. text is its signature as C functions have it, "
        "and\nits docstring. explain(...) gives the message for arguments that the function does not take.");
  m.def(
      "_explain_method",
      [](const nb::object& owner, const std::string& name, const nb::object& explain) {
        const auto refuse = [explain](nb::handle self, const Last& first, const nb::args& others,
                                      const nb::kwargs& keywords) {
          const bool is_given = !first.object.is(explain);  // which is the default
          const nb::object message =
              is_given ? explain(self, first.object, *others, **keywords) : explain(self, *others, **keywords);
          throw nb::type_error(nb::cast<std::string>(message).c_str());
        };
        const std::string shown = "def " + name + "(self, *arguments: object, **keywords: object) -> None";
        nb::cpp_function_def(refuse, nb::scope(owner), nb::sig(shown.c_str()), nb::is_method(),
                             nb::arg("").none() = explain, nb::arg(), nb::arg());
      },
      "owner"_a, "name"_a, "explain"_a,
      "Gives a special method of a class, which is no builtin, the message explain(...) for arguments that it does not "
      "take.");
}

}  // namespace fanin::python
