// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "config/json_text.h"
#include "fanin/error.h"

namespace fanin::detail {

// A whole specification and its name, for messages.
struct Document {
  const Json& json;
  std::string source;
};

// A value of a specification. A message says where it stands, "model.json: rules[3].initializer: ...", which is
// searched for only then. The document must outlive the place.
class Place {
 public:
  explicit Place(const Document& document) : json_(&document.json), document_(&document) {}

  const Json& json() const { return *json_; }
  bool has(const char* key) const { return json_->contains(key); }

  // The value at a key or number, which must be there.
  Place at(const std::string& key) const { return of((*json_)[key]); }
  Place at(std::size_t number) const { return of((*json_)[number]); }
  // Another value of the document.
  Place of(const Json& json) const { return {json, *document_}; }

  // Throws InvalidArgument with this place before the message.
  [[noreturn]] void refuse(const std::string& what) const;
  // The same, with "Received: " and the value behind it.
  [[noreturn]] void refuse_value(const std::string& what) const;

  // Returns f(). What it throws gets this place, unless it has one.
  template <class F>
  auto with_errors(const F& f) const {
    try {
      return f();
    } catch (const Placed&) {
      throw;
    } catch (const InvalidArgument& error) {
      refuse(error.what());
    }
  }

  // Throw InvalidArgument unless the value is an object with these keys at most, or has the type.
  void check_object(const std::vector<std::string>& keys) const;
  void check_list(const std::string& what) const;
  const std::string& text() const;
  // Returns f(text()), with this place in its errors.
  template <class F>
  auto parsed(const F& f) const {
    return with_errors([&] { return f(text()); });
  }
  bool boolean() const;

 private:
  class Placed : public InvalidArgument {
    using InvalidArgument::InvalidArgument;
  };

  Place(const Json& json, const Document& document) : json_(&json), document_(&document) {}

  const Json* json_;
  const Document* document_;
};

}  // namespace fanin::detail
