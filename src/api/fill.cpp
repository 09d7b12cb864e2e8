// SPDX-License-Identifier: Apache-2.0
#include "fanin/fill.h"

#include <string>

#include "api/destination.h"
#include "fanin/error.h"

namespace fanin {

void fill(const View& view, const FillParams& params, const RunOptions& options) {
  if (view.dtype != params.dtype) {
    throw InvalidArgument("The fill was prepared for " + std::string(name_of(params.dtype)) + ". Received: a view of " +
                          std::string(name_of(view.dtype)));
  }
  const detail::Destination destination(view.device, options);
  destination.fill({destination.address_of(view, params.index.count), params});
}

}  // namespace fanin
