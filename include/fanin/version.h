/* SPDX-License-Identifier: Apache-2.0 */
/* The one place of the version number; the build reads it from here. */
#ifndef FANIN_VERSION_H
#define FANIN_VERSION_H

#define FANIN_VERSION_MAJOR 0
#define FANIN_VERSION_MINOR 1
#define FANIN_VERSION_PATCH 0
#define FANIN_VERSION "0.1.0"

/* Version of the value contract, docs/VALUES.md: it changes when any bit of any fill does. Store it with the seed. */
#define FANIN_CONTRACT_VERSION 1

#endif
