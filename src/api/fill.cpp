// SPDX-License-Identifier: Apache-2.0
#include "fanin/fill.h"

#include <string>

#include "api/destination.h"
#include "cpu/fill.h"
#include "fanin/error.h"

namespace fanin {

void fill(const View& view, const FillParams& params, const RunOptions& options) {
  if (view.dtype != params.dtype) {
    throw InvalidArgument("The fill was prepared for " + std::string(name_of(params.dtype)) + ". Received: a view of " +
                          std::string(name_of(view.dtype)));
  }
  if (view.leading_dimension != 0) {
    throw InvalidArgument("A prepared fill writes rows that follow each other. Received: leading_dimension=" +
                          std::to_string(view.leading_dimension));
  }
  const detail::Destination destination(view.device, options);
  destination.fill(destination.job_for(view, params));
}

FillParams checked(const FillParams& params, const RunOptions& options) {
  FillParams result = params;
  if (!params.is_from_host()) return result;
  RunOptions run = options;
  run.device_seed = nullptr;  // the parts may be of device memory
  run.device_call = nullptr;
  cpu::prepare(params, detail::host_run(detail::checked(run, host)));
  result.finite = true;
  return result;
}

}  // namespace fanin
