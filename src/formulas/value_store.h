// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "formulas/computed_value.h"

namespace fanin::detail {

// Keeps the computed values that a scheme makes for the shapes of its tensors, because the parameters of a fill refer
// to them. All members may be called from many threads.
class ValueStore {
 public:
  using Value = std::shared_ptr<const ComputedValue>;

  // An equal one that is kept already, or this one. Of one scheme, tables of equal shape in equal expressions are
  // equal.
  Value keep(Value value) {
    const std::lock_guard lock(mutex_);
    for (const Value& one : values_) {
      if (one->expression().text() == value->expression().text() && one->constants() == value->constants() &&
          shape_of(*one) == shape_of(*value)) {
        return one;
      }
    }
    values_.push_back(value);
    return value;
  }

 private:
  static Shape shape_of(const ComputedValue& value) { return value.table() ? value.table()->shape : Shape{}; }

  std::mutex mutex_;
  std::vector<Value> values_;
};

}  // namespace fanin::detail
