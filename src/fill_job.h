// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "fanin/fill_params.h"

namespace fanin {

// One fill, as a back end sees it: where, and what. The address is good for params.index.count elements.
struct FillJob {
  void* address;
  FillParams params;
};

// Whether the fill draws: constants and identities do not.
inline bool is_random(const FillParams& params) {
  return params.kind == FillParams::Kind::uniform || params.kind == FillParams::Kind::normal;
}

}  // namespace fanin
