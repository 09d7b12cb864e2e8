/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FANIN_EXPORT_H
#define FANIN_EXPORT_H

#if defined(__GNUC__)
#define FANIN_API __attribute__((visibility("default")))
#else
#define FANIN_API
#endif

#endif
